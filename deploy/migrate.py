"""`roundtrip migrate`: Kafka's topics and ClickHouse's tables are brought to this version."""

import argparse
import hashlib
import time
from collections.abc import Iterator, Mapping

from deploy.terminal import say
from schemas.tables import Migration, migrations
from schemas.topics import TOPICS, Topic
from service import settings as service_settings
from service.clickhouse import ClickHouse
from service.errors import No, Refused, Unreachable
from service.kafka import Admin, Description, TopicSpec
from service.settings import Settings

SETTLE_S = 15.0
POLL_S = 0.05

# Which migration was applied when, and the digest of its statements then.
LEDGER = """\
CREATE TABLE IF NOT EXISTS migrations
(
    number UInt32, name String, digest String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree ORDER BY number"""


def arguments(_parser: argparse.ArgumentParser) -> None:
    """Nothing: the ROUNDTRIP_* settings say where."""


def run(_args: argparse.Namespace) -> int:
    """0 when everything is as this version needs it; says what was done."""
    settings = service_settings.read("migrate")
    done = [*migrate_topics(settings), *migrate_tables(settings)]
    for line in done:
        say(line)
    if not done:
        say("topics and tables are at this version; nothing to do")
    return 0


def migrate_topics(settings: Settings) -> list[str]:
    """Every topic is there as specified, and the brokers know it; a line for each thing done."""
    with Admin(settings) as admin:
        refuse_faults(settings, admin.describe(TOPICS))  # before anything is changed
        done = admin.ensure_topics(specifications(settings))
        refuse_faults(settings, settled(admin))  # whoever made a topic at the same moment, made it so too
        return done


def settled(admin: Admin) -> dict[str, Description]:
    """All topics, as soon as the brokers know them: a little later than the controller that made them."""
    limit = time.monotonic() + SETTLE_S
    while (found := admin.describe(TOPICS)).keys() != TOPICS.keys():
        if time.monotonic() > limit:
            missing = ", ".join(TOPICS.keys() - found.keys())
            raise Unreachable(
                f"Kafka does not show these topics {SETTLE_S:.0f} s after it made them: {missing}"
            )
        time.sleep(POLL_S)
    return found


def refuse_faults(settings: Settings, found: Mapping[str, Description]) -> None:
    """`No` names every topic that is not as it must be."""
    wanted = {spec.name: spec.partitions for spec in specifications(settings)}
    wrong = [
        fault
        for name, each in found.items()
        if (
            fault := partition_fault(name, wanted[name], each.partitions)
            or retention_fault(TOPICS[name], each)
        )
    ]
    if wrong:
        raise No("; ".join(wrong))


def partition_fault(name: str, wanted: int, found: int) -> str:
    """Why this number of partitions cannot be; empty where it is the wanted one."""
    if found == wanted:
        return ""
    return (
        f"topic {name} has {found} partitions, not {wanted}: their number is chosen at installation;"
        " set ROUNDTRIP_PARTITIONS to what is there, or use a new ROUNDTRIP_TOPIC_PREFIX"
    )


def specifications(settings: Settings) -> list[TopicSpec]:
    """The topics of an installation with its partition count and replication."""
    return [
        TopicSpec(topic.name, 1 if topic.single else settings.partitions, settings.replication, topic.config)
        for topic in TOPICS.values()
    ]


def retention_fault(topic: Topic, found: Description) -> str:
    """Why the topic would lose records that are still needed; empty where it keeps them.

    What must be kept for ever (compacted by key, or the catalog) may have no time limit either.
    """
    if found.config.get("retention.bytes", "-1") != "-1":
        size = found.config["retention.bytes"]
        return (
            f"topic {topic.name} is bound by size (retention.bytes={size}) and would lose {topic.why};"
            " set retention.bytes=-1"
        )
    policy, wanted = found.config.get("cleanup.policy", ""), topic.config["cleanup.policy"]
    if policy != wanted:
        return f"topic {topic.name} has cleanup.policy={policy}, not {wanted}; set it"
    kept_ms, needed_ms = int(found.config.get("retention.ms", "-1")), int(topic.config["retention.ms"])
    if topic.compact or kept_ms == -1 or (needed_ms != -1 and kept_ms >= needed_ms):
        return ""
    return (
        f"topic {topic.name} keeps records for {kept_ms} ms, but {topic.why} needs"
        f" {'them for ever' if needed_ms == -1 else f'{needed_ms} ms'}; set retention.ms={needed_ms}"
    )


def migrate_tables(settings: Settings) -> list[str]:
    """Every migration of this version is applied and recorded; a line for each."""
    clickhouse = ClickHouse(settings)
    try:
        clickhouse.check()
        clickhouse.command(f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database}", database=False)
        clickhouse.command(LEDGER)
        return list(_apply(clickhouse))
    finally:
        clickhouse.close()


def _apply(clickhouse: ClickHouse) -> Iterator[str]:
    recorded = clickhouse.query("SELECT number, digest FROM migrations FINAL ORDER BY number").rows
    applied = {int(number): str(digest) for number, digest in recorded}
    known = migrations()
    newer = sorted(applied.keys() - {migration.number for migration in known})
    if newer:
        raise No(
            f"ClickHouse has migration {newer[-1]}, which this version does not know: run the newer version"
        )
    for migration in known:
        if migration.number not in applied:
            yield _apply_one(clickhouse, migration)
        elif applied[migration.number] != digest_of(migration):
            raise No(
                f"migration {migration.number} ({migration.name}) differs from the one that was applied here:"
                " what has landed is never edited; add one, or use another ROUNDTRIP_CLICKHOUSE_DATABASE"
            )


def _apply_one(clickhouse: ClickHouse, migration: Migration) -> str:
    """Recorded after its last statement: one cut short is applied again, which each statement bears."""
    for statement in migration.statements:
        try:
            clickhouse.command(statement)
        except Refused as error:
            first = statement.splitlines()[0]
            raise No(f"migration {migration.number} ({migration.name}): {error}; at: {first}") from error
    clickhouse.command(
        "INSERT INTO migrations (number, name, digest)"
        " VALUES ({number:UInt32}, {name:String}, {digest:String})",
        {"number": migration.number, "name": migration.name, "digest": digest_of(migration)},
    )
    count = len(migration.statements)
    return f"tables: migration {migration.number} ({migration.name}) applied, {count} statements"


def digest_of(migration: Migration) -> str:
    """What the migration says, in 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(migration.statements).encode()).hexdigest()
