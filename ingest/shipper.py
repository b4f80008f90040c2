"""The shipper: everything that a collector carries to Kafka: its own journal, and those that others left."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ingest.journal import kept, segments
from ingest.journal.counters import Counters
from ingest.journal.directory import Directory, Held
from ingest.journal.journal import Journal
from ingest.new_log import KafkaLogs, Watch
from ingest.shipping.backlog import Backlog, Measure, Tail
from ingest.shipping.carrier import Carrier, Clock, Means, Sender
from ingest.shipping.figures import Figures
from service import outage
from service.errors import Problem
from service.settings import Settings

log = logging.getLogger(__name__)

OPENED_S: Final = 0.05  # between two looks whether our own journal could be locked
TOGETHER_S: Final = (
    3.0  # processes that start together have each taken one before anyone looks for what is left
)
LOOK_S: Final = 10.0
MEASURE_S: Final = 2.0  # how old the figures of what waits may be
REVISIT_S: Final = 600.0  # a journal in which nothing happens grows old all the same
ROOM_SEGMENTS: Final = 2  # that the disk must have room for: seconds of traffic, and it is looked each second
_HOUR_MS: Final = 3_600_000
_GIB: Final = 1 << 30
_MIB: Final = 1 << 20

Spawn = Callable[[Coroutine[Any, Any, object], str], "asyncio.Task[Any]"]
Tell = Callable[[str, int], None]
"""An epoch, and its last number on stable storage."""


def means(
    settings: Settings, directory: Directory, sender: Sender, figures: Figures, counters: Counters
) -> Means:
    """What carriers work with in a collector."""
    return Means(
        disk=directory.disk,
        sender=sender,
        watch=Watch(KafkaLogs(settings)),
        server=outage.of(f"Kafka at {settings.kafka}"),
        figures=figures,
        counters=counters,
        limits=kept.Limits(
            settings.journal_kept_hours * _HOUR_MS,
            settings.journal_kept_gib * _GIB,
            settings.journal_segment_mib * _MIB * ROOM_SEGMENTS,
        ),
        linger_s=settings.ship_linger_ms / 1000,
        clock=Clock(time.monotonic, lambda: time.time_ns() // 1_000_000),
    )


class Shipper:
    """Ships in the background what the journal has committed, and what others left."""

    def __init__(self, means: Means, journal: Journal, directory: Directory, tell: Tell) -> None:
        self._means = means
        self._journal = journal
        self._directory = directory
        self._tell = tell
        self._own: Carrier | None = None
        self._measure: Measure | None = None
        self._visited: dict[int, object] = {}
        self._unreadable: set[int] = set()
        self._closing = False
        self._work: asyncio.Task[Any] | None = None

    def start(self, spawn: Spawn) -> None:
        """It ships until it is closed."""
        self._work = spawn(self._run(), "shipper")

    async def close(self, grace_s: float) -> None:
        """What could be shipped within grace_s was, and the cursor says it; the rest stays in the journal.

        Before the journal is closed: then others may take it. Kafka is not waited for where it is known to be
        away.
        """
        self._closing = True
        if self._work is None:
            return
        if self._own is not None:
            self._own.finish()
        await asyncio.wait({self._work}, timeout=0 if self._means.server.since else grace_s)
        self._work.cancel()
        await asyncio.wait({self._work})
        if self._own is not None:
            await self._own.logbook.save()

    async def backlog(self) -> Backlog:
        """What our own journal has that Kafka has not acknowledged, which the metrics say from now on.

        Read in a thread: answers do not wait for a disk that hangs.
        """
        if self._own is None or self._measure is None:
            return Backlog()
        cursor = self._own.logbook.cursor
        tail = Tail(*self._journal.how_far(), self._journal.committed)
        found = await asyncio.to_thread(self._measure.backlog, cursor, tail, self._means.clock.now_ms())
        self._means.figures.waits(found)
        return found

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            besides = (self._means.watch.run(), self._ship_left(), self._measure_often())
            others = [group.create_task(each) for each in besides]
            await self._ship_own()
            for task in others:
                task.cancel()

    async def _ship_own(self) -> None:
        while (path := self._journal.path) is None:
            if self._closing:
                return
            await asyncio.sleep(OPENED_S)
        self._measure = Measure(self._means.disk, path)
        self._own = Carrier(self._means, path, lambda: self._journal.committed)
        self._means.figures.kept_bytes.set_function(lambda: self._own.kept_bytes if self._own else 0)
        if self._closing:
            self._own.finish()
        await self._own.run()

    async def _measure_often(self) -> None:
        """For ever: the metrics say what waits."""
        while True:
            await asyncio.sleep(MEASURE_S)
            with contextlib.suppress(OSError):  # the journal itself says what is wrong with the disk
                await self.backlog()

    async def _ship_left(self) -> None:
        """For ever: journals whose owners are gone are shipped."""
        await asyncio.sleep(TOGETHER_S)
        while True:
            # Not before our own is taken, which would be one of those; and what hinders it hinders all.
            if self._own is not None and self._own.well:
                await self._ship_those_left()
            await asyncio.sleep(LOOK_S)

    async def _ship_those_left(self) -> None:
        try:
            left = await asyncio.to_thread(self._directory.left_by_others)
        except OSError as error:
            log.warning("%s: journals left there cannot be looked for: %s", self._directory.root, error)
            return
        with contextlib.ExitStack() as locks:
            for held in left:
                locks.callback(held.lock.release)
            for held in left:
                await self._carry(held)

    async def _carry(self, held: Held) -> None:
        if self._visited.get(held.number) == self._appearance(held):
            return
        try:
            with self._means.figures.adopted.track_inprogress():
                carrier = Carrier(self._means, held.path, lambda: None)
                carrier.finish()
                await carrier.run()
                await carrier.logbook.save()
        except Problem as problem:  # of a later release, whose process will ship it
            if held.number not in self._unreadable:
                self._unreadable.add(held.number)
                log.warning("%s is left as it is: %s", held.path, problem)
            return
        if carrier.well:
            self._visited[held.number] = self._appearance(held)
            epoch, _, last = carrier.logbook.cursor.receipt_id.partition("-")
            self._tell(epoch, int(last or 0))  # its owner, gone, says it no more

    def _appearance(self, held: Held) -> object:
        """What looks different when there is something to do: files, connections, logs, room, or the time."""
        try:
            files = segments.numbers(self._means.disk, held.path)
            short = kept.is_short(self._means.disk, held.path, self._means.limits)
        except OSError:
            return object()  # like nothing else: who tries to ship it says what is wrong
        period = self._means.clock.seconds() // REVISIT_S
        return files, short, self._means.sender.cuts, self._means.watch.latest, period
