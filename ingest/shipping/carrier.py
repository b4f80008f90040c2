"""The carrier: one journal on its way to Kafka, in order; its cursor moves over what was acknowledged."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from ingest.journal import kept
from ingest.journal.counters import Counters
from ingest.journal.disk import Disk
from ingest.journal.patience import Patience
from ingest.journal.reader import Piece, Reader
from ingest.journal.segments import Position
from ingest.new_log import Watch
from ingest.shipping.figures import Figures
from ingest.shipping.in_flight import InFlight, Sent
from ingest.shipping.logbook import Logbook
from ingest.shipping.turned_away import settle
from service.errors import Unavailable
from service.kafka import Outcome, Outgoing
from service.outage import Outage

log = logging.getLogger(__name__)

SAVE_S: Final = 1.0  # what a crash repeats at most; a save is two syncs
TIDY_S: Final = 60.0
PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # after each failure in a row the next one
LANDING_S: Final = 45.0  # the producer answers for each record within 30 s
SLICE_BYTES: Final = 65_536  # 90 clicks: 0.3 ms of work in the event loop
BREATH_S: Final = (
    0.002  # the loop's own time after each: 30 000 events a second at most, six times a busy core
)
FLIGHT_BYTES: Final = 8_388_608
FLIGHT_RECORDS: Final = 8_192
BUSY_S: Final = 0.0005  # so much later than due did it come back: it has answers to give, and they come first
YIELD: Final = 4  # then it gets so many times as long for them
MOST_YIELD_S: Final = 0.01  # still 7 000 events a second, more than such a loop accepts


class Sender(Protocol):
    """Kafka's producer, as far as it is needed here (service.kafka.Producer)."""

    @property
    def cuts(self) -> int:
        """How often a connection to Kafka ended."""

    def ship(self, records: Sequence[Outgoing]) -> asyncio.Future[Outcome]:
        """The future ends when the last was answered; it never fails."""

    def renew(self) -> None:
        """It is another producer in Kafka's eyes; counts as a connection that ended."""


class Clock(NamedTuple):
    """The time: seconds from anywhere, Unix milliseconds, and how to wait."""

    seconds: Callable[[], float]
    now_ms: Callable[[], int]
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


class Means(NamedTuple):
    """What carriers work with.

    server: what is known of Kafka's reachability. linger_s: how long events are gathered.
    """

    disk: Disk
    sender: Sender
    watch: Watch
    server: Outage
    figures: Figures
    counters: Counters
    limits: kept.Limits
    linger_s: float
    clock: Clock


async def _read(reader: Reader, end: Position | None) -> Piece:
    """The next slice, read in a thread, because the disk may hang.

    Whoever is cancelled waits for it: a file closed under it might be another one by the time it is read.
    """
    reading = asyncio.ensure_future(asyncio.to_thread(reader.read, end, SLICE_BYTES))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait({reading})
        reading.exception()  # whatever it says, nobody asks any more
        raise


class _Again(Exception):
    """What is acknowledged now may lie in another log: it is to be asked, then on from the cursor."""


