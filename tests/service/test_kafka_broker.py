"""What service.kafka promises, against a real broker."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import confluent_kafka as ck
import pytest

from deploy.kafka_server import KafkaServer
from service import outage
from service.errors import Problem, RecordsRefused, Unreachable
from service.kafka import Admin, Outgoing, Partition, Producer, Reader, Record, Tail, TopicSpec, read_range
from service.kafka import admin as admin_module
from service.settings import Settings

pytestmark = pytest.mark.stack
DEADLINE_S = 120.0


@pytest.fixture
def facts(kafka: Settings) -> Settings:
    with Admin(kafka) as admin:
        admin.ensure_topics(
            [TopicSpec("clicks", 4, 1, {"retention.ms": "1000000", "max.message.bytes": "2000000"})]
        )
    return kafka


@pytest.fixture
async def producer(facts: Settings) -> AsyncIterator[Producer]:
    own = Producer(facts)
    yield own
    await own.close()


async def read(reader: Reader, count: int) -> list[Record]:
    records: list[Record] = []
    limit = time.monotonic() + DEADLINE_S
    while len(records) < count:
        assert time.monotonic() < limit, records
        records += await reader.read(1000, 1.0)
    return records


def test_a_second_ensure_does_nothing(kafka: Settings) -> None:
    wanted = [TopicSpec("clicks", 4, 1, {"retention.ms": "1000"}), TopicSpec("catalog", 1, 1)]
    with Admin(kafka) as admin:
        assert len(admin.ensure_topics(wanted)) == 2
        assert admin.ensure_topics(wanted) == []
        assert {
            name: found.partitions for name, found in admin.describe(["clicks", "catalog", "no"]).items()
        } == {
            "clicks": 4,
            "catalog": 1,
        }


def test_a_retention_is_made_longer_never_shorter(facts: Settings) -> None:
    with Admin(facts) as admin:
        assert admin.ensure_topics([TopicSpec("clicks", 4, 1, {"retention.ms": "1000"})]) == []
        assert admin.ensure_topics([TopicSpec("clicks", 4, 1, {"retention.ms": "-1"})]) == [
            "topic clicks: retention.ms set to -1 (was 1000000)"
        ]


def test_another_number_of_partitions_is_a_problem(facts: Settings) -> None:
    with Admin(facts) as admin, pytest.raises(Problem, match="4 partitions, not 8"):
        admin.ensure_topics([TopicSpec("clicks", 8, 1)])


def test_a_log_is_known_by_cluster_and_topic(facts: Settings) -> None:
    with Admin(facts) as admin:
        cluster, topic = admin.log_identity("clicks").split(":")
        assert cluster == admin.check()
        assert topic == admin.describe(["clicks"])["clicks"].topic_id
        with pytest.raises(Unreachable, match="roundtrip migrate"):
            admin.log_identity("nowhere")


async def test_what_was_sent_is_read_by_key_and_partition(facts: Settings, producer: Producer) -> None:
    await producer.send_all([Outgoing("clicks", b"k%d" % number, b"v%d" % number) for number in range(1000)])
    await producer.send("clicks", b"key", b"here", 3)
    reader = Reader(facts, "joiner", ["clicks"])
    records = await read(reader, 1001)
    assert {record.value for record in records} == {b"here", *(b"v%d" % number for number in range(1000))}
    assert next(record for record in records if record.value == b"here").partition == 3
    assert {record.topic for record in records} == {"clicks"}
    await reader.close()


async def test_a_group_goes_on_where_it_committed_and_keeps_the_note(
    facts: Settings, producer: Producer
) -> None:
    await producer.send_all([Outgoing("clicks", b"", b"%d" % number, 0) for number in range(10)])
    first = Reader(facts, "writer", ["clicks"])
    await read(first, 10)
    await first.commit({("clicks", 0): 7}, {("clicks", 0): "receipt-6 é"})
    assert await first.committed([("clicks", 0), ("clicks", 1)]) == {("clicks", 0): (7, "receipt-6 é")}
    await first.close()
    with Admin(facts) as admin:
        assert admin.committed("writer") == {("clicks", 0): (7, "receipt-6 é")}
        assert "writer" in admin.groups()
        assert admin.end_offsets(["clicks"])["clicks", 0] == 10
    second = Reader(facts, "writer", ["clicks"])
    assert [record.offset for record in await read(second, 3)] == [7, 8, 9]
    await second.close()


async def test_a_partition_that_was_paused_is_read_after_a_new_assignment(
    facts: Settings, producer: Producer
) -> None:
    first = Reader(facts, "group", ["clicks"])
    await producer.send_all([Outgoing("clicks", b"k", b"1", partition) for partition in range(4)])
    await read(first, 4)
    await first.pause(first.assigned())
    second = Reader(facts, "group", ["clicks"])
    while not second.assigned():
        await asyncio.gather(first.read(1, 0.1), second.read(1, 0.1))
    await second.close()
    while len(first.assigned()) < 4:
        await first.read(1, 0.1)
    await producer.send_all([Outgoing("clicks", b"k", b"2", partition) for partition in range(4)])
    fresh: set[int] = set()
    limit = time.monotonic() + DEADLINE_S
    while len(fresh) < 4:
        assert time.monotonic() < limit, fresh
        fresh |= {record.partition for record in await first.read(100, 1.0) if record.value == b"2"}
    await first.close()


async def test_an_assignment_may_say_where_to_start(facts: Settings, producer: Producer) -> None:
    await producer.send_all([Outgoing("clicks", b"", b"%d" % number, 0) for number in range(10)])
    seen: list[list[Partition]] = []

    def assigned(partitions: list[Partition]) -> dict[Partition, int]:
        seen.append(sorted(partitions))
        return {("clicks", 0): 8}

    reader = Reader(facts, "replay", ["clicks"], on_assigned=assigned, on_revoked=seen.append)
    assert [record.offset for record in await read(reader, 2)] == [8, 9]
    assert reader.assigned() == {("clicks", number) for number in range(4)}
    await reader.close()
    assert [sorted(each) for each in seen] == [[("clicks", number) for number in range(4)]] * 2


async def test_a_record_above_the_topics_limit_is_refused_and_the_others_are_there(
    facts: Settings, producer: Producer
) -> None:
    large = random.Random(1).randbytes(2_500_000)  # bytes that lz4 cannot make smaller
    with pytest.raises(RecordsRefused) as caught:
        await producer.send_all([Outgoing("clicks", b"", value, 0) for value in (b"a", large, b"b")])
    assert list(caught.value.indexes) == [1]
    found = await asyncio.to_thread(lambda: list(read_range(facts, "clicks", 0, 0, 10)))
    assert [record.value for record in found] == [b"a", b"b"]


async def test_a_range_gives_what_is_there_and_no_more(facts: Settings, producer: Producer) -> None:
    await producer.send_all([Outgoing("clicks", b"", b"%d" % number, 0) for number in range(10)])

    def offsets(start: int, end: int) -> list[int]:
        return [record.offset for record in read_range(facts, "clicks", 0, start, end)]

    assert await asyncio.to_thread(offsets, 3, 6) == [3, 4, 5]
    assert await asyncio.to_thread(offsets, 8, 100) == [8, 9]
    assert await asyncio.to_thread(offsets, 3, 3) == []
    assert await asyncio.to_thread(offsets, 3, 4) == [3]


async def test_reading_a_missing_topic_says_what_to_run(kafka: Settings) -> None:
    reader = Reader(kafka, "writer", ["nowhere"])
    with pytest.raises(Unreachable, match=r"nowhere.*roundtrip migrate"):
        await read(reader, 1)
    await reader.close()
    with pytest.raises(Unreachable, match=r"nowhere.*roundtrip migrate"):
        await asyncio.to_thread(Tail, kafka, "nowhere")


def test_a_partition_that_is_not_there_says_so(facts: Settings) -> None:
    with pytest.raises(Unreachable, match="clicks"):
        list(read_range(facts, "clicks", 9, 0, 1))


def test_no_broker_is_unreachable_within_the_deadline() -> None:
    start = time.monotonic()
    with (
        Admin(Settings(kafka="127.0.0.1:1"), 0.1) as admin,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"),
    ):
        admin.check()
    assert time.monotonic() - start < 9, "where nothing is said it is 10 s"


@pytest.mark.kill
def test_complaints_do_not_gather_in_who_asks_through_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard: the library keeps each of them for somebody to take, 1 MB a minute."""
    taken: list[object] = []
    monkeypatch.setattr(admin_module, "_unheard", taken.append)
    limit = time.monotonic() + DEADLINE_S
    with Admin(Settings(kafka="127.0.0.1:1"), deadline_s=0.1) as admin:
        while not taken:
            assert time.monotonic() < limit
            with pytest.raises(Unreachable):
                admin.check()


