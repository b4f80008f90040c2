"""The restorer: brings back states one after another, in a thread, while other partitions go on."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol, Self

from service.kafka import Ranges, Record
from service.settings import Settings
from streams.metrics import Metrics
from streams.restoring import restore
from streams.restoring.progress import Progress
from streams.restoring.restore import Span
from streams.state.partition import Partition

log = logging.getLogger(__name__)

TELL_S: Final = 10.0  # between two lines of progress


class Source(restore.Source, Protocol):
    """What is asked of service.kafka.Ranges."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class Job(NamedTuple):
    """A partition, and what it lacks."""

    partition: Partition
    spans: tuple[Span, ...]


Keep = Callable[[Partition, str, Sequence[Record], int], None]
"""Records of a topic are in the state, silently, with the offset after them."""

Whole = Callable[[Partition], Awaitable[None]]
"""Takes a partition that lacks nothing any more."""

Say = Callable[[str], Awaitable[None]]
"""Tells those who look from outside that the work goes on."""


class Restorer:
    """Partitions on their way back. Belongs to one event loop, and one thread at a time works for it."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        keep: Keep,
        whole: Whole,
        say: Say,
        source: Callable[[Settings], Source] = Ranges,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._keep = keep
        self._whole = whole
        self._say = say
        self._source = source
        self._jobs: deque[Job] = deque()
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()  # one job from its start to its end, or a drop
        self._dropped = threading.Event()
        self._progress = Progress()
        self._told_s = 0.0

    @property
    def partitions(self) -> int:
        """How many are not whole yet."""
        return len(self._jobs)

    def told(self) -> str:
        """How far it has come, nothing while nothing is restored: for /readyz."""
        return self._progress.told(time.monotonic())

    def begin(self, jobs: Sequence[Job]) -> None:
        """These come back after those before them."""
        rows = [sum(span.end - span.start for span in job.spans) for job in jobs]
        self._progress.expect(rows, time.monotonic())
        self._told_s = time.monotonic()
        self._jobs += jobs
        self._asked.set()
        if jobs:
            log.warning(
                "the state of %d partitions is lost or stale: restoring %d rows from Kafka before anything"
                " of them is decided",
                len(jobs),
                sum(rows),
            )

    async def drop(self) -> list[Partition]:
        """Nothing is restored any more; the partitions that are not whole, for their owner to close."""
        self._dropped.set()
        async with self._turn:
            left = [job.partition for job in self._jobs]
            self._jobs.clear()
            self._dropped = threading.Event()
            self._progress = Progress()
            self._show()
        return left

    async def run(self) -> None:
        """What `begin` asks for comes back, until cancelled."""
        while True:
            await self._asked.wait()
            async with self._turn:
                if self._jobs:
                    await self._restore(self._jobs[0])
                else:
                    self._asked.clear()

    async def _restore(self, job: Job) -> None:
        dropped = self._dropped
        reading = asyncio.ensure_future(asyncio.to_thread(self._read, job, dropped.is_set))
        while not (await asyncio.wait({reading}, timeout=self._quiet_s()))[0]:
            await self._tell()
        await reading
        if dropped.is_set():
            return
        self._jobs.popleft()
        await self._whole(job.partition)
        told = self.told()
        self._progress.partition_done()
        self._show()
        if not self._jobs:
            log.warning("restored: %s", told)
        elif not self._quiet_s():
            await self._tell()

    def _quiet_s(self) -> float:
        """Until something is to be said again: whatever a partition takes, many short ones take long."""
        return max(0.0, self._told_s + TELL_S - time.monotonic())

    async def _tell(self) -> None:
        self._told_s = time.monotonic()
        log.info("restoring: %s", self.told())
        await self._say(self.told())

    def _read(self, job: Job, dropped: Callable[[], bool]) -> None:
        """In a thread of its own."""

        def write(topic: str, records: Sequence[Record], end: int, rows: int) -> None:
            self._keep(job.partition, topic, records, end)
            self._progress.read(rows)
            self._metrics.restored.inc(rows)
            self._show()

        with self._source(self._settings) as source:
            restore.read(source, job.partition.number, job.spans, write, dropped)
        job.partition.sync()

    def _show(self) -> None:
        self._metrics.restoring.set(self._progress.partitions_left)
        self._metrics.restore_left.set(self._progress.rows_left)
