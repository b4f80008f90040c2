"""Reading goes on on the real Kafka: topics that came late, a client without patience."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import pytest
from faust.types import TP

from deploy.kafka_server import KafkaServer
from schemas.topics import FACTS
from service.kafka import Admin, TopicSpec
from service.settings import Settings
from streams.kafka import app
from streams.kafka.fetch import Fetch

pytestmark = pytest.mark.stack

SOON_S = 120.0  # a look at the topics, a rebalance and a fetch; on a busy machine


class Reader:
    """An app that only reads, and remembers what."""

    def __init__(self, kafka: KafkaServer, directory: Path, prefix: str) -> None:
        self.settings = Settings(dir=directory, kafka=kafka.address, topic_prefix=prefix, partitions=1)
        self.read: list[bytes] = []
        self.starts: list[dict[TP, int]] = []
        self.app = app.build(self.settings, self._handle, self._start_at, self._released)

    async def _handle(self, fetch: Fetch) -> None:
        self.read += [record.value for part in fetch.slices for record in part.records]
        self.app.consumer.handled({TP(part.topic, part.partition): part.end for part in fetch.slices})

    async def _start_at(self, assigned: frozenset[TP]) -> Mapping[TP, int]:
        self.starts.append(dict.fromkeys(assigned, 0))
        return self.starts[-1]

    async def _released(self, _: frozenset[TP]) -> None: ...

    async def migrate(self) -> None:
        with Admin(self.settings) as admin:
            await asyncio.to_thread(admin.ensure_topics, [TopicSpec(topic, 1, 1) for topic in FACTS])

    async def put(self, *values: bytes) -> None:
        producer = ck.Producer({"bootstrap.servers": self.settings.kafka, "linger.ms": 0})
        for value in values:
            producer.produce(self.settings.topic_prefix + "clicks", value)
        assert await asyncio.to_thread(producer.flush, SOON_S) == 0

    async def until(self, settled: Callable[[], Any]) -> None:
        async with asyncio.timeout(SOON_S):
            while not settled():  # noqa: ASYNC110  what is looked at tells nobody
                await asyncio.sleep(0.05)


@pytest.fixture
async def reader(kafka: KafkaServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Reader]:
    made = Reader(kafka, tmp_path, f"r{abs(hash(request.node.name))}-")
    yield made
    await made.app.stop()


async def test_who_joined_before_there_were_topics_reads_soon_after_they_are_there(reader: Reader):
    """A broker that has just started may know none yet, and nobody tells a member that joined then."""
    await reader.app.start()
    await reader.until(lambda: reader.app.consumer_generation_id)
    assert not reader.app.consumer.assignment()
    await reader.migrate()
    await reader.put(b"a")
    await reader.until(lambda: reader.read == [b"a"])


async def test_a_batch_that_outlasts_aiokafkas_patience_costs_no_membership(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
):
    """As while Kafka is away: reading stands still beyond any limit, then the group is joined anew."""
    await reader.migrate()
    await reader.app.start()
    await reader.until(lambda: reader.app.consumer_generation_id)
    consumer = reader.app.consumer._thread._consumer
    state = consumer._subscription
    monkeypatch.setattr(type(state), "fetcher_idle_time", property(lambda _: 86_400.0))
    loop = reader.app.consumer._thread.thread_loop
    before = reader.app.consumer_generation_id
    loop.call_soon_threadsafe(consumer._coordinator.reset_generation)
    await reader.until(lambda: reader.app.consumer_generation_id > before and reader.app.consumer.flow_active)
    await reader.put(b"a")
    await reader.until(lambda: reader.read == [b"a"])
