"""The joiner: each fetch is decided, stored, sent, and only then may be committed; one after another.

The order of effects: decide; write state, positions and what is to be sent in one synced write a partition
number (streams.storing); send and wait for Kafka (streams.outbox); only then let the positions be committed.
After a crash the state's positions are the truth, and what its outbox holds is sent again before anything is
read (streams.assignment).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping

from faust.types import TP

from service.errors import Unavailable
from service.settings import Settings
from streams import storing
from streams.assignment import Assignment
from streams.batch.attempt import Decide
from streams.batch.unverified import Keys
from streams.expirer import STEP_MS, Expirer
from streams.kafka.fence import Fenced
from streams.kafka.fetch import Fetch
from streams.kafka.logs import Questions
from streams.kafka.places import Places
from streams.kafka.ties import Ties
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.storing import Storing

log = logging.getLogger(__name__)


class Joiner:
    """All that this process keeps of its partitions. Belongs to one event loop.

    aside: whether the rules failed on a transaction here. lacking: whether facts of one are gone.
    busy_since: since when a fetch is in work, or 0.
    """

    def __init__(
        self,
        settings: Settings,
        decide: Decide,
        metrics: Metrics,
        fail: Callable[[BaseException], None],
        ask: Questions = Questions(),  # noqa: B008  never changes
        keys: Keys = lambda: None,
    ) -> None:
        self.aside = self.lacking = False
        self.busy_since = 0.0
        self.ties = Ties(settings, ask)
        self._metrics = metrics
        self._fail = fail
        self._failed = False
        self._places = Places(settings, metrics, self.ties)
        self._storing = Storing(decide, settings.partitions, metrics, keys)
        self._outbox = Outbox(self.ties, metrics)
        self._expirer = Expirer()
        self.assignment = Assignment(settings, metrics, self.ties, self._places, self._storing, self._outbox)

    @property
    def partitions(self) -> list[int]:
        """The partition numbers that are open here and whole."""
        return sorted(self.assignment.open)

    # What Faust calls

    async def start_at(self, assigned: frozenset[TP]) -> Mapping[TP, int] | None:
        """Where to read; the partitions are open, what their outboxes held is in Kafka. None: too late."""
        with self._ending_the_process(), contextlib.suppress(Unavailable):  # a stop while Kafka is away
            return await self.assignment.begin(assigned)
        return None

    async def released(self, revoked: frozenset[TP]) -> None:
        """The states of these partitions are closed: another process may open them."""
        with self._ending_the_process():
            await self.assignment.end(revoked)

    async def handle(self, fetch: Fetch) -> None:
        """The fetch has taken effect and may be committed; or it has not, and the process ends."""
        if self._is_over():
            return
        async with self.ties.turn:
            self.busy_since = time.monotonic()
            try:
                with self._ending_the_process(), self._keeping_what_is_decided():
                    await self._take(fetch)
            finally:
                self.busy_since = 0.0

    # What the worker calls

    async def resume(self) -> int:
        """What waits was tried; how many partitions still hold some that wait for a catalog."""
        async with self.ties.turn:
            states = self.assignment.open.values()
            for state in tuple(states):
                await asyncio.to_thread(self._storing.resume, state)
            with self._keeping_what_is_decided():
                await self._outbox.send(states)
            waiting = sum(bool(state.waiting(b"\x00", 1, storing.LACKING)) for state in states)
            self.lacking = any(state.waiting(storing.LACKING, 1, storing.ASIDE) for state in states)
            self.aside = any(state.waiting(storing.ASIDE, 1) for state in states)
            self._metrics.waiting.set(waiting)
            return waiting

    async def expire(self) -> None:
        """What is too old has left the states; between two pieces of it a fetch may be handled."""
        for number in self.partitions:
            due = STEP_MS
            while await self._expire(number, due):
                due = 0

    async def look_at_logs(self) -> None:
        """Where another log came to lie behind a topic's name, it is read from its start.

        A fetch cannot tell it, where the new one is as long as what was read of the old.
        """
        if changed := self._places.changed(await self.ties.identities()):
            log.warning("%s: a new log; looking where to go on", ", ".join(changed))
            await self.ties.consumer.look_again()

    def stop(self) -> None:
        """Nothing more is taken; the fetch in work comes to its end."""
        self.ties.stopping.set()

    async def close(self) -> None:
        """All states are closed."""
        await self.assignment.close()

    def _is_over(self) -> bool:
        return self._failed or self.ties.stopping.is_set()

    @contextlib.contextmanager
    def _ending_the_process(self) -> Iterator[None]:
        """Whatever comes out, nothing is taken any more, nothing further is committed, and the process ends.

        Also a bug of ours: Faust would acknowledge the fetch and go on, or wait for an assignment for ever.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001  raised again at the end of the process, by its Lifetime
            self._failed = True
            self._fail(error)

    @contextlib.contextmanager
    def _keeping_what_is_decided(self) -> Iterator[None]:
        """Where it cannot be sent now, it stays in the outbox, for whoever has the state next."""
        try:
            yield
        except Fenced as error:
            log.warning("%s: it did not hear from them in time; what was in work is theirs", error)
        except Unavailable:
            log.info("stopping while Kafka is away: what was decided is kept and sent at the next start")

    async def _take(self, fetch: Fetch) -> None:
        work, ends = await self._places.sorted(fetch)
        started = time.perf_counter()
        for number, part in work.items():
            await self.ties.may_act()
            state = self.assignment.open[number]
            await asyncio.to_thread(self._storing.absorb, state, part.records, part.positions)
            self._places.passed(number, part.positions)
        self._metrics.decided.observe(time.perf_counter() - started)
        await self._outbox.send(self.assignment.open.values())
        if ends:
            self.ties.consumer.handled(ends)

    async def _expire(self, number: int, due_ms: int) -> bool:
        """A piece is gone, where time went on so far since the last; whether more may be due."""
        async with self.ties.turn:
            state = self.assignment.open.get(number)
            if state is None or self._is_over():
                return False
            time_ms = self._places.time_ms(state)
            self._metrics.times.labels(number).set(time_ms / 1000)
            if time_ms < state.expired.time_ms + due_ms:
                return False
            gone = await asyncio.to_thread(self._expirer.take, state, time_ms)
            self._metrics.count_gone(gone)
        await asyncio.to_thread(self._expirer.reclaim, state)
        return gone.more
