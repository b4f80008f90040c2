"""migrate: topics and tables as this version needs them; what is already so is left alone."""

import urllib.request
from collections.abc import Mapping
from itertools import count

import pytest

from deploy import migrate
from deploy.clickhouse_server import ClickHouseServer
from deploy.kafka_server import KafkaServer
from schemas.tables import migrations
from schemas.topics import TOPICS
from service import settings
from service.errors import No
from service.kafka import Admin, Description, TopicSpec
from service.settings import Settings

NUMBERS = count(1)
FRESH = {"ROUNDTRIP_PARTITIONS": "2", "ROUNDTRIP_REPLICATION": "1"}


@pytest.fixture
def installation(kafka: KafkaServer, clickhouse: ClickHouseServer) -> Settings:
    """One of its own in the shared servers."""
    name = f"m{next(NUMBERS)}"
    return read(
        kafka, clickhouse, {"ROUNDTRIP_TOPIC_PREFIX": f"{name}-", "ROUNDTRIP_CLICKHOUSE_DATABASE": name}
    )


def read(kafka: KafkaServer, clickhouse: ClickHouseServer, more: Mapping[str, str]) -> Settings:
    addresses = {"ROUNDTRIP_KAFKA": kafka.address, "ROUNDTRIP_CLICKHOUSE": clickhouse.url}
    return settings.read("migrate", {**FRESH, **addresses, **more})


def ask(server: Settings, sql: str) -> str:
    with urllib.request.urlopen(server.clickhouse, data=sql.encode(), timeout=60) as answer:  # noqa: S310
        return answer.read().decode()


@pytest.mark.stack
def test_a_second_run_does_nothing(installation: Settings):
    assert len(migrate.migrate_topics(installation)) == len(TOPICS)
    assert len(migrate.migrate_tables(installation)) == len(migrations())
    assert migrate.migrate_topics(installation) == []
    assert migrate.migrate_tables(installation) == []


@pytest.mark.stack
def test_only_the_catalog_has_one_partition(installation: Settings):
    migrate.migrate_topics(installation)
    with Admin(installation) as admin:
        found = {name: topic.partitions for name, topic in admin.describe(TOPICS).items()}
    assert found == {name: 1 if name in ("catalog", "tails") else 2 for name in TOPICS}


@pytest.mark.stack
def test_another_partition_count_than_installed_is_refused(
    installation: Settings, kafka: KafkaServer, clickhouse: ClickHouseServer
):
    migrate.migrate_topics(installation)
    more = {"ROUNDTRIP_PARTITIONS": "3", "ROUNDTRIP_TOPIC_PREFIX": installation.topic_prefix}
    with pytest.raises(No, match="has 2 partitions, not 3"):
        migrate.migrate_topics(read(kafka, clickhouse, more))


@pytest.mark.stack
def test_a_topic_that_forgets_too_early_is_refused(installation: Settings):
    with Admin(installation) as admin:
        admin.ensure_topics(
            [TopicSpec("pixels", 2, 1, {**TOPICS["pixels"].config, "retention.ms": "86400000"})]
        )
    with pytest.raises(No, match=r"topic pixels keeps records for 86400000 ms"):
        migrate.migrate_topics(installation)


@pytest.mark.stack
def test_a_migration_cut_short_is_applied_again(installation: Settings):
    migrate.migrate_tables(installation)
    ask(installation, f"TRUNCATE TABLE {installation.clickhouse_database}.migrations")
    assert len(migrate.migrate_tables(installation)) == len(migrations())


@pytest.mark.stack
def test_a_migration_edited_after_it_was_applied_is_refused(installation: Settings):
    migrate.migrate_tables(installation)
    ask(
        installation,
        f"ALTER TABLE {installation.clickhouse_database}.migrations UPDATE digest = 'x' WHERE number = 1",
    )
    with pytest.raises(No, match=r"migration 1 \(tables\) differs"):
        migrate.migrate_tables(installation)


@pytest.mark.stack
def test_tables_of_a_newer_version_are_refused(installation: Settings):
    migrate.migrate_tables(installation)
    insert = "INSERT INTO {}.migrations (number) VALUES (9999)"
    ask(installation, insert.format(installation.clickhouse_database))
    with pytest.raises(No, match="migration 9999, which this version does not know"):
        migrate.migrate_tables(installation)


def fault(topic: str, **changed: str) -> str:
    config = {**TOPICS[topic].config, **{name.replace("_", "."): value for name, value in changed.items()}}
    return migrate.retention_fault(TOPICS[topic], Description(2, "", config))


@pytest.mark.parametrize("topic", TOPICS)
def test_each_topic_as_specified_is_accepted(topic: str):
    assert fault(topic) == ""


def test_longer_retention_is_the_operators_choice():
    assert fault("clicks", retention_ms="999999999999") == ""
    assert fault("clicks", retention_ms="-1") == ""


def test_shorter_size_bound_or_compacted_retention_is_a_fault():
    assert "keeps records for 1 ms" in fault("clicks", retention_ms="1")
    assert "retention.bytes=1000" in fault("clicks", retention_bytes="1000")
    assert "cleanup.policy=compact" in fault("clicks", cleanup_policy="compact")
    assert "cleanup.policy=delete" in fault("conversions", cleanup_policy="delete")
    assert "for ever" in fault("catalog", retention_ms="999999999999")
