"""Long stretches of several partitions, read by one client from a real broker."""

import asyncio
from collections.abc import Iterable

import confluent_kafka as ck
import pytest
from confluent_kafka import admin as cka

from service.kafka import Admin, Outgoing, Producer, Ranges, Stretch, TopicSpec
from service.settings import Settings

pytestmark = pytest.mark.stack


@pytest.fixture
def topics(kafka: Settings) -> Settings:
    with Admin(kafka) as admin:
        admin.ensure_topics(
            [TopicSpec("clicks", 2, 1), TopicSpec("conversions", 1, 1, {"cleanup.policy": "compact"})]
        )
    return kafka


def put(settings: Settings, topic: str, number: int, values: Iterable[bytes]) -> None:
    async def send() -> None:
        producer = Producer(settings)
        await producer.send_all([Outgoing(topic, b"", value, number) for value in values])
        await producer.close()

    asyncio.run(send())


def offsets(stretches: Iterable[Stretch]) -> list[int]:
    return [record.offset for each in stretches for record in each.records]


def test_one_client_reads_ranges_of_several_partitions(topics: Settings) -> None:
    put(topics, "clicks", 0, (b"%d" % number for number in range(100)))
    put(topics, "clicks", 1, (b"%d" % number for number in range(50)))
    with Ranges(topics) as ranges:
        assert offsets(ranges.read("clicks", 0, 10, 95, 20)) == list(range(10, 95))
        found = list(ranges.read("clicks", 1, 0, 50, 20))
        assert offsets(found) == list(range(50))
        assert max(len(each.records) for each in found) <= 20
        assert found[-1].end == 50
        assert list(ranges.read("clicks", 1, 7, 7, 20)) == []
        assert offsets(ranges.read("clicks", 0, 99, 100, 20)) == [99]


def test_short_ranges_one_after_another_are_not_waited_for(topics: Settings) -> None:
    """A worker with 64 partitions restores 400 of them: at half a second or one each that is minutes."""
    places = [("clicks", 0), ("conversions", 0), ("clicks", 1)]
    for topic, number in places:
        put(topics, topic, number, [b"a", b"b"])
    waited = 0
    for _ in range(4):
        with Ranges(topics) as ranges:
            for topic, number in places * 2:
                found = list(ranges.read(topic, number, 0, 2, 20))
                waited += sum(not each.records for each in found)
                assert offsets(found) == [0, 1]
    assert waited < 5, "how often Kafka said nothing in 24 ranges: 40 times with its usual wait"


def test_a_range_beyond_the_logs_end_ends_there(topics: Settings) -> None:
    put(topics, "clicks", 0, [b"a", b"b"])
    with Ranges(topics) as ranges:
        found = list(ranges.read("clicks", 0, 0, 100, 20))
        assert (offsets(found), found[-1].end) == ([0, 1], 2)
        found = list(ranges.read("clicks", 1, 0, 100, 20))
        assert (offsets(found), found[-1].end) == ([], 0)


def test_what_was_deleted_is_passed_and_the_offset_tells(topics: Settings) -> None:
    put(topics, "clicks", 0, [b"%d" % number for number in range(10)])
    admin = cka.AdminClient({"bootstrap.servers": topics.kafka})
    (deleted,) = admin.delete_records([ck.TopicPartition(topics.topic_prefix + "clicks", 0, 6)]).values()
    deleted.result(60)
    with Ranges(topics) as ranges:
        assert offsets(ranges.read("clicks", 0, 2, 8, 20)) == [6, 7]
        (found,) = [each for each in ranges.read("clicks", 0, 2, 5, 20) if each.end > 2]
        assert found.records == []
        assert found.end >= 5


def test_an_offset_beyond_another_log_is_read_from_its_start(topics: Settings) -> None:
    put(topics, "clicks", 0, [b"a", b"b"])
    with Ranges(topics) as ranges:
        found = list(ranges.read("clicks", 0, 50, 100, 20))
    assert (offsets(found), found[-1].end) == ([0, 1], 2)
