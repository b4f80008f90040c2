"""The partitions of this process: opened when assigned, fed with fetches, closed when revoked.

The order of effects for a fetch: decide; write state, positions and what is to be sent in one synced write a
partition number; send and wait for Kafka; only then let the positions be committed. After a crash the state's
positions are the truth, and what its outbox holds is sent again before anything is read.

A partition whose state is behind what its group committed is restored first (streams.restore), while the
others go on. What was sent comes back by `conversions`, and so what other workers sent is known.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from faust.types import TP

from schemas import times
from schemas.reasons import Reason
from schemas.topics import FACTS
from service import outage
from service.errors import Problem, RecordsRefused, Unavailable, Unreachable
from service.kafka import Outgoing, Ranges, Record, told_together
from service.settings import Settings
from streams import expiry, layout, logs, placement, restore, unverified
from streams.app import EMITTED, READ
from streams.batch import Batch, Decide, Tally
from streams.expirer import STEP_MS, Expirer
from streams.expiry import Reading
from streams.fence import Fence, Fenced
from streams.layout import Position
from streams.logs import Logs
from streams.metrics import Metrics
from streams.quarantine import quarantined
from streams.restorer import Job, Restorer, Source
from streams.state import Partition
from streams.store import Busy, Store
from streams.transport import Fetch, Slice

log = logging.getLogger(__name__)

OPEN_S: Final = 30.0  # for another process of the same directory to let go; longer means it hangs
RETRY_S: Final = 0.5
LAST_SEND_S: Final = (
    3.0  # a stop waits so long for Kafka; what is not acknowledged by then is sent at the next start
)
RESUME_AT_ONCE: Final = 1_000  # transactions whose catalog came, in one write


class Sender(Protocol):
    """What is asked of service.kafka.Producer."""

    async def send_all(self, records: Sequence[Outgoing]) -> None: ...  # noqa: D102  see there


class Positions(Protocol):
    """What is asked of the transport's consumer."""

    def handled(self, offsets: Mapping[TP, int]) -> None: ...  # noqa: D102  see there
    async def rewind(self, offsets: Mapping[TP, int]) -> None: ...  # noqa: D102  see there
    async def hold(self, partitions: Iterable[TP]) -> None: ...  # noqa: D102  see there
    async def go_on(self, offsets: Mapping[TP, int]) -> None: ...  # noqa: D102  see there
    async def say(self, note: str) -> None: ...  # noqa: D102  see there


