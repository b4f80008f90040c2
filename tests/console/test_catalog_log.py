"""What the catalog's log promises: the fake of the unit tests and Kafka itself keep the same."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from console.catalog_log import KafkaLog, Log, publish
from deploy.kafka_server import KafkaServer
from schemas.topics import CATALOG, TOPICS
from service.errors import Unreachable
from service.kafka import Admin, TopicSpec
from service.settings import Settings
from tests.console.test_catalog import NOW, FakeLog, good


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.stack)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    if request.param == "fake":
        return FakeLog()
    broker = request.getfixturevalue("broker")
    settings = Settings(dir=tmp_path, kafka=broker.address, topic_prefix=f"{tmp_path.name}-")
    with Admin(settings) as admin:
        admin.ensure_topics([TopicSpec(CATALOG, 1, 1, TOPICS[CATALOG].config)])
    return KafkaLog(settings)


def test_a_fresh_log_is_empty(log: Log) -> None:
    assert [*log.read()] == []


def test_records_are_read_byte_by_byte_in_the_order_in_which_they_were_appended(log: Log) -> None:
    log.append([(b"1", b"one"), (b"1", b"one again"), (b"2", b"two")])
    log.append([(b"3", b"three")])
    assert [*log.read()] == [b"one", b"one again", b"two", b"three"]


def test_a_catalog_of_ten_thousand_offers_goes_through(log: Log) -> None:
    offer = good().offers[0]
    # 700 bytes an offer; random-looking names, so that compression does not hide a limit.
    many = tuple(
        msgspec.structs.replace(offer, id=n, ref=f"{hash((n, 'ref')):x}" * 10) for n in range(1, 10_001)
    )
    version, is_new = publish(log, msgspec.structs.replace(good(), offers=many), NOW, "ann@office")
    assert (version.version, is_new, len(version.catalog.offers)) == (1, True, 10_000)


@pytest.mark.stack
def test_without_the_topic_it_says_what_to_do(broker: KafkaServer, tmp_path: Path) -> None:
    settings = Settings(dir=tmp_path, kafka=broker.address, topic_prefix=f"{tmp_path.name}-")
    with pytest.raises(Unreachable, match="roundtrip migrate"):
        KafkaLog(settings).read()
