"""Admission: when may we say yes.

An event is accepted once it is on stable storage: this machine's disk, which holds it until Kafka has it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import msgspec

from ingest.journal import frames
from ingest.journal.counters import Counters
from ingest.journal.frames import Entry
from ingest.journal.hand import Hand
from ingest.journal.journal import Journal
from ingest.receipts import Receipt, Series
from schemas import facts
from schemas.facts import AnyFact
from service.errors import Refused, Unavailable

log = logging.getLogger(__name__)

Build = Callable[[Receipt], AnyFact]
"""Makes the fact of its receipt; called once, when it is sure to be tried."""

PROBE_S: Final = 0.5  # how long after the disk's return the first yes may come


class Admission(Protocol):
    """What makes events durable."""

    async def accept(self, topic: str, key: str, build: Build) -> str:
        """The receipt's ID, once the event is durable; Unavailable where it is not, or nobody can tell."""

    def problem(self) -> str:
        """Why nothing can be accepted now; empty while it can."""


class Sender(Protocol):
    """Kafka's producer, as far as it is needed here (service.kafka.Producer)."""

    def send(self, topic: str, key: bytes, value: bytes) -> "asyncio.Future[None]":
        """The future ends when Kafka acknowledged: None, Unavailable, or Refused for good."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait for the disk, and how long."""

    records: int
    bytes: int = 67_108_864
    wait_s: float


class _Group:
    """Events that share a write and a sync."""

    __slots__ = ("bytes", "frames", "timer", "waiters")

    timer: asyncio.TimerHandle

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.bytes = 0

    def add(self, frame: bytes, waiter: asyncio.Future[None]) -> None:
        """One more."""
        self.frames.append(frame)
        self.waiters.append(waiter)
        self.bytes += len(frame)

    def tell(self, problem: str) -> None:
        """Everyone who still waits is answered."""
        for waiter in self.waiters:
            if waiter.done():  # it hung up, or waited too long
                continue
            if problem:
                waiter.set_exception(Unavailable(problem))
            else:
                waiter.set_result(None)


class JournalAdmission:
    """Durable means on this machine's disk: a group of events, written and synced.

    One group is written at a time; what arrives meanwhile is the next. An event waits at most `wait_s`: after
    that, and while the disk is known not to answer, the answer is no at once.
    """

    def __init__(
        self, journal: Journal, hand: Hand, bounds: Bounds, counters: Counters, clock_ms: Callable[[], int]
    ) -> None:
        self._journal = journal
        self._hand = hand
        self._bounds = bounds
        self._counters = counters
        self._clock_ms = clock_ms
        self._loop = asyncio.get_running_loop()
        self._problem = "the journal is not open yet"
        self._series: Series | None = None
        self._gathered: _Group | None = None
        self._written: _Group | None = None
        self._records = 0
        self._bytes = 0
        self._tried = asyncio.Event()
        self._idle = asyncio.Event()
        self._again: asyncio.TimerHandle | None = None
        self._closing = False
        counters.waiting.set_function(lambda: self._records)

    async def open(self) -> None:
        """The journal is open, or a first try has failed or hangs; it is tried again by itself."""
        self.try_opening()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), self._bounds.wait_s)

    async def close(self) -> None:
        """What was accepted is on stable storage, and the journal is closed; nothing more is accepted."""
        self._closing = True
        self._problem = "the collector stops"
        if self._again is not None:
            self._again.cancel()
        self._idle.clear()
        if self._gathered or self._written:
            await self._idle.wait()
            self._idle.clear()
        self._hand.do(self._journal.close, lambda _: self._idle.set())
        self._hand.rest()
        await self._idle.wait()

    def problem(self) -> str:
        """Why nothing can be accepted now; empty while it can."""
        return self._problem

    @property
    def fullness(self) -> float:
        """How full the queue for the disk is: 0 is empty, from 1 on everything is refused."""
        return max(self._records / self._bounds.records, self._bytes / self._bounds.bytes)

    async def accept(self, topic: str, key: str, build: Build) -> str:
        """The receipt's ID, once the event is on stable storage.

        Unavailable at once where the disk is known not to take it, and after wait_s: then the event may be
        stored all the same, and a second try repeats it. Refused where it is larger than any fact may be.
        """
        if self._problem or self._series is None:
            raise Unavailable(self._problem)
        if self.fullness >= 1:
            raise Unavailable("too many events wait for the disk")
        receipt = self._series.next()
        value = facts.encode(build(receipt))
        if len(value) > facts.MAX_RECORD_BYTES:
            raise Refused(f"the event has {len(value)} bytes, more than {facts.MAX_RECORD_BYTES}")
        frame = frames.encode(Entry(topic, self._series.sequence, self._clock_ms(), key.encode(), value))
        self._series.use()
        await self._waiter(frame)
        return receipt.receipt_id

    def _waiter(self, frame: bytes) -> asyncio.Future[None]:
        """Ends when the frame is on stable storage."""
        if self._gathered is None:
            self._gathered = group = _Group()
            group.timer = self._loop.call_later(self._bounds.wait_s, self._stalled, group)
            if self._written is None:
                self._loop.call_soon(self._write)  # what else this turn of the loop brings comes with it
        waiter = self._loop.create_future()
        self._gathered.add(frame, waiter)
        self._records += 1
        self._bytes += len(frame)
        return waiter

    def _write(self) -> None:
        group = self._gathered
        if group is None or self._written is not None:
            return
        self._gathered, self._written = None, group
        self._hand.do(partial(self._journal.commit, group.frames), self._wrote)

    def _wrote(self, error: OSError | None) -> None:
        if error is not None:
            self._lost(error)
        elif (group := self._written) is not None:
            self._written = None
            self._leave(group, "")
            self._counters.stored(len(group.frames), group.bytes)
            self._found("")  # it may have been given up
            self._write()
        if self._written is None:
            self._idle.set()

    def _lost(self, error: OSError) -> None:
        """The epoch is over, and everything that was numbered in it fails."""
        self._series = None
        self._failed(error)
        for group in (self._written, self._gathered):
            if group is not None:
                self._leave(group, self._problem)
        self._written = self._gathered = None

    def _leave(self, group: _Group, problem: str) -> None:
        group.timer.cancel()
        group.tell(problem)
        self._records -= len(group.frames)
        self._bytes -= group.bytes

    def _stalled(self, group: _Group) -> None:
        """Nobody waits for the disk any longer; what it still takes is stored and shipped."""
        self._counters.failures.inc()
        self._found(f"the disk has not answered for {self._bounds.wait_s:g} s")
        group.tell(self._problem)

    def _failed(self, error: OSError) -> None:
        self._counters.failures.inc()
        self._found(f"the journal cannot be written: {error.strerror or error}")
        if not self._closing:
            self._again = self._loop.call_later(PROBE_S, self.try_opening)

    def try_opening(self) -> None:
        """The journal is being opened; until it is, and again after each failure."""
        self._hand.do(self._journal.start, self._started)

    def _started(self, error: OSError | None) -> None:
        if error is not None:
            self._failed(error)
        else:
            self._series = Series(self._journal.epoch, self._journal.previous)
            self._found("")
        self._tried.set()

    def _found(self, problem: str) -> None:
        if self._closing or problem == self._problem:
            return
        if problem:
            log.error("cannot accept: %s", problem)
        else:
            log.info("accepting into %s, epoch %s", self._journal.path, self._journal.epoch)
        self._problem = problem