async def test_a_record_sent_while_the_broker_is_dead_arrives_when_it_is_back(
    facts: Settings, broker: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(facts, delivery_s=DEADLINE_S)  # however long this machine's broker takes to start
    await producer.send("clicks", b"", b"before", 0)
    broker.kill()
    late = producer.send("clicks", b"", b"during", 0)
    broker.start()
    await asyncio.wait_for(late, DEADLINE_S)
    await producer.close()
    found = await asyncio.to_thread(lambda: list(read_range(facts, "clicks", 0, 0, 10)))
    assert [record.value for record in found] == [b"before", b"during"]
    assert sum("cannot be reached" in line for line in caplog.messages) <= 1


async def test_an_outage_ends_for_who_reads_though_no_record_comes(facts: Settings) -> None:
    server = outage.of(f"Kafka at {facts.kafka}")
    reader, tail = Reader(facts, "g", ["clicks"]), Tail(facts, "clicks")
    while not reader.assigned():
        await reader.read(1, 0.1)
    while not tail.at_end:
        tail.read(1, 0.1)
    server.lost("1/1 brokers are down")
    server._found = 0.0  # long ago: a complaint right after a recovery would be stale
    await reader.read(1, 0)
    assert server.since == 0
    server._found = 0.0
    server.lost("1/1 brokers are down")
    tail.read(1, 0)
    assert server.since == 0
    tail.close()
    await reader.close()


def test_an_outage_ends_for_who_asks(facts: Settings) -> None:
    server = outage.of(f"Kafka at {facts.kafka}")
    server._found = 0.0
    server.lost("1/1 brokers are down")
    with Admin(facts) as admin:
        admin.check()
        assert server.since == 0
        server._found = 0.0
        server.lost("1/1 brokers are down")
        assert admin.describe(["absent"]) == {}
        assert server.since == 0


def test_a_broker_that_does_not_yet_know_what_it_leads_is_asked_again(kafka: Settings) -> None:
    """What a broker says that stood still for 20 s."""
    answers = iter([ck.KafkaException(ck.KafkaError(ck.KafkaError.UNKNOWN_LEADER_EPOCH)), 7])

    def ask() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Admin(kafka)._settled(ask) == 7
