"""Faust's transport for whole fetches: one message is all that one poll of Kafka brought.

With the commit point (streams/commit.py), the reason why Faust can be used: it keeps membership, assignment,
rebalances and lifecycle, while records do not pass through it one at a time (13 400 a CPU-second; whole
fetches reach ten times that), and no queue, acknowledgement or restart of its own says where reading goes on:

- After each assignment reading starts where `start_at` says, not at the committed offset.
- Each slice of a fetch says from where to where it goes, so that the reader sees a hole that a rebalance
  left; where nothing new comes to show it, `look_for_holes` does.
- An offset that the log does not have (another log, records deleted unread) is never passed over: `start_at`
  is asked again.
- What in aiokafka ends without a word ends the process (streams/liveness.py).
- Partitions are dealt out by number (streams/assignor.py), and the fence hears what the group says of us.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple

import aiokafka
import faust
from aiokafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError
from aiokafka.helpers import create_ssl_context
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from service import outage
from service.errors import Problem
from service.settings import Settings
from streams import commit, liveness, reach
from streams.assignor import Assignor
from streams.fence import Fence

log = logging.getLogger(__name__)
FAUST_LOG: Final = logging.getLogger("faust.joiner")  # else mode names one as our module: its chatter as ours

WRITTEN_FOR: Final = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
}  # a test compares

MAX_RECORDS: Final = 4_000  # of one fetch; a fetch is decided in one go, this is about 0.2 s
MAX_PARTITION_BYTES: Final = 256 << 10  # prefetched for each of 5 topics x 64 partitions: 80 MB at the worst
FETCH_WAIT_MS: Final = 500  # how long a broker may hold back an empty answer
LOOK_S: Final = 2.0  # between two looks for a lost fetch
CLOSE_S: Final = 5.0  # to leave the group; who does not is missed after the session's time

StartAt = Callable[[frozenset[TP]], Awaitable[Mapping[TP, int] | None]]
"""For what is assigned now, where to begin. Takes as long as it must; None: a new assignment was quicker."""

Released = Callable[[frozenset[TP]], Awaitable[None]]
"""These partitions may belong to another worker from now on."""


class Slice(NamedTuple):
    """What a fetch brought of one partition: all that its log holds from `start` up to before `end`.

    That may be no record: compaction leaves empty stretches, transactions leave markers.
    log_end: where the log ended when Kafka gave it.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: list[Any]
    log_end: int = 0


class Fetch(NamedTuple):
    """All slices of one poll."""

    slices: tuple[Slice, ...]


