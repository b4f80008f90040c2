"""What the shipper's tests share: a Kafka in memory, and an edge whose journal is carried to it.

The fake passes the same contract suite as the real one (test_contract.py).
"""

import asyncio
import contextlib
import copy
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import msgspec
from prometheus_client import CollectorRegistry

from ingest.journal import cursor, frames
from ingest.journal.counters import Counters
from ingest.journal.cursor import Cursor
from ingest.journal.directory import Directory
from ingest.journal.frames import Entry
from ingest.journal.journal import Journal
from ingest.journal.kept import Limits
from ingest.new_log import Watch, receipt_of
from ingest.shipping.carrier import Carrier, Clock, Means
from ingest.shipping.figures import Figures
from schemas.topics import FACTS
from service.errors import Unavailable
from service.kafka import Outcome, Outgoing, Partition, Record, Turned
from service.outage import Outage
from tests.ingest.fakes import NOW_MS
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.samples import Draw

ROOT = Path("/state/journal")
OWN = ROOT / "0"
PARTITIONS = 3
DEADLINE_S = 60.0

_ids = itertools.count(1)


async def until(holds: Callable[[], object]) -> None:
    """It holds; the test fails where it does not come to that."""
    limit = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < limit
        await asyncio.sleep(0.001)


class FakeTopic:
    """Its identity, its records by partition, and the first offset that is still there."""

    def __init__(self, partitions: int) -> None:
        self.id = f"topic-{next(_ids)}"
        self.logs: list[list[tuple[bytes, bytes]]] = [[] for _ in range(partitions)]
        self.starts = [0] * partitions


class FakeKafka:
    """Kafka as a producer and as one who asks know it (ingest.shipping.carrier.Sender, ingest.new_log.Logs).

    gone: why nobody answers. held: what waits for an answer while `hold` is set, in the order of sending.
    """

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self.cuts = 0
        self.gone = ""
        self.hold = False
        self.held: list[tuple[list[Outgoing], asyncio.Future[Outcome]]] = []
        self.max_bytes = max_bytes
        self.refused: set[bytes] = set()
        self.asked = 0
        self.renewed = 0
        self.wipe()
        self.cuts = 0

    # As a broker's disk has it

    def wipe(self) -> None:
        """Another, empty cluster is there, its topics made."""
        self.cluster = f"cluster-{next(_ids)}"
        self.topics = {name: FakeTopic(PARTITIONS) for name in (*FACTS, "quarantine")}
        self.cuts += 1

    def copied(self) -> tuple[str, dict[str, FakeTopic]]:
        """The disk as it is now."""
        return self.cluster, copy.deepcopy(self.topics)

    def restore(self, older: tuple[str, dict[str, FakeTopic]]) -> None:
        """The broker came back with this older copy of its disk."""
        self.cluster, self.topics = copy.deepcopy(older)
        self.cuts += 1

    def remake(self, topic: str) -> None:
        """The topic was deleted and made again; no connection ends."""
        self.topics[topic] = FakeTopic(PARTITIONS)

    def fill(self, count: int) -> None:
        """Another collector's events, so many in each partition."""
        for name in FACTS:
            for log in self.topics[name].logs:
                log += [(b"", b'{"receipt_id":"of-another-%d"}' % next(_ids)) for _ in range(count)]

    def retire(self, topic: str, count: int) -> None:
        """Retention removed what lay before this offset."""
        self.topics[topic].starts = [count] * PARTITIONS

    # As a producer knows it

    def ship(self, records: Sequence[Outgoing]) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self.hold:
            self.held.append((list(records), future))
        else:
            asyncio.get_running_loop().call_soon(self._answer, list(records), future)
        return future

    def renew(self) -> None:
        self.renewed += 1
        self.cuts += 1

    def answer(self, index: int = 0) -> None:
        """One of those that wait is answered."""
        self._answer(*self.held.pop(index))

    def release(self) -> None:
        """All that wait are answered, and whoever comes."""
        self.hold = False
        while self.held:
            self.answer()

    def _answer(self, records: list[Outgoing], future: asyncio.Future[Outcome]) -> None:
        if future.done():
            return
        outcome = Outcome({}, [], self.gone, self.cuts)
        for record in records if not self.gone else ():
            if record.topic not in self.topics:
                outcome = outcome._replace(lost=f"Kafka has no topic {record.topic}")
            elif len(record.value) > self.max_bytes:
                outcome.turned.append(Turned(record, "too large", too_large=True))
            elif record.value in self.refused:
                outcome.turned.append(Turned(record, "invalid", too_large=False))
            else:
                kept = self._append(record)
                outcome.last[kept.topic, kept.partition] = kept
        future.set_result(outcome)

    def _append(self, record: Outgoing) -> Record:
        topic = self.topics[record.topic]
        number = crc32(record.key) % len(topic.logs) if record.partition is None else record.partition
        topic.logs[number].append((record.key, record.value))
        return self._record(record.topic, number, len(topic.logs[number]) - 1)

    def _record(self, topic: str, number: int, offset: int) -> Record:
        return Record(topic, number, offset, NOW_MS, *self.topics[topic].logs[number][offset])

    # As one who asks knows it

    def _ask(self) -> None:
        self.asked += 1
        if self.gone:
            raise Unavailable(self.gone)

    def identities(self) -> dict[str, str]:
        self._ask()
        for name in FACTS:
            if name not in self.topics:
                raise Unavailable(f"Kafka has no topic {name}: roundtrip migrate")
        return {name: f"{self.cluster}:{self.topics[name].id}" for name in FACTS}

    def records_at(self, offsets: Mapping[Partition, int]) -> dict[Partition, Record | None]:
        self._ask()
        return {each: self._at(*each, offset) for each, offset in offsets.items()}

    def _at(self, topic: str, number: int, offset: int) -> Record | None:
        if topic not in self.topics or number >= len(self.topics[topic].logs):
            return None
        log, start = self.topics[topic].logs[number], self.topics[topic].starts[number]
        return self._record(topic, number, offset) if start <= offset < len(log) else None

    def start_offsets(self, topics: Iterable[str]) -> dict[Partition, int]:
        self._ask()
        return {
            (name, number): start
            for name in topics
            if name in self.topics
            for number, start in enumerate(self.topics[name].starts)
        }

    # As a test sees it

    def values(self, topic: str) -> list[list[bytes]]:
        return [[value for _, value in log] for log in self.topics[topic].logs]

    @property
    def receipts(self) -> list[str]:
        """Of every record in the fact topics and in the quarantine."""
        return [
            receipt_of(value)
            for name in (*FACTS, "quarantine")
            if name in self.topics
            for log in self.values(name)
            for value in log
        ]


