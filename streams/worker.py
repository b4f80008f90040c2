"""The command `joiner`: a Faust worker that turns facts into conversions."""

import argparse
import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from service import lifetime, outage, settings
from service.catalog_follower import Follower
from service.errors import Problem
from service.health import Health
from service.kafka import Producer
from service.key_watch import KeyWatch
from service.lifetime import Lifetime
from service.outage import Outage
from streams import heap
from streams.batch.unverified import Keys
from streams.joiner import Joiner
from streams.kafka import app, fence, topics
from streams.metrics import Metrics
from streams.readiness import Readiness
from streams.rules import decide

log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
JOIN_S: Final = 60.0  # a first join after an unclean stop waits for Kafka's session to end: 6 to 10 s
LOOK_S: Final = 30.0  # for a topic made anew; most often a rebalance or the next fetch tells it at once
TRY_S: Final = 30.0  # what waits is tried so often, should nobody say that its catalog came
EXPIRE_S: Final = 1.0  # a minute's worth of a partition leaves at once: 64 of them spread over a minute
TRIM_S: Final = 10.0  # memory that is free and not given back grew by some 10 MB in that time
LINGER_MS: Final = 1.0  # a fetch's results are handed over at once; waiting for more of them only costs time


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing: it is told everything by ROUNDTRIP_* settings."""
    parser.epilog = "Everything is set by ROUNDTRIP_* variables: docs/settings.md."


def run(_: argparse.Namespace) -> int:
    """The exit code of a joiner that ran until it was stopped."""
    heap.bound()
    return lifetime.run("joiner", settings.read("joiner"), main)


async def main(life: Lifetime) -> None:
    """Joins until the stop."""
    await Worker(life).run()


class Worker:
    """One joiner process, from start to stop."""

    def __init__(self, life: Lifetime) -> None:
        self._life = life
        self._settings = life.settings
        self._kafka = outage.of(f"Kafka at {life.settings.kafka}")
        self._catalog_came = asyncio.Event()

    async def run(self) -> None:
        """Everything is started in order; the stop closes in the opposite one."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(app.OneLine(verbose=self._settings.log_level == "DEBUG"))
        health = Health("joiner")
        self._life.on_close("health", health.close)
        self._follower = Follower(self._settings, on_version=lambda _: self._catalog_came.set())
        self._joiner = Joiner(
            self._settings, self._decide, Metrics(health.registry), self._life.fail, keys=self._keys()
        )
        self._readiness = Readiness(self._kafka, self._follower, self._joiner)
        self._readiness.add_to(health)
        port = await health.serve(self._settings.host, self._settings.port)
        log.info("health on http://%s:%d/readyz", self._settings.host, port)
        self._life.on_close("state", self._joiner.close)
        self._life.on_close("catalog", self._follower.close)
        self._follower.start()
        if not await self._before_the_stop(topics.are_there(self._settings, self._kafka)):
            return
        sending_s = fence.sending_s(self._settings.kafka_session_s)
        producer = Producer(self._settings, linger_ms=LINGER_MS, delivery_s=sending_s)
        self._joiner.ties.sender = producer
        self._life.on_close("producer", producer.close)
        await self._join()
        await self._life.wait()

    def _keys(self) -> Keys:
        """The keys that lie here, as they are from time to time; none where it may not read them."""
        try:
            watch = KeyWatch(self._settings.keys_path)
        except Problem as problem:
            log.info("pixels that no edge could verify only wait for their click here: %s", problem)
            return lambda: None
        self._life.spawn(watch.follow(lambda: None), "keys")
        return lambda: watch.keyring

    async def _before_the_stop(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work ended before a stop was asked for; a look at an absent Kafka takes 10 s."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._life.stopping.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
            return False
        await working
        return True

    async def _join(self) -> None:
        joiner = self._joiner
        faust = app.build(self._settings, joiner.handle, joiner.start_at, joiner.released)
        joiner.ties.consumer = self._readiness.consumer = faust.consumer
        joiner.ties.fence = faust.transport.fence
        self._life.on_close("faust", lambda: self._leave(faust))
        self._life.spawn(joined(faust, self._kafka), "joining")
        if not await self._before_the_stop(faust.start()):
            return
        self._life.spawn(self._watch(faust), "faust")
        self._life.spawn(self._resume(), "waiting transactions")
        self._life.spawn(self._expire(), "expiry")
        self._life.spawn(self._look_at_logs(), "looking at the logs")
        self._life.spawn(_trim_heap(), "giving memory back")
        self._life.spawn(joiner.assignment.restorer.run(), "restoring")
        log.info("joining; state in %s", self._settings.dir / "joiner")

    async def _leave(self, faust: Any) -> None:
        """The fetch in work is done, its positions are committed, the group was left."""
        self._joiner.stop()
        try:
            async with asyncio.timeout(self._settings.drain_s / 2):
                await faust.stop()
        except TimeoutError:
            log.warning(
                "Faust did not end in %.0f s; what was read and not committed is read again",
                self._settings.drain_s / 2,
            )

    async def _watch(self, faust: Any) -> None:
        """Faust's own end is the process's: it never comes back from a crash."""
        await faust._crashed.wait()  # noqa: SLF001  mode has no public way to wait for it
        if not self._life.stopping.is_set():
            raise Problem(f"Faust ended: {faust.crash_reason!r}; start the joiner again")

    def _decide(self, facts: Any) -> Any:
        return decide.decide_transaction(facts, self._follower.history)

    async def _resume(self) -> None:
        """What waits for a catalog is tried when one comes, and every half minute."""
        while True:
            self._readiness.tried(await self._joiner.resume())
            self._catalog_came.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._catalog_came.wait(), TRY_S)

    async def _expire(self) -> None:
        """What is too old leaves the states, also where nothing new comes."""
        while True:
            await self._joiner.expire()
            await asyncio.sleep(EXPIRE_S)

    async def _look_at_logs(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._joiner.look_at_logs()


async def joined(faust: Any, kafka: Outage, within_s: float = JOIN_S, pause_s: float = RETRY_S) -> None:
    """The consumer group is joined. Problem where it is not, although Kafka is there.

    Seen once after two kills within seconds: Faust's consumer thread started and said nothing more.
    """
    limit = time.monotonic() + within_s
    while not faust.consumer_generation_id:
        if kafka.since:
            limit = time.monotonic() + within_s
        elif time.monotonic() > limit:
            raise Problem(f"the consumer group was not joined in {within_s:.0f} s; start the joiner again")
        await asyncio.sleep(pause_s)


async def _trim_heap() -> None:
    while True:
        await asyncio.sleep(TRIM_S)
        await asyncio.to_thread(heap.trim)
