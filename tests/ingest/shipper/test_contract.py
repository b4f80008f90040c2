"""What the shipper relies on of Kafka: the fake and the real one pass the same suite."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import confluent_kafka as ck
import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from deploy.kafka_server import KafkaServer
from ingest.new_log import KafkaLogs, Logs
from ingest.shipping.carrier import Sender
from schemas.topics import FACTS
from service.errors import Unavailable
from service.kafka import Admin, Outgoing, Producer, TopicSpec
from service.settings import Settings
from tests.ingest.shipper.fakes import PARTITIONS, FakeKafka

MAX_BYTES = 20_000
_prefix = itertools.count()


class Both(NamedTuple):
    """A Kafka with every fact topic, as a sender and as one who asks.

    lose: a topic is deleted. retire: what a topic has before an offset is removed from each partition.
    """

    sender: Sender
    logs: Logs
    lose: Callable[[str], object]
    retire: Callable[[str, int], object]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def real(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Producer, Both]:
    address = request.getfixturevalue("broker").address
    mine = Settings(
        dir=tmp_path, kafka=address, topic_prefix=f"c{next(_prefix)}-", replication=1, partitions=PARTITIONS
    )
    with Admin(mine) as admin:
        admin.ensure_topics(
            [TopicSpec(topic, PARTITIONS, 1, {"max.message.bytes": str(MAX_BYTES)}) for topic in FACTS]
        )
    producer = Producer(mine)
    client = AdminClient({"bootstrap.servers": address})

    def lose(topic: str) -> None:
        for future in client.delete_topics([mine.topic_prefix + topic]).values():
            future.result()

    def retire(topic: str, count: int) -> None:
        places = [ck.TopicPartition(mine.topic_prefix + topic, n, count) for n in range(PARTITIONS)]
        for future in client.delete_records(places).values():
            future.result()

    return producer, Both(producer, KafkaLogs(mine), lose, retire)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.stack)])
async def kafka(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Both]:
    if request.param == "fake":
        fake = FakeKafka(MAX_BYTES)
        yield Both(fake, fake, fake.topics.pop, fake.retire)
        return
    producer, both = real(request, tmp_path)
    yield both
    await producer.close()


def records(count: int, topic: str = "clicks") -> list[Outgoing]:
    return [Outgoing(topic, b"k%d" % n, b'{"receipt_id":"e-%d"}' % n) for n in range(count)]


async def ask(call: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(call, *arguments)


async def test_another_producer_takes_over_and_counts_as_a_cut(kafka: Both) -> None:
    before = kafka.sender.cuts
    kafka.sender.renew()
    outcome = await kafka.sender.ship(records(3))
    assert (outcome.turned, outcome.lost, outcome.cuts) == ([], "", before + 1)
    assert sum(last.offset + 1 for last in outcome.last.values()) == 3


async def test_the_last_record_of_each_partition_lies_where_it_is_said_to_lie(kafka: Both) -> None:
    outcome = await kafka.sender.ship(records(50))
    assert outcome[1:] == ([], "", kafka.sender.cuts)
    assert set(outcome.last) == {("clicks", number) for number in range(PARTITIONS)}
    found = await ask(
        kafka.logs.records_at, {partition: last.offset for partition, last in outcome.last.items()}
    )
    assert {partition: record.value for partition, record in found.items()} == {
        partition: last.value for partition, last in outcome.last.items()
    }


async def test_a_key_stays_in_its_partition_and_offsets_grow(kafka: Both) -> None:
    first = await kafka.sender.ship([Outgoing("pixels", b"k", b"1")])
    second = await kafka.sender.ship([Outgoing("pixels", b"k", b"2")])
    assert first.last.keys() == second.last.keys()
    (before,), (after,) = first.last.values(), second.last.values()
    assert after.offset == before.offset + 1


async def test_what_is_too_large_is_turned_away_and_the_others_are_there(kafka: Both) -> None:
    large = Outgoing("clicks", b"large", random.Random(1).randbytes(2 * MAX_BYTES), 0)
    outcome = await kafka.sender.ship([large, *(Outgoing("clicks", b"", b"small", n) for n in (1, 2))])
    ((record, _, too_large),) = outcome.turned
    assert (record.topic, record.key, record.value, too_large) == ("clicks", b"large", large.value, True)
    assert (set(outcome.last), outcome.lost) == ({("clicks", 1), ("clicks", 2)}, "")


async def test_a_topic_that_is_not_there_loses_its_records(kafka: Both) -> None:
    await ask(kafka.lose, "adjustments")
    limit = time.monotonic() + 120
    while not (await kafka.sender.ship(records(1, "adjustments"))).lost:  # a topic dies a while
        assert time.monotonic() < limit
    with pytest.raises(Unavailable, match="adjustments"):
        await ask(kafka.logs.identities)


@pytest.mark.stack
def test_nothing_is_shipped_to_topics_of_another_number_of_partitions(
    broker: KafkaServer, tmp_path: Path
) -> None:
    mine = Settings(dir=tmp_path, kafka=broker.address, topic_prefix=f"c{next(_prefix)}-", partitions=2)
    with Admin(mine) as admin:
        admin.ensure_topics([TopicSpec(topic, 2, 1, {}) for topic in FACTS])
    assert set(KafkaLogs(mine).identities()) == set(FACTS)
    other = msgspec.structs.replace(mine, partitions=3)
    with pytest.raises(Unavailable, match="clicks has 2 partitions, ROUNDTRIP_PARTITIONS says 3"):
        KafkaLogs(other).identities()


async def test_a_shipment_of_nothing_ends(kafka: Both) -> None:
    assert (await kafka.sender.ship([]))[:3] == ({}, [], "")


async def test_identities_are_of_every_fact_topic_and_stay(kafka: Both) -> None:
    identities = await ask(kafka.logs.identities)
    assert set(identities) == set(FACTS)
    assert len(set(identities.values())) == len(FACTS)
    assert await ask(kafka.logs.identities) == identities


async def test_beyond_the_end_nothing_lies(kafka: Both) -> None:
    outcome = await kafka.sender.ship(records(9))
    ends = {partition: last.offset + 1 for partition, last in outcome.last.items()}
    nowhere = {("clicks", 77): 0, ("absent", 0): 0, ("postbacks", 0): 5}
    assert set((await ask(kafka.logs.records_at, ends | nowhere)).values()) == {None}


async def test_first_offsets_are_those_of_each_partition(kafka: Both) -> None:
    assert await ask(kafka.logs.start_offsets, ["clicks", "pixels"]) == {
        (topic, number): 0 for topic in ("clicks", "pixels") for number in range(PARTITIONS)
    }


async def test_what_retention_removed_is_told_by_the_first_offset(kafka: Both) -> None:
    await kafka.sender.ship(
        [Outgoing("clicks", b"", b"%d" % n, p) for n in range(9) for p in range(PARTITIONS)]
    )
    await ask(kafka.retire, "clicks", 6)
    assert await ask(kafka.logs.start_offsets, ["clicks"]) == {("clicks", n): 6 for n in range(PARTITIONS)}
    asked = {("clicks", 0): 2, ("clicks", 1): 6}
    found = await ask(kafka.logs.records_at, asked)
    assert found["clicks", 0] is None
    assert found["clicks", 1].value == b"6"