class Carrier:
    """Carries one journal, which this process has locked.

    end: how far it may be shipped now; None: to its last record.
    """

    def __init__(self, means: Means, path: Path, end: Callable[[], Position | None]) -> None:
        self._means = means
        self._path = path
        self._end = end
        self.logbook = Logbook(means.disk, path)
        self._patience = Patience(means.clock.seconds)
        self._flight = InFlight()
        self._read = self.logbook.position
        self._cuts = 0
        self._saved_at = means.clock.seconds()
        self._tidied_at = self._saved_at - TIDY_S
        self._failures = 0
        self._complained = False
        self._finishing = False
        self._stays = False
        self.kept_bytes = 0

    @property
    def well(self) -> bool:
        """Whether the log was seen, and nothing has failed since."""
        return bool(self.logbook.logs) and not self._failures

    def finish(self) -> None:
        """`run` ends when everything is shipped, or at the next failure."""
        self._finishing = True

    async def run(self) -> None:
        """Ships, for ever or until `finish`."""
        while True:
            try:
                await self._sure_of_log()
                await self._ship()
            except _Again:
                pass
            except (Unavailable, OSError) as error:
                self._complain(error)
                self._failures += 1
                if self._finishing:
                    return
                await self._means.clock.sleep(PAUSES_S[min(self._failures, len(PAUSES_S)) - 1])
            else:
                return
            await self._landed()

    async def _sure_of_log(self) -> None:
        """The cursor's position is one in the logs that Kafka has now. Nothing is in flight.

        Cuts are read before the logs are asked: a connection that ends meanwhile leads back here.
        """
        self._cuts = self._means.sender.cuts
        seen = await self._means.watch.look(self.logbook.cursor)
        if why := seen.why or self.logbook.displaced:
            await self.logbook.begin_again(seen.identities)
            self._means.sender.renew()
            self._means.figures.new_logs.inc()
            log.warning("%s: Kafka has a new log: %s; all that is kept is shipped again", self._path, why)
        else:
            self.logbook.same_log(seen.identities)

    async def _ship(self) -> None:
        """Everything was shipped, after `finish`; raises _Again, Unavailable, or the disk's OSError."""
        clock = self._means.clock
        self._read = self.logbook.position
        disk, start = self._means.disk, self._read
        reader = Reader(disk, self._path, start, owned=True, patience=self._patience)
        with contextlib.closing(reader):
            while True:
                began, finishing = clock.seconds(), self._finishing
                await self._send_all(reader, self._end())
                if finishing:
                    await self._flight.ended(LANDING_S)
                await self._take_arrivals()
                if finishing and not self._flight:
                    return
                await self._keep_house()
                await clock.sleep(max(self._means.linger_s - (clock.seconds() - began), 0))

    async def _send_all(self, reader: Reader, end: Position | None) -> None:
        """Everything up to the end was given to the producer, in slices between which the loop is free."""
        while self._read != end:
            await self._take_arrivals()
            await self._keep_house()
            if self._flight.records >= FLIGHT_RECORDS or self._flight.bytes >= FLIGHT_BYTES:
                await self._flight.one_ended(self._means.linger_s)
                continue
            piece = await _read(reader, end)
            if piece.position == self._read:
                return
            self._send(piece)
            await self._give_way()

    def _send(self, piece: Piece) -> None:
        self._means.counters.read(piece)
        self._read = piece.position
        records = [Outgoing(entry.topic, entry.key, entry.value) for entry in piece.entries]
        size = sum(len(entry.key) + len(entry.value) for entry in piece.entries)
        self._flight.add(Sent(piece, size, self._means.sender.ship(records)))

    async def _give_way(self) -> None:
        """Whatever else the loop has to do was done; the busier it is, the longer it is left alone."""
        clock = self._means.clock
        due = clock.seconds() + BREATH_S
        await clock.sleep(BREATH_S)
        late_s = clock.seconds() - due
        if late_s > BUSY_S:
            await clock.sleep(min(YIELD * late_s, MOST_YIELD_S))

    async def _take_arrivals(self) -> None:
        """The cursor is behind what arrived; _Again or Unavailable where what comes next did not."""
        self._count_arrived()
        if first := self._flight.first:
            self._check(first.ending.result())
            await self._settle(first)
        moved = self.logbook.displaced or self._means.watch.differs(self.logbook.logs)
        if moved or self._means.sender.cuts != self._cuts:
            raise _Again

    def _count_arrived(self) -> None:
        while not self.logbook.displaced and (sent := self._flight.arrived(self._cuts)):
            if self.logbook.acknowledged(sent.piece, sent.ending.result().last):
                self._progress(len(sent.piece.entries))

    def _progress(self, events: int) -> None:
        self._means.figures.acknowledged.inc(events)
        self._failures = 0
        if self._complained:
            self._complained = False
            log.warning("%s: shipped again", self._path)

    def _check(self, outcome: Outcome) -> None:
        if outcome.cuts != self._cuts:
            raise _Again
        if outcome.lost:
            raise Unavailable(outcome.lost)

    async def _settle(self, sent: Sent) -> None:
        """The cursor is behind a piece of which Kafka turned something away; what came later is sent again.

        Nothing else of this journal may be on its way meanwhile, to share a batch with it.
        """
        await self._flight.ended(LANDING_S)
        outcome = sent.ending.result()
        settled = await settle(outcome.turned, self._alone, self._means.clock.now_ms())
        self._flight.take()
        if self.logbook.acknowledged(sent.piece, outcome.last | settled.last):
            self._progress(len(sent.piece.entries) - settled.refused)
            self._means.figures.refused.inc(settled.refused)
        raise _Again

    async def _alone(self, record: Outgoing) -> Outcome:
        outcome = await self._means.sender.ship([record])
        self._check(outcome)
        return outcome

    async def _landed(self) -> None:
        """Nothing is in flight any more, and what arrived well and in order counts."""
        await self._flight.ended(LANDING_S)
        self._count_arrived()
        self._flight.forget()

    async def _keep_house(self) -> None:
        now = self._means.clock.seconds()
        saves = now - self._saved_at >= SAVE_S
        if now - self._tidied_at >= TIDY_S or (saves and not self._stays and await self._is_short()):
            self._tidied_at = now
            await self._tidy()
        if saves:
            self._saved_at = now
            await self.logbook.save()

    async def _is_short(self) -> bool:
        with contextlib.suppress(OSError):  # the journal itself says what is wrong with the disk
            return await asyncio.to_thread(kept.is_short, self._means.disk, self._path, self._means.limits)
        return False

    async def _tidy(self) -> None:
        """What need not be kept is gone. Only here, where the log that acknowledged it was just seen.

        While Kafka is away everything stays: it may come back with nothing.
        """
        disk, limits, now_ms = self._means.disk, self._means.limits, self._means.clock.now_ms()
        try:
            self.kept_bytes = await asyncio.to_thread(
                kept.tidy, disk, self._path, self.logbook.position, limits, now_ms
            )
        except OSError as error:
            self._stays = True
            log.warning("%s: acknowledged segments stay: %s", self._path, error)
        else:
            self._stays = False

    def _complain(self, error: Exception) -> None:
        """Said once until something is shipped again; that Kafka is away is said elsewhere."""
        if not self._complained and not self._means.server.since:
            self._complained = True
            log.warning("%s: not shipped: %s", self._path, error)
