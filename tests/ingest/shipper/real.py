"""A collector's journal and shipper without its HTTP, on a real disk and a real Kafka."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from deploy.kafka_server import KafkaServer
from ingest import shipper
from ingest.journal import cursor, frames
from ingest.journal.counters import Counters
from ingest.journal.cursor import Cursor
from ingest.journal.directory import Directory
from ingest.journal.disk import RealDisk
from ingest.journal.frames import Entry
from ingest.journal.journal import Journal
from ingest.new_log import receipt_of
from ingest.shipper import Shipper
from ingest.shipping.figures import Figures
from schemas.topics import FACTS
from service.kafka import Admin, Producer, TopicSpec, read_range
from service.settings import Settings

DEADLINE_S = 120.0
TOPICS = (*FACTS, "quarantine")


def migrate(mine: Settings, config: dict[str, str] | None = None) -> None:
    with Admin(mine) as admin:
        admin.ensure_topics([TopicSpec(name, mine.partitions, 1, config or {}) for name in FACTS])
        admin.ensure_topics([TopicSpec("quarantine", mine.partitions, 1)])


def wipe(broker: KafkaServer) -> None:
    """Killed, and its disk is lost; it is there again, empty."""
    broker.kill()
    shutil.rmtree(broker.directory / "data")
    broker.start()


def values(mine: Settings, *topics: str) -> list[bytes]:
    """Every record of these topics."""
    with Admin(mine) as admin:
        ends = admin.end_offsets(topics)
    return [
        record.value
        for (topic, number), end in ends.items()
        if end
        for record in read_range(mine, topic, number, 0, end)
    ]


# The kernel ends a server together with the thread that started it: this one lasts.
_operator = ThreadPoolExecutor(1, thread_name_prefix="operator")


async def operated(act: Callable[..., object], *arguments: object) -> None:
    """Done by an operator, while the event loop goes on."""
    await asyncio.get_running_loop().run_in_executor(_operator, act, *arguments)


async def receipts(mine: Settings, *topics: str) -> list[str]:
    found = await asyncio.to_thread(values, mine, *(topics or FACTS))
    return [receipt_of(value) for value in found]


async def until_there(mine: Settings, wanted: list[str]) -> list[str]:
    """The receipts in Kafka, once it has all of these."""
    limit = time.monotonic() + DEADLINE_S
    while not set(found := await receipts(mine, *TOPICS)) >= set(wanted):
        assert time.monotonic() < limit, f"{len(set(wanted) - set(found))} of {len(set(wanted))} are missing"
        await asyncio.sleep(0.2)  # the pause between two looks
    return found


async def until(holds: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    limit = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < limit
        await asyncio.sleep(0.01)


class RealEdge:
    """receipts: of every event that was accepted."""

    def __init__(self, mine: Settings) -> None:
        self.settings = mine
        self.receipts: list[str] = []
        self.registry = CollectorRegistry()
        counters = Counters(CollectorRegistry())
        directory = Directory(RealDisk(), mine.dir / "journal")
        self.journal = Journal(
            directory,
            segment_bytes=100_000,
            counters=counters,
            draw=os.urandom,
            clock_ms=lambda: time.time_ns() // 1_000_000,
        )
        self.journal.start()
        self._path = self.journal.path or Path()
        self.producer = Producer(mine)
        means = shipper.means(mine, directory, self.producer, Figures(self.registry), counters)
        self.shipper = Shipper(means, self.journal, directory, lambda *_: None)
        self.shipper.start(lambda work, name: asyncio.get_running_loop().create_task(work, name=name))

    @property
    def path(self) -> Path:
        """Of the journal, also when it is closed."""
        self._path = self.journal.path or self._path
        return self._path

    @property
    def saved(self) -> Cursor:
        return cursor.load(RealDisk(), self.path)

    def accept(self, count: int, *, topic: str = "clicks", pad: bytes = b"") -> list[str]:
        epoch, last = self.journal.how_far()
        new = [f"{epoch}-{last + n}" for n in range(1, count + 1)]
        group = []
        for n, receipt in enumerate(new, 1):
            value = msgspec.json.encode({"receipt_id": receipt, "pad": pad.hex() or "x" * 400})
            group.append(frames.encode(Entry(topic, last + n, 0, receipt.encode(), value)))
        self.journal.commit(group)
        self.receipts += new
        return new

    @contextlib.asynccontextmanager
    async def traffic(self) -> AsyncIterator[None]:
        """Some 500 events a second arrive meanwhile."""

        async def arrive() -> None:
            while True:
                self.accept(10)
                await asyncio.sleep(0.02)

        arriving = asyncio.create_task(arrive())
        try:
            yield
        finally:
            arriving.cancel()

    async def shipped(self) -> None:
        """Kafka has acknowledged everything."""
        await until(lambda: self.shipper._own)
        limit = time.monotonic() + DEADLINE_S
        while (await self.shipper.backlog()).events:
            assert time.monotonic() < limit
            await asyncio.sleep(0.01)

    async def close(self, grace_s: float = 60.0) -> None:
        await self.shipper.close(grace_s)
        await self.producer.close(0.5)
        self.journal.close()

    def count(self, name: str) -> float:
        return self.registry.get_sample_value(name) or 0.0