class Work:
    """What a fetch brought of one partition number: records in order, and the positions after them."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.positions: dict[str, Position] = {}


class Joiner:
    """All that this process keeps of its partitions. One fetch at a time; belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        decide: Decide,
        metrics: Metrics,
        fail: Callable[[BaseException], None],
        read_logs: Callable[[Settings], Logs] = logs.read,
        source: Callable[[Settings], Source] = Ranges,
    ) -> None:
        self.store = Store(settings.dir / "joiner")
        self._settings = settings
        self._decide = decide
        self._metrics = metrics
        self._fail = fail
        self._read = read_logs
        self.restorer = Restorer(settings, metrics, self._keep, self._restored, self._say, source)
        self._open: dict[int, Partition] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._expirer = Expirer()
        self._logs: Logs | None = None
        self._turn = asyncio.Lock()  # a fetch, a resend, a catalog's arrival, a closing: one after another
        self._assignments = 0
        self._failed = False
        self._stopping = asyncio.Event()
        self.keys: unverified.Keys = lambda: None
        self.sender: Sender | None = None
        self.consumer: Positions | None = None
        self.fence = Fence(settings.kafka_session_s)
        self.assigned = False
        self.aside = False  # whether the rules failed on a transaction here
        self.busy_since = 0.0

    @property
    def partitions(self) -> list[int]:
        """The partition numbers that are open here and whole."""
        return sorted(self._open)

    # What Faust calls

    async def start_at(self, assigned: frozenset[TP]) -> Mapping[TP, int] | None:
        """Where to read; the partitions are open, what their outboxes held is in Kafka. None: too late."""
        try:
            return await self._start_at(assigned)
        except Unavailable:
            return None  # a stop while Kafka is away
        except Exception as error:  # noqa: BLE001  Faust would swallow some of them and wait for ever
            self.fail(error)
            return None

    async def released(self, revoked: frozenset[TP]) -> None:
        """The states of these partitions are closed: another process may open them."""
        self._assignments += 1
        await self._stop_restoring()
        async with self._turn:
            for number in {tp.partition for tp in revoked}:
                try:
                    self._close(number)
                except Problem as error:  # of the disk; Faust would tell it as a crash of its own
                    self.fail(error)

    async def handle(self, fetch: Fetch) -> None:
        """The fetch has taken effect and may be committed; or it has not, and the process ends."""
        if self._failed or self._stopping.is_set():
            return
        async with self._turn:
            self.busy_since = time.monotonic()
            try:
                await self._take(fetch)
            except Fenced as error:
                log.warning("%s: it did not hear from them in time; what was in work is theirs", error)
            except Unavailable:
                log.info("stopping while Kafka is away: what was decided is kept and sent at the next start")
            except Exception as error:  # noqa: BLE001  Faust would acknowledge the fetch and go on
                self.fail(error)
            finally:
                self.busy_since = 0.0

    # What the worker calls

    async def resume(self) -> int:
        """Transactions whose catalog has come are decided; how many partitions still hold some that wait."""
        async with self._turn:
            for partition in list(self._open.values()):
                await self._resume(partition)
            await self._send()
            oldest = [key for each in self._open.values() for key, _ in each.waiting(b"\x00", 1)]
            waiting = sum(key < _ASIDE for key in oldest)
            self.aside = any(each.waiting(_ASIDE, 1) for each in self._open.values())
            self._metrics.waiting.set(waiting)
            return waiting

    async def expire(self) -> None:
        """What is too old has left the states; between two pieces of it a fetch may be handled."""
        for number in self.partitions:
            due = STEP_MS
            while await self._expire(number, due):
                due = 0

    def stop(self) -> None:
        """Nothing more is taken; the fetch in work comes to its end."""
        self._stopping.set()

    async def close(self) -> None:
        """All states are closed."""
        await self._stop_restoring()
        async with self._turn:
            for number in self.partitions:
                self._close(number)

    def fail(self, error: BaseException) -> None:
        """Nothing is taken any more, nothing further is committed, and the process ends."""
        self._failed = True
        self._fail(error)

    # Assignment

    async def _start_at(self, assigned: frozenset[TP]) -> Mapping[TP, int] | None:
        turn = self._assignments
        await self._stop_restoring()
        found = await self._read_logs()
        numbers = {tp.partition for tp in assigned}
        deadline = time.monotonic() + OPEN_S
        while turn == self._assignments:
            try:
                self._own(numbers)
                break
            except Busy:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_S)
        if turn != self._assignments:
            return None
        self._logs = found
        jobs = self._to_restore(found)
        notable: list[str] = []
        offsets = {tp: self._begin(found, tp, notable) for tp in sorted(assigned)}
        if notable:
            log.warning("%s", told_together(notable))
        if self.consumer:
            await self.consumer.hold(tp for tp in assigned if tp.partition not in self._open)
        async with self._turn:
            await self._send()
        if turn != self._assignments:
            return None
        self.restorer.begin(jobs)
        self.assigned = True
        return offsets

    async def _read_logs(self) -> Logs:
        while True:
            try:
                return await asyncio.to_thread(self._read, self._settings)
            except Unreachable as error:
                if self._stopping.is_set():
                    raise Unavailable(str(error)) from error
                outage.of(f"Kafka at {self._settings.kafka}").lost(str(error))
                await asyncio.sleep(RETRY_S)

    def _own(self, numbers: Iterable[int]) -> None:
        for number in self._open.keys() - set(numbers):
            self._close(number)
        for number in sorted(set(numbers) - self._open.keys()):
            self._open[number] = self.store.open(number)
        self._metrics.partitions.set(len(self._open))

    def _begin(self, found: Logs, tp: TP, notable: list[str]) -> int:
        """Where to read first; of what is to be restored before, what the group knows already."""
        topic = self._unprefixed(tp.topic)
        partition = self._open.get(tp.partition)
        self._ends[topic, tp.partition] = found.end[topic, tp.partition]
        if partition is None:
            return max(found.start[topic, tp.partition], found.effective((topic, tp.partition)))
        offset, line = logs.begin(found, (topic, tp.partition), partition.positions.get(topic))
        notable += [line] if line else []
        self._next[topic, tp.partition] = offset
        return offset

    def _close(self, number: int) -> None:
        if partition := self._open.pop(number, None):
            partition.close()
        for key in [key for key in self._next if key[1] == number]:
            del self._next[key]
        self._metrics.partitions.set(len(self._open))

    # Restoring

    def _to_restore(self, found: Logs) -> list[Job]:
        """Those of the open partitions that lack what took effect already; they are not open any more."""
        return [
            Job(self._open.pop(number), spans)
            for number in self.partitions
            if (spans := restore.missing(found, number, self._open[number].positions))
        ]

    async def _stop_restoring(self) -> None:
        """What is not whole is closed; the next assignment goes on with it."""
        for partition in await self.restorer.drop():
            partition.close()

    def _keep(self, partition: Partition, topic: str, records: Sequence[Record], end: int) -> None:
        """In a thread of its own: nothing is decided or sent; nor is what a stale outbox holds."""
        batch = Batch(partition, self._decide, _now_ms(), silent=True)
        placed, _ = placement.sorted_out(records, self._settings.partitions)
        placed, _ = unverified.sorted_out(placed, self.keys)
        restore.forget_unsent(partition, batch.changes)
        if topic == EMITTED:
            batch.take_cases(placed)
        else:
            batch.absorb(placed)
        batch.move({topic: Position(end, self._log_of(topic))})
        partition.apply(batch.changes)

    async def _restored(self, partition: Partition) -> None:
        """The partition takes part from now on; what only waited for this is decided."""
        try:
            async with self._turn:
                self._open[partition.number] = partition
                tps = [TP(self._settings.topic_prefix + topic, partition.number) for topic in READ]
                offsets = {tp: self._begin(self._known_logs(), tp, []) for tp in tps}
                await self.fence.passed(self._stopping)
                await self._resume(partition)
                await self._send()
            if self.consumer:
                self.consumer.handled(offsets)
                await self.consumer.go_on(offsets)
        except Unavailable as error:
            log.info("a restored partition is not read on: %s", error)

    async def _say(self, note: str) -> None:
        if self.consumer:
            await self.consumer.say(note)

    def _log_of(self, topic: str) -> str:
        return self._known_logs().identity[topic]

    def _known_logs(self) -> Logs:
        if self._logs is None:
            raise RuntimeError("nothing was assigned yet")
        return self._logs

    # A fetch

    async def _take(self, fetch: Fetch) -> None:
        work, ends = await self._sorted(fetch)
        started = time.perf_counter()
        for number, part in work.items():
            await self.fence.passed(self._stopping)
            tally = await asyncio.to_thread(self._absorb, self._open[number], part)
            self._metrics.count(tally)
            if tally.foreign:
                await self._resume(self._open[number])  # what others sent is taken back
            for topic, position in part.positions.items():
                self._next[topic, number] = position.offset
                self._metrics.positions.labels(topic, number).set(position.offset)
        self._metrics.decided.observe(time.perf_counter() - started)
        await self._send()
        if self.consumer and ends:
            self.consumer.handled(ends)

    async def _sorted(self, fetch: Fetch) -> tuple[dict[int, Work], dict[TP, int]]:
        """By partition number what is new in the fetch; and where each of its partitions then stands."""
        work: dict[int, Work] = {}
        ends: dict[TP, int] = {}
        for part in fetch.slices:
            topic = self._unprefixed(part.topic)
            expected = self._next.get((topic, part.partition))
            if expected is None or self._logs is None:
                continue  # revoked in the meantime
            if part.start > expected and not await self._were_deleted(topic, part, expected):
                continue
            self._ends[topic, part.partition] = part.log_end or self._ends[topic, part.partition]
            into = work.setdefault(part.partition, Work())
            into.records += [_record(topic, each) for each in part.records if each.offset >= expected]
            into.positions[topic] = Position(max(part.end, expected), self._logs.identity[topic])
            ends[TP(part.topic, part.partition)] = max(part.end, expected)
        return work, ends

    async def _were_deleted(self, topic: str, part: Slice, expected: int) -> bool:
        """Whether Kafka itself no longer has what is missing before a slice; if it has, it is read again."""
        found = await self._read_logs()
        first = found.start[topic, part.partition]
        if first > expected:
            log.error(
                "%s/%d: records %d to %d were deleted before they were read",
                topic,
                part.partition,
                expected,
                first - 1,
            )
            return part.start <= first
        log.warning(
            "%s/%d: %d came where %d was due; reading again", topic, part.partition, part.start, expected
        )
        if self.consumer:
            await self.consumer.rewind({TP(part.topic, part.partition): expected})
        return False

    def _absorb(self, partition: Partition, part: Work) -> Tally:
        """In a thread of its own: the health page answers while a batch is decided."""
        batch = Batch(partition, self._decide, _now_ms(), partition.expired.time_ms)
        placed, astray = placement.sorted_out(part.records, self._settings.partitions)
        placed, forged = unverified.sorted_out(placed, self.keys)
        batch.refuse(
            astray,
            Reason.MALFORMED_EVENT,
            "it lies in another partition than its key's: see ROUNDTRIP_PARTITIONS",
        )
        batch.refuse(forged, Reason.INVALID_TRANSACTION_ID, "the transaction ID is forged")
        batch.take_cases([each for each in placed if each.topic == EMITTED])
        batch.absorb([each for each in placed if each.topic != EMITTED])
        batch.move(part.positions)
        partition.apply(batch.changes)
        _raise_alarm(batch)
        return batch.tally

    async def _resume(self, partition: Partition) -> None:
        """Everything that waits was tried once."""
        after = b"\x00"
        while waiting := partition.waiting(after, RESUME_AT_ONCE):
            batch = Batch(partition, self._decide, _now_ms())
            await asyncio.to_thread(batch.resume, [bundle for _, bundle in waiting])
            await asyncio.to_thread(partition.apply, batch.changes)
            _raise_alarm(batch)
            self._metrics.count(batch.tally)
            after = waiting[-1][0] + b"\x00"

    # Expiry

    async def _expire(self, number: int, due_ms: int) -> bool:
        """A piece is gone, where time went on so far since the last; whether more may be due."""
        async with self._turn:
            partition = self._open.get(number)
            if partition is None or self._failed or self._stopping.is_set():
                return False
            time_ms = self._time_ms(partition)
            self._metrics.times.labels(number).set(time_ms / 1000)
            if time_ms < partition.expired.time_ms + due_ms:
                return False
            gone = await asyncio.to_thread(self._expirer.take, partition, time_ms)
            self._metrics.count_gone(gone)
        await asyncio.to_thread(self._expirer.reclaim, partition)
        return gone.more

    def _time_ms(self, partition: Partition) -> int:
        readings = []
        for topic in FACTS:
            known, place = partition.positions.get(topic), (topic, partition.number)
            at_end = self._next.get(place, -1) >= self._ends.get(place, 0)
            readings.append(Reading(known.clock_ms if known else 0, at_end))
        return expiry.time_of(readings)

    # Sending

    async def _send(self) -> None:
        """Everything that the outboxes hold is in Kafka. Unavailable only at a stop while Kafka is away."""
        while records := [record for partition in self._open.values() for record in partition.unsent()]:
            self._metrics.outbox.set(len(records))
            await self.fence.passed(self._stopping)
            try:
                await self._send_once(records)
            except RecordsRefused as error:
                await self._send_refused(records, error)
            except Unavailable as error:
                if self._stopping.is_set():
                    raise
                log.debug("sending again: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            for partition in self._open.values():
                partition.sent()
        self._metrics.outbox.set(0)

    async def _send_once(self, records: Sequence[Outgoing]) -> None:
        """As the sender does; once a stop has begun, within LAST_SEND_S."""
        sending = asyncio.ensure_future(self._producer().send_all(records))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({sending}, timeout=LAST_SEND_S)
            if not sending.done():
                raise Unavailable("Kafka did not acknowledge before the stop")
            await sending
        finally:
            stopping.cancel()
            sending.cancel()

    async def _send_refused(self, records: Sequence[Outgoing], error: RecordsRefused) -> None:
        """What Kafka will never take is kept in quarantine; where it takes that neither, the process ends."""
        now = times.from_ms(_now_ms())
        log.error("%s; kept in quarantine", error)
        for index, why in error.indexes.items():
            topic, key, value, partition = records[index]
            lost = Record(topic, -1 if partition is None else partition, -1, 0, key, value)
            await self._send_once([quarantined(lost, Reason.OVER_LIMIT, why, now)])

    def _producer(self) -> Sender:
        if self.sender is None:
            raise RuntimeError("nothing to send with: set `sender` first")
        return self.sender

    def _unprefixed(self, topic: str) -> str:
        return topic.removeprefix(self._settings.topic_prefix)


_ASIDE: Final = layout.number(layout.MENDED)  # what waits with this key or a later one was set aside


def _raise_alarm(batch: Batch) -> None:
    """What the rules failed on was said, in one line."""
    if batch.alarms:
        more = f" (and {len(batch.alarms) - 1} more alike)" if len(batch.alarms) > 1 else ""
        log.error("%s%s; set aside, its new facts are in quarantine", batch.alarms[0], more)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _record(topic: str, read: Any) -> Record:
    return Record(topic, read.partition, read.offset, read.timestamp, read.key or b"", read.value or b"")
