"""An assignment: the states of its partitions are open, have sent what they still had to, and lack nothing.

A partition whose state is behind what its group committed is restored first (restoring.restore), while the
others go on. What was sent comes back by `conversions`, and so what other workers sent is known.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from faust.types import TP

from service.errors import Unavailable
from service.kafka import Record, told_together
from service.settings import Settings
from streams.kafka import logs
from streams.kafka.logs import Logs
from streams.kafka.places import Places
from streams.kafka.ties import Ties
from streams.kafka.topics import READ
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.restoring import losses, restore
from streams.restoring.restorer import Job, Restorer
from streams.state.partition import Partition
from streams.state.store import Busy, Store
from streams.storing import Storing

log = logging.getLogger(__name__)

OPEN_S: Final = 30.0  # for another process of the same directory to let go; longer means it hangs


class Assignment:
    """What this process was given of the group's partitions; the next one takes the place of this one.

    open: by number, the states that are whole. begun: whether there was any assignment.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        ties: Ties,
        places: Places,
        storing: Storing,
        outbox: Outbox,
    ) -> None:
        self.store = Store(settings.dir / "joiner")
        self.open: dict[int, Partition] = {}
        self.begun = False
        self._prefix = settings.topic_prefix
        self._metrics = metrics
        self._ties = ties
        self._places = places
        self._storing = storing
        self._outbox = outbox
        self._count = 0
        self.restorer = Restorer(settings, metrics, self._keep, self._restored, self._say)

    async def begin(self, assigned: Collection[TP]) -> Mapping[TP, int] | None:
        """Where to read; what is whole is open, its outbox in Kafka. None: a revocation was quicker."""
        count = self._count
        await self._stop_restoring()
        found = await self._ties.logs()
        limit = time.monotonic() + OPEN_S
        while True:
            async with self._ties.turn:
                if count != self._count:
                    return None
                if self._own({tp.partition for tp in assigned}, limit):
                    offsets = await self._begun(found, assigned)
                    return offsets if count == self._count else None
            await self._ties.later()

    async def end(self, revoked: Iterable[TP]) -> None:
        """The states of these partitions are closed: another process may open them."""
        self._count += 1
        await self._stop_restoring()
        async with self._ties.turn:
            for number in {tp.partition for tp in revoked}:
                self._close(number)

    async def close(self) -> None:
        """All states are closed."""
        await self._stop_restoring()
        async with self._ties.turn:
            for number in tuple(self.open):
                self._close(number)

    def _own(self, numbers: Collection[int], limit: float) -> bool:
        """Whether these are open, and no others. Busy where another process holds one, past the limit."""
        for number in self.open.keys() - set(numbers):
            self._close(number)
        try:
            for number in sorted(set(numbers) - self.open.keys()):
                self.open[number] = self.store.open(number)
        except Busy:
            if time.monotonic() > limit:
                raise
            return False
        self._metrics.partitions.set(len(self.open))
        return True

    def _close(self, number: int) -> None:
        if partition := self.open.pop(number, None):
            partition.close()
        self._places.forget(number)
        self._metrics.partitions.set(len(self.open))

    async def _begun(self, found: Logs, assigned: Collection[TP]) -> Mapping[TP, int]:
        """Where to read; what is stale is no longer open but on its way back, the others have sent all."""
        found = await self._compared(found)
        await self._tell_gone(found)
        self._places.logs = found
        self.restorer.begin(self._stale(found))
        offsets, notable = {}, []
        for tp in sorted(assigned):
            offsets[tp], line = self._places.begin(tp, self.open.get(tp.partition))
            notable += [line] if line else []
        if notable:
            log.warning("%s", told_together(notable))
        await self._ties.consumer.hold([tp for tp in assigned if tp.partition not in self.open])
        await self._outbox.send(self.open.values())
        self.begun = True
        return offsets

    async def _compared(self, found: Logs) -> Logs:
        """The logs, compared with what was read of them."""
        positions = {
            (topic, number): position
            for number, partition in self.open.items()
            for topic, position in partition.positions.items()
        }
        return logs.compared(found, positions, await self._ties.records_at(logs.last_read(found, positions)))

    # Restoring

    async def _tell_gone(self, found: Logs) -> None:
        """What Kafka no longer has of what is to be restored was said. Problem as losses.check has it."""
        lines: list[str] = []
        for number, partition in self.open.items():
            positions = partition.positions
            losses.check(found, number, positions)
            if restore.missing(found, number, positions):
                oldest = await self._ties.records_at(losses.young(found, number, positions))
                lines += losses.gone(found, number, positions, oldest, time.time_ns() // 1_000_000)
        if lines:
            log.error("%s. %s", told_together(lines), logs.GIVE_AGAIN)

    def _stale(self, found: Logs) -> list[Job]:
        """Those of the open partitions that lack what took effect already; they are not open any more."""
        return [
            Job(self.open.pop(number), spans)
            for number in sorted(self.open)
            if (spans := restore.missing(found, number, self.open[number].positions))
        ]

    async def _stop_restoring(self) -> None:
        """What is not whole is closed; the next assignment goes on with it."""
        for partition in await self.restorer.drop():
            partition.close()

    def _keep(self, partition: Partition, topic: str, records: Sequence[Record], end: int) -> None:
        self._storing.keep(partition, records, {topic: self._places.position(topic, end, records)})

    async def _restored(self, partition: Partition) -> None:
        """The partition takes part from now on; what only waited for this is decided."""
        try:
            async with self._ties.turn:
                self.open[partition.number] = partition
                tps = [TP(self._prefix + topic, partition.number) for topic in READ]
                offsets = {tp: self._places.begin(tp, partition)[0] for tp in tps}
                await self._ties.may_act()
                await asyncio.to_thread(self._storing.resume, partition)
                await self._outbox.send(self.open.values())
            self._ties.consumer.handled(offsets)
            await self._ties.consumer.go_on(offsets)
        except Unavailable as error:
            log.info("a restored partition is not read on: %s", error)

    async def _say(self, note: str) -> None:
        await self._ties.consumer.say(note)
