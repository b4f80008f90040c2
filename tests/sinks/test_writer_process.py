"""The writer as a process between a real Kafka and a real ClickHouse."""

import asyncio
import uuid

import msgspec
import pytest

from deploy.clickhouse_server import ClickHouseServer
from ingest.tails import Tails
from schemas import facts
from service.clickhouse import ClickHouse
from service.kafka import Admin, Outgoing, Producer, Reader
from service.settings import Settings
from sinks.writer import GROUP
from tests.sinks.examples import EPOCH, case, click
from tests.sinks.fakes import make_topics
from tests.sinks.service_process import Service, wait_until

pytestmark = pytest.mark.stack


@pytest.fixture
def config(stored: Settings, kafka: str) -> Settings:
    one = msgspec.structs.replace(stored, kafka=kafka, topic_prefix=f"{uuid.uuid4().hex[:8]}.")
    make_topics(one)
    return one


def send(config: Settings, records: list[Outgoing]) -> None:
    async def go() -> None:
        producer = Producer(config)
        await producer.send_all(records)
        await producer.close()

    asyncio.run(go())


def clicks(count: int, first: int = 1) -> list[Outgoing]:
    made = (click(n) for n in range(first, first + count))
    return [Outgoing("clicks", one.transaction_id.encode(), facts.encode(one)) for one in made]


def count(config: Settings, view: str = "clicks") -> int:
    client = ClickHouse(config)
    found = int(client.query(f"SELECT count() FROM {view}").rows[0][0])  # noqa: S608  our own views
    client.close()
    return found


def committed(config: Settings) -> int:
    with Admin(config) as admin:
        return sum(offset for offset, _ in admin.committed(GROUP).values())


def test_rows_are_visible_soon_and_committed_and_a_stop_is_orderly(config: Settings) -> None:
    with Service("writer", config) as writer:
        wait_until(lambda: bool(writer.url) and writer.status("/readyz") == 200, what=writer.lines)
        one = case(0)
        send(config, [*clicks(1_000), Outgoing("conversions", b"t1:0", one.value, 2)])
        wait_until(lambda: count(config) == 1_000 and count(config, "conversions") == 1, what=writer.lines)
        wait_until(lambda: committed(config) == 1_001, what=writer.lines)
        assert 'roundtrip_writer_rows_total{table="click_facts"} 1000.0' in writer.body("/metrics")
        assert writer.stop() == 0


def test_killed_at_any_moment_it_loses_and_doubles_nothing(config: Settings) -> None:
    send(config, clicks(3_000))
    for _ in range(3):
        with Service("writer", config, ROUNDTRIP_WRITER_BATCH_ROWS="500") as writer:
            wait_until(lambda: count(config) >= 500, what=writer.lines)
    send(config, clicks(500, first=3_001))
    with Service("writer", config) as writer:
        wait_until(lambda: count(config) == 3_500, what=writer.lines)
        wait_until(lambda: committed(config) == 3_500, what=writer.lines)


def test_it_waits_for_clickhouse_says_so_once_and_goes_on(
    config: Settings, clickhouse_server: ClickHouseServer
) -> None:
    with Service("writer", config) as writer:
        wait_until(lambda: bool(writer.url) and writer.status("/readyz") == 200, what=writer.lines)
        clickhouse_server.kill()
        try:
            send(config, clicks(200))
            wait_until(lambda: writer.status("/readyz") == 503, what=writer.lines)
            send(config, clicks(200, first=201))
            assert committed(config) == 0
        finally:
            clickhouse_server.start()
        wait_until(lambda: count(config) == 400, what=writer.lines)
        wait_until(lambda: writer.status("/readyz") == 200, what=writer.lines)
        about = [line for line in writer.lines() if "ClickHouse" in line and "WARNING" in line]
        assert len(about) == 2, about


def test_without_topics_or_tables_it_says_migrate_and_waits(config: Settings) -> None:
    bare = msgspec.structs.replace(config, topic_prefix=f"{uuid.uuid4().hex[:8]}.")
    with Service("writer", bare) as writer:
        wait_until(lambda: any("roundtrip migrate" in line for line in writer.lines()), what=writer.lines)
        make_topics(bare)
        send(bare, clicks(5))
        wait_until(lambda: count(bare) == 5, what=writer.lines)
        assert writer.stop() == 0


def test_offsets_of_another_log_are_noticed_and_it_begins_at_the_earliest(config: Settings) -> None:
    """Guard: a new cluster or topic under the old group's offsets."""

    async def commit_for_another_log() -> None:
        reader = Reader(config, GROUP, ["clicks"])
        async with asyncio.timeout(60):
            while not reader.assigned():
                await reader.read(1, 0.1)
        places = [("clicks", number) for number in range(4)]
        await reader.commit(dict.fromkeys(places, 5), dict.fromkeys(places, "gone:topic"))
        await reader.close()

    send(config, clicks(100))
    asyncio.run(commit_for_another_log())
    with Service("writer", config) as writer:
        wait_until(lambda: count(config) == 100, what=writer.lines)
        (line,) = (line for line in writer.lines() if "is a new log" in line)
        assert line.endswith("(and 3 more partitions alike)")


def test_an_edge_s_tails_end_in_their_view(config: Settings) -> None:
    async def go() -> None:
        producer, numbers = Producer(config), iter((0, 3, 8, 8))
        tails = Tails(lambda: (EPOCH, next(numbers)), producer, "edge-1", lambda: 1_764_000_000_000)
        for _ in range(3):
            tails.say()
        await tails.close()
        await producer.close()

    asyncio.run(go())
    with Service("writer", config) as writer:
        wait_until(lambda: committed(config) == 3, what=writer.lines)
    client = ClickHouse(config)
    assert client.query("SELECT edge, epoch, last FROM tails").rows == [("edge-1", EPOCH, 8)]
    client.close()


def test_two_writers_share_the_partitions(config: Settings) -> None:
    second = msgspec.structs.replace(config, dir=config.dir / "second")
    with Service("writer", config) as one, Service("writer", second) as other:
        send(config, clicks(2_000))
        wait_until(lambda: count(config) == 2_000, what=one.lines)
        send(config, clicks(2_000, first=2_001))
        wait_until(lambda: count(config) == 4_000, what=other.lines)
        assert (one.stop(), other.stop()) == (0, 0)
        wait_until(lambda: committed(config) == 4_000)