class WholeFetch(faust.Schema):  # type: ignore[misc]  # untyped
    """Hands a fetch to the agent as it is: there is nothing to decode in it."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Nothing: a fetch has no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  Faust's signature
        """The fetch."""
        return message.value


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # untyped
    """aiokafka's consumer in its own thread: its heartbeats do not wait for a batch."""

    logger = FAUST_LOG

    def __post_init__(self) -> None:
        super().__post_init__()
        self._read: dict[TP, int] = {}
        """Where the next slice of each partition begins: where the last one ended, or where it was sent."""

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109  Faust's signature
        max_records: int | None = None,
    ) -> dict[TP, Slice]:
        found = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        slices = {}
        for tp, position in _positions(consumer, {*list(active_partitions), *found}).items():
            start = self._read.get(tp, position)
            if position != start or tp in found:
                log_end = consumer.highwater(aiokafka.TopicPartition(*tp)) or 0
                slices[tp] = Slice(tp.topic, tp.partition, start, position, found.get(tp, []), log_end)
                self._read[tp] = position
        return slices

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self._read.update(partitions)
        await super()._seek_wait(consumer, partitions)

    def seek(self, partition: TP, offset: int) -> None:
        """Reading goes on there."""
        self._read[partition] = offset
        super().seek(partition, offset)

    async def on_start(self) -> None:
        """The consumer runs; before it joins, the fence listens to what its group says."""
        await super().on_start()
        self.transport.fence.listen(self._ensure_consumer()._coordinator)  # noqa: SLF001  it tells nobody else

    def on_crash(self, msg: str, *fmt: Any, **_: Any) -> None:
        """One line; the worker sees the crash and ends the process."""
        log.error("%s", msg.format(*fmt))

    async def on_thread_stop(self) -> None:
        """The group was left, if Kafka is there to hear it; if not, aiokafka's tasks end cancelled."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await super().on_thread_stop()
        except (asyncio.CancelledError, KafkaError, TimeoutError) as error:
            log.warning("Kafka was not told that this worker leaves: %r", error)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        kafka = outage.of(f"Kafka at {self.transport.settings.kafka}")
        return await commit.told(kafka, self._ensure_consumer(), offsets)

    async def say(self, offsets: Mapping[TP, int], note: str) -> None:
        """Kafka has the note beside these offsets, if it is there to take it."""
        kafka = outage.of(f"Kafka at {self.transport.settings.kafka}")
        await commit.told(kafka, self._ensure_consumer(), offsets, note)

    def _create_worker_consumer(self, transport: "FetchTransport") -> aiokafka.AIOKafkaConsumer:
        settings = transport.settings
        session_ms = int(settings.kafka_session_s * 1000)
        return aiokafka.AIOKafkaConsumer(
            client_id=f"roundtrip-joiner-{socket.gethostname()}-{os.getpid()}",  # Kafka's own tools show it
            group_id=self.app.conf.id,
            bootstrap_servers=settings.kafka,
            partition_assignment_strategy=[Assignor(partial(reach.read, settings.dir / "joiner"))],
            enable_auto_commit=False,
            auto_offset_reset="none",  # it would go to the log's start and on from there, whatever log it is
            max_poll_records=MAX_RECORDS,
            max_partition_fetch_bytes=MAX_PARTITION_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
            rebalance_timeout_ms=60_000,  # what a batch and the closing of 64 states may take at the worst
            # No limit: a batch waits as long as the broker is away. Beyond it aiokafka leaves the group, and
            # joins again only when somebody reads, and Faust reads only in a group: nothing would ever come.
            max_poll_interval_ms=2**31 - 1,
            # A broker that has just started may know no topic yet: then the group is joined with nothing to
            # read, until the next look.
            metadata_max_age_ms=5_000,
            **_security(settings),
        )


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
        yield tp, _message(tp, last, Fetch(tuple(found.values())), self.app.consumer_generation_id)

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
        read = _positions(self._thread._ensure_consumer(), list(handled))  # noqa: SLF001  Faust's own way
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


def _positions(consumer: Any, partitions: Iterable[TP]) -> dict[TP, int]:
    """Where the next record of each partition will be read."""
    subscription = consumer._subscription.subscription  # noqa: SLF001  aiokafka tells it only one by one, with a wait
    assignment = subscription.assignment if subscription else None
    if assignment is None:
        return {}
    states = {TP(*tp): assignment.state_value(tp) for tp in partitions if tp in assignment.tps}
    return {tp: state.position for tp, state in states.items() if state.has_valid_position}


def _message(tp: TP, last: Slice, fetch: Fetch, generation: int) -> ConsumerMessage:
    """Faust routes a message by one partition's name and offset; here those of the fetch's last slice."""
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.end - 1,
        0.0,
        1,
        None,
        None,
        fetch,
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )


def _security(settings: Settings) -> dict[str, Any]:
    """Aiokafka's words for what the settings say."""
    given: dict[str, Any] = {"security_protocol": settings.kafka_security.upper()}
    if settings.kafka_security.endswith("ssl"):
        given["ssl_context"] = create_ssl_context(cafile=settings.kafka_ca or None)
    if settings.kafka_security.startswith("sasl"):
        given |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password,
        }
    return given
