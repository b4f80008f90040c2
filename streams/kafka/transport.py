"""Faust's transport for whole fetches: one message is all that one poll of Kafka brought.

With the commit point (kafka/commit.py), the reason why Faust can be used: it keeps membership, assignment,
rebalances and lifecycle, while records do not pass through it one at a time (13 400 a CPU-second; whole
fetches reach ten times that), and no queue, acknowledgement or restart of its own says where reading goes on:

- After each assignment reading starts where `start_at` says, not at the committed offset.
- A hole in what was handled is read again: the next slice shows it (kafka/client.py); where nothing new
  comes, `look_for_holes` does.
- An offset that the log does not have (another log, records deleted unread) is never passed over: `start_at`
  is asked again.
- What in aiokafka ends without a word ends the process (streams/kafka/liveness.py).
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import ClassVar, Final

import faust
from aiokafka.errors import IllegalStateError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from service.errors import Problem
from service.settings import Settings
from streams.kafka import commit, liveness
from streams.kafka.client import FAUST_LOG, ConsumerThread, positions
from streams.kafka.fence import Fence
from streams.kafka.fetch import Fetch, message

log = logging.getLogger(__name__)

WRITTEN_FOR: Final = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
}  # a test compares

LOOK_S: Final = 2.0  # between two looks for a lost fetch

StartAt = Callable[[frozenset[TP]], Awaitable[Mapping[TP, int] | None]]
"""For what is assigned now, where to begin. Takes as long as it must; None: a new assignment was quicker."""

Released = Callable[[frozenset[TP]], Awaitable[None]]
"""These partitions may belong to another worker from now on."""


class Consumer(commit.CommittingConsumer):
    """Yields fetches; commits what was handled."""

    logger = FAUST_LOG

    transport: "FetchTransport"

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109  Faust's
        """At most one message: all that a poll brought."""
        try:
            found, _ = await self._wait_next_records(timeout)
        except OffsetOutOfRangeError as error:
            await self._find_place(error)
            return
        if not found or self.should_stop or not self.flow_active:
            return  # where a rebalance came between, `perform_seek` puts the positions right
        tp, last = next(reversed(found.items()))
        yield tp, message(tp, last, Fetch(tuple(found.values())), self.app.consumer_generation_id)

    async def perform_seek(self) -> None:
        """Reading goes on where `start_at` says."""
        assigned = frozenset(self.assignment())
        offsets = await self.transport.start_at(assigned)
        if offsets is None:
            raise IllegalStateError("assigned anew")  # Faust's word for: wait for the next assignment
        await self.seek_wait(offsets)
        self.point.begin(offsets)

    async def _find_place(self, error: OffsetOutOfRangeError) -> None:
        """As after an assignment; but first the fetch in work ends, which counts in the old log's offsets."""
        log.warning("the log does not have %s; looking where to go on", error.args[0])
        await self.look_again()

    async def look_again(self) -> None:
        """Reading goes on where `start_at` says, once the fetch in work has ended."""
        while self._unacked_messages and self.flow_active:
            await self._wait_for_ack(timeout=1)
        if self.flow_active:
            with contextlib.suppress(IllegalStateError):
                await self.perform_seek()

    async def rewind(self, offsets: Mapping[TP, int]) -> None:
        """Reading goes on at these offsets. Safe at any time: what was handled is known by its offset."""
        with contextlib.suppress(
            IllegalStateError
        ):  # taken away meanwhile: its next owner knows where to begin
            await self.seek_wait({tp: offset for tp, offset in offsets.items() if tp in self.assignment()})

    async def hold(self, partitions: Iterable[TP]) -> None:
        """Of what is assigned all but these is read, until `go_on` or the next assignment."""
        held = set(partitions)
        self.resume_partitions(self.assignment() - held)
        self.pause_partitions(held)

    async def go_on(self, offsets: Mapping[TP, int]) -> None:
        """These are read again, from these offsets on."""
        await self.rewind(offsets)
        self.resume_partitions(self.assignment() & offsets.keys())

    async def say(self, note: str) -> None:
        """What is committed is committed again with a note: from outside, the group is seen to work."""
        await self._thread.call_thread(self._thread.say, dict(self.point.handled), note)

    @faust.Service.task  # type: ignore[untyped-decorator]  # untyped
    async def _look(self) -> None:
        before: dict[TP, int] = {}
        while not self.should_stop:
            await self.sleep(LOOK_S)
            self.look_for_silence()
            before = await self.look_for_holes(before)

    def look_for_silence(self) -> None:
        """Aiokafka does its work. Problem where some of it is over: only a new process reads again."""
        consumer = self._thread._consumer  # noqa: SLF001  Faust's own way
        if consumer and not self.should_stop and (over := liveness.silent(consumer)):
            raise Problem(f"Kafka's client stopped working: {over}")

    async def look_for_holes(self, before: Mapping[TP, int]) -> dict[TP, int]:
        """Where reading is ahead of what was handled though nothing is in work; the same twice is read again.

        Faust has several ways to drop a fetch. The next would show the hole; on a quiet topic none comes.
        """
        if self._unacked_messages or not self.flow_active:
            return {}
        handled = self.point.handled
        read = positions(self._thread._ensure_consumer(), list(handled))  # noqa: SLF001  Faust's own way
        ahead = {tp: offset for tp, offset in read.items() if offset > handled[tp]}
        lost = {tp: handled[tp] for tp, offset in ahead.items() if before.get(tp) == offset}
        for tp, offset in lost.items():
            log.warning("%s/%d: read to %d, handled to %d; reading again", *tp, ahead[tp], offset)
        if lost:
            await self.rewind(lost)
        return ahead

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """What was in work is done and committed, and what was kept for these partitions is closed."""
        await super().on_partitions_revoked(revoked)
        await self.transport.released(frozenset(revoked))
        self.point.drop(revoked)

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: a full queue makes the fetcher wait; no single partition is at fault."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing, as above."""

    async def verify_all_partitions_active(self) -> None:
        """Nothing: Faust's own check counts records one by one and would cry wolf; /readyz has ours."""


class FetchTransport(driver.Transport):  # type: ignore[misc]  # untyped
    """Faust's aiokafka transport with the consumer above."""

    Consumer: ClassVar[type[Consumer]] = Consumer

    def __init__(self, app: faust.App, settings: Settings, start_at: StartAt, released: Released) -> None:
        super().__init__([], app)
        self.settings = settings
        self.start_at = start_at
        self.released = released
        self.fence = Fence(settings.kafka_session_s)
