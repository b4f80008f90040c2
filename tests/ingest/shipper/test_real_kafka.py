"""Journal and shipper against a real Kafka: killed, wiped, refilled, set back, its topics made again."""

import asyncio
import base64
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient

from deploy.kafka_server import KafkaServer
from deploy.ports import free_port
from ingest import new_log
from ingest import shipper as shipper_module
from schemas import decisions
from schemas.decisions import Quarantine
from schemas.reasons import Reason
from schemas.topics import FACTS
from service.errors import Problem
from service.settings import Settings
from tests.ingest.shipper.real import RealEdge, migrate, operated, receipts, until, until_there, values, wipe

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def _long_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker on a busy machine is slow, which is no trouble to be told."""
    monkeypatch.setattr(new_log, "ASK_S", 30.0)


@pytest.fixture
def short_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that asks where no broker is is waited for at the end of the test."""
    monkeypatch.setattr(new_log, "ASK_S", 1.0)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def mine(broker: KafkaServer, tmp_path: Path) -> Settings:
    """A corner of the broker and a directory that are this test's own; the topics are there."""
    settings = Settings(
        dir=tmp_path, kafka=broker.address, topic_prefix=f"{tmp_path.name}-", replication=1, partitions=4
    )
    migrate(settings)
    return settings


@pytest.fixture
async def edge(mine: Settings) -> AsyncIterator[RealEdge]:
    own = RealEdge(mine)
    yield own
    await own.close(0)


async def fill(mine: Settings, count: int, directory: Path) -> None:
    """Another collector ships so many events."""
    other = RealEdge(elsewhere(mine, directory))
    other.accept(count)
    await other.shipped()
    await other.close()


def elsewhere(mine: Settings, directory: Path) -> Settings:
    return Settings(
        dir=directory,
        kafka=mine.kafka,
        topic_prefix=mine.topic_prefix,
        replication=1,
        partitions=mine.partitions,
    )


async def test_what_was_accepted_is_shipped_once_and_a_restart_goes_on(
    mine: Settings, edge: RealEdge
) -> None:
    edge.accept(500)
    edge.accept(20, topic="postbacks")
    await until_there(mine, edge.receipts)
    await edge.close()
    assert edge.saved.position == edge.journal.committed
    later = RealEdge(mine)
    later.accept(100)
    await later.shipped()
    await later.close()
    assert Counter(await receipts(mine)) == Counter([*edge.receipts, *later.receipts])
    assert edge.count("roundtrip_shipped_total") == 520


