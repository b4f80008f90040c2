"""Reading back what lies at given places of many partitions, from a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from service.errors import Unavailable
from service.kafka import Admin, Outgoing, Partition, Producer, TopicSpec, records_at
from service.settings import Settings

pytestmark = pytest.mark.stack


@pytest.fixture
def topics(kafka: Settings) -> Settings:
    with Admin(kafka) as admin:
        admin.ensure_topics([TopicSpec("clicks", 4, 1), TopicSpec("pixels", 4, 1)])
    return kafka


@pytest.fixture
async def producer(topics: Settings) -> AsyncIterator[Producer]:
    own = Producer(topics)
    yield own
    await own.close()


async def back(mine: Settings, offsets: dict[Partition, int]) -> dict[Partition, bytes | None]:
    found = await asyncio.to_thread(records_at, mine, offsets)
    return {partition: record and record.value for partition, record in found.items()}


async def test_a_shipment_says_where_its_last_records_lie_and_there_they_are(
    topics: Settings, producer: Producer
) -> None:
    values = [b"%d" % number for number in range(200)]
    outcome = await producer.ship([Outgoing("clicks", value, value) for value in values])
    assert outcome[1:] == ([], "", producer.cuts)
    assert len(outcome.last) == 4
    assert sum(record.offset + 1 for record in outcome.last.values()) == 200
    found = await back(topics, {partition: record.offset for partition, record in outcome.last.items()})
    assert found == {partition: record.value for partition, record in outcome.last.items()}


async def test_each_place_is_read_by_itself(topics: Settings, producer: Producer) -> None:
    await producer.ship([Outgoing("clicks", b"", b"c%d" % number, 0) for number in range(10)])
    await producer.ship([Outgoing("pixels", b"", b"p%d" % number, 3) for number in range(10)])
    asked = {("clicks", 0): 3, ("pixels", 3): 9, ("pixels", 0): 0, ("clicks", 1): 7, ("nowhere", 0): 1}
    assert await back(topics, {**asked, ("pixels", 77): 0}) == {
        ("clicks", 0): b"c3",
        ("pixels", 3): b"p9",
        ("pixels", 0): None,  # empty
        ("clicks", 1): None,  # the log does not reach so far
        ("nowhere", 0): None,
        ("pixels", 77): None,
    }
    assert await back(topics, {("clicks", 0): 10}) == {("clicks", 0): None}
    assert await back(topics, {}) == {}


async def test_many_places_take_no_longer_than_one(topics: Settings, producer: Producer) -> None:
    large = [Outgoing("clicks", b"%d" % number, b"x" * 20_000) for number in range(400)]
    outcome = await producer.ship(large)
    spent: list[float] = []
    for _ in range(5):  # the quickest counts: a machine is busy now and then, the library waits each time
        began = time.monotonic()
        await back(topics, dict.fromkeys(outcome.last, 0))
        spent.append(time.monotonic() - began)
    assert min(spent) < 4, "with answers of 4 KiB they wait for each other, 8 s"


def test_a_broker_that_is_not_there_is_unavailable_within_the_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        records_at(Settings(kafka="127.0.0.1:1"), {("clicks", 0): 0}, 0.1)
    assert time.monotonic() - began < 9, "where nothing is said it is 10 s"


def test_identities_are_of_the_topics_that_exist_and_change_with_them(topics: Settings) -> None:
    with Admin(topics) as admin:
        before = admin.log_identities(["clicks", "pixels", "nowhere"])
        assert before == {topic: admin.log_identity(topic) for topic in ("clicks", "pixels")}
        assert len(set(before.values())) == 2