class Edge:
    """A journal on a simulated disk, written by its own code, and the carrier that ships it.

    seconds: the carrier's clock, which only a test moves. waits: how long the carrier wanted to wait.
    """

    def __init__(
        self, kafka: FakeKafka, *, segment_bytes: int = 1_000_000, limits: Limits | None = None
    ) -> None:
        self.kafka = kafka
        self.disk = SimulatedDisk()
        self.segment_bytes = segment_bytes
        self.limits = limits or Limits(86_400_000, 1 << 30)
        self.registry = CollectorRegistry()
        self.figures = Figures(self.registry)
        self.counters = Counters(CollectorRegistry())
        self.server = Outage("Kafka")
        self.draw = Draw()
        self.seconds = 1_000.0
        self.now_ms = NOW_MS
        self.waits: list[float] = []
        self.receipts: list[str] = []
        self.reopen()

    def reopen(self) -> None:
        """The process is another one."""
        self.disk.kill()
        self.journal = Journal(
            Directory(self.disk, ROOT),
            segment_bytes=self.segment_bytes,
            counters=self.counters,
            draw=self.draw,
            clock_ms=lambda: self.now_ms,
        )
        self.journal.start()
        self.watch = Watch(self.kafka)

    def accept(self, count: int = 1, *, topic: str = "clicks", pad: int = 0) -> list[str]:
        """The receipts of so many events more, on stable storage."""
        epoch, last = self.journal.how_far()
        new = [f"{epoch}-{last + n}" for n in range(1, count + 1)]
        self.journal.commit(
            [
                frames.encode(
                    Entry(
                        topic,
                        last + n,
                        self.now_ms,
                        receipt.encode(),
                        msgspec.json.encode({"receipt_id": receipt, "pad": "x" * pad}),
                    )
                )
                for n, receipt in enumerate(new, 1)
            ]
        )
        self.receipts += new
        return new

    @property
    def means(self) -> Means:
        return Means(
            disk=self.disk,
            sender=self.kafka,
            watch=self.watch,
            server=self.server,
            figures=self.figures,
            counters=self.counters,
            limits=self.limits,
            linger_s=0.05,
            clock=Clock(lambda: self.seconds, lambda: self.now_ms, self._wait),
        )

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def turns(self, count: int = 10) -> None:
        """The carrier has come round so many times more: whatever was to happen has happened."""
        enough = len(self.waits) + count
        await until(lambda: len(self.waits) >= enough)

    def carrier(self) -> Carrier:
        return Carrier(self.means, OWN, lambda: self.journal.committed)

    @contextlib.asynccontextmanager
    async def carrying(self) -> AsyncIterator[Carrier]:
        """A carrier works; at the end it dies, as a process does: nothing is saved."""
        carrier = self.carrier()
        work = asyncio.create_task(carrier.run())
        try:
            yield carrier
        finally:
            work.cancel()
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()

    async def ship_all(self) -> Carrier:
        """Everything is shipped, and the cursor saved."""
        carrier = self.carrier()
        carrier.finish()
        await asyncio.wait_for(carrier.run(), DEADLINE_S)
        await carrier.logbook.save()
        return carrier

    @property
    def saved(self) -> Cursor:
        return cursor.load(self.disk, OWN)

    def count(self, name: str) -> float:
        return self.registry.get_sample_value(name) or 0.0