async def test_a_broker_that_is_killed_and_comes_back_misses_nothing(
    broker: KafkaServer, mine: Settings, edge: RealEdge, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge.traffic():
        await until(lambda: edge.count("roundtrip_shipped_total") > 200)
        await operated(broker.kill)
        await until(lambda: edge.count("roundtrip_shipping_waiting_events") > 300)
        await operated(broker.start)
        await until(lambda: edge.count("roundtrip_shipped_total") > 800)
    await until_there(mine, edge.receipts)
    await edge.shipped()
    assert edge.count("roundtrip_shipping_new_logs_total") == 0
    assert [line for line in caplog.messages if "cannot be reached" in line or "not shipped" in line] == [
        line for line in caplog.messages if "cannot be reached" in line
    ][:1]


async def test_a_kafka_wiped_in_mid_shipping_gets_everything_again_by_itself(
    broker: KafkaServer, mine: Settings, edge: RealEdge, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge.traffic():
        await until(lambda: edge.count("roundtrip_shipped_total") > 500)
        await operated(wipe, broker)
        await operated(migrate, mine)
        await until(lambda: edge.count("roundtrip_shipping_new_logs_total"))
        edge.accept(100)
    found = await until_there(mine, edge.receipts)
    assert set(found) == set(edge.receipts)
    assert len([line for line in caplog.messages if "new log" in line]) == 1


async def test_a_wiped_kafka_that_another_collector_filled_first_gets_everything(
    broker: KafkaServer, mine: Settings, edge: RealEdge, tmp_path: Path
) -> None:
    edge.accept(500)
    await edge.shipped()
    await edge.close()
    await operated(wipe, broker)
    await operated(migrate, mine)
    await fill(mine, 2_000, tmp_path / "other")
    again = RealEdge(mine)
    await until_there(mine, edge.receipts)
    assert again.count("roundtrip_shipping_new_logs_total") == 1
    await again.close()


@pytest.mark.parametrize("filled", [0, 2_000])
async def test_an_older_copy_of_kafkas_disk_gets_everything_whether_others_filled_it_or_not(
    broker: KafkaServer, mine: Settings, edge: RealEdge, tmp_path: Path, filled: int
) -> None:
    """Cluster and topics are the same: only what lies there is not."""
    edge.accept(500)
    await edge.shipped()
    await operated(broker.stop)
    shutil.copytree(broker.directory / "data", tmp_path / "copy")
    await operated(broker.start)
    edge.accept(500)
    await edge.shipped()
    await edge.close()
    await operated(broker.kill)
    shutil.rmtree(broker.directory / "data")
    (tmp_path / "copy").rename(broker.directory / "data")
    await operated(broker.start)
    if filled:
        await fill(mine, filled, tmp_path / "other")
    again = RealEdge(mine)
    again.accept(100)
    await until_there(mine, [*edge.receipts, *again.receipts])
    assert again.count("roundtrip_shipping_new_logs_total") == 1
    await again.close()


async def test_topics_deleted_and_made_again_in_a_running_cluster_get_everything(
    mine: Settings, edge: RealEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_log, "EVERY_S", 0.5)
    async with edge.traffic():
        await until(lambda: edge.count("roundtrip_shipped_total") > 200)
        client = AdminClient({"bootstrap.servers": mine.kafka})
        for future in client.delete_topics([mine.topic_prefix + topic for topic in FACTS]).values():
            await asyncio.to_thread(future.result)
        await until(lambda: _made(mine))
        await until(lambda: edge.count("roundtrip_shipping_new_logs_total"))
    assert set(await until_there(mine, edge.receipts)) == set(edge.receipts)


def _made(mine: Settings) -> bool:
    """A topic of that name may still be being deleted."""
    try:
        migrate(mine)
    except (ck.KafkaException, Problem):
        return False
    return True


async def test_a_record_over_the_brokers_limit_goes_to_the_quarantine_alone(
    tmp_path: Path, broker: KafkaServer
) -> None:
    mine = Settings(
        dir=tmp_path, kafka=broker.address, topic_prefix=f"{tmp_path.name}-", replication=1, partitions=4
    )
    migrate(mine, {"max.message.bytes": "20000"})
    edge = RealEdge(mine)
    good = edge.accept(5)
    (large,) = edge.accept(1, pad=os.urandom(40_000))
    good += edge.accept(200)
    await until_there(mine, edge.receipts)
    assert Counter(await receipts(mine)).keys() == set(good)
    (value,) = set(await asyncio.to_thread(values, mine, "quarantine"))
    kept = decisions.decode("quarantine", value)
    assert isinstance(kept, Quarantine)
    assert (kept.receipt_id, kept.reason, kept.reader) == (large, Reason.OVER_LIMIT, "collector")
    assert large.encode() in base64.b64decode(kept.value)
    await edge.shipped()
    await edge.close()


@pytest.mark.parametrize("harm", ["lost", "corrupted"])
async def test_without_a_good_cursor_everything_is_shipped_again(
    mine: Settings, edge: RealEdge, harm: str
) -> None:
    edge.accept(100)
    await edge.shipped()
    await edge.close()
    file = edge.path / "cursor"
    if harm == "lost":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes().replace(b'"position":[1,', b'"position":[2,'))
    again = RealEdge(mine)
    await again.shipped()
    await again.close()
    assert Counter(await receipts(mine)) == Counter(edge.receipts * 2)


@pytest.mark.usefixtures("short_questions")
async def test_a_start_without_kafka_is_one_line_and_its_coming_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    mine = Settings(dir=tmp_path, kafka=f"127.0.0.1:{port}", replication=1, partitions=4)
    edge = RealEdge(mine)
    edge.accept(50)
    await until(lambda: edge.shipper._own and edge.shipper._own._failures >= 2)
    assert (await edge.shipper.backlog()).events == 50
    with KafkaServer(tmp_path / "late", port):
        await operated(migrate, mine)
        await until_there(mine, edge.receipts)
        await edge.close()
    assert len(caplog.messages) <= 4, caplog.messages
    assert len([line for line in caplog.messages if "cannot be reached" in line]) == 1
    assert len([line for line in caplog.messages if "can be reached again" in line]) == 1


@pytest.mark.usefixtures("short_questions")
async def test_a_stop_without_kafka_waits_for_nothing_and_leaves_the_rest_in_the_journal(
    tmp_path: Path,
) -> None:
    edge = RealEdge(Settings(dir=tmp_path, kafka="127.0.0.1:1"))
    edge.accept(50)
    await until(lambda: edge.shipper._means.server.since)
    async with asyncio.timeout(60):
        await edge.close(3600)


async def test_a_journal_that_another_left_is_shipped_and_given_back(
    mine: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper_module, "TOGETHER_S", 0.1)
    monkeypatch.setattr(shipper_module, "LOOK_S", 0.1)
    dead = RealEdge(elsewhere(mine, mine.dir))
    living = RealEdge(mine)
    assert (dead.path.name, living.path.name) == ("0", "1")
    await dead.shipper.close(0)
    left = dead.accept(300)
    await dead.close()
    await until_there(mine, left)
    await until(lambda: dead.saved.receipt_id == left[-1])
    heir = None
    while heir is None:
        heir = living.shipper._directory._take(0)
        await asyncio.sleep(0.01)
    heir.lock.release()
    await living.close()
