"""The command `notifier`: tells each partner once what its conversion came to."""

import argparse
import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas import decisions
from schemas.decisions import Notice
from schemas.wire import decoded
from service import lifetime, settings
from service.errors import Unavailable, Unreachable
from service.health import Health
from service.kafka import Outgoing, Partition, Producer, Reader, Record
from service.lifetime import Lifetime
from sinks import notice as notices
from sinks import rejects
from sinks.dial import Answer, Dialler
from sinks.hosts import Hosts
from sinks.interfaces import Logs, Outlet, Source
from sinks.memory import Memory, Place
from sinks.new_log import Watch
from sinks.patience import Patience
from sinks.progress import Progress
from sinks.recall import Recall

log = logging.getLogger(__name__)

GROUP = "roundtrip-notifier"
TOPIC = "notices"
WINDOW = 1_000  # notices in work: what bounds the memory
READ_S = 0.25
COMMIT_S = 0.5
REMEMBER_S = 60.0  # how much of `deliveries` a restart reads back


class Past(Protocol):
    """The topic `deliveries` as memory: sinks.recall.Recall."""

    def ends(self) -> Mapping[int, Place]:
        """Each partition's end as it is now."""

    def remember(self, places: Mapping[int, Place], partitions: list[int]) -> None:
        """Up to there everything is in the memory."""


_DECODER = msgspec.json.Decoder(Notice)


class Figures:
    """The notifier's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ended = Counter(
            "roundtrip_notifier_notices", "Notices that ended", ["outcome"], registry=registry
        )
        self.repeated = Counter(
            "roundtrip_notifier_repeated", "Notices that had ended before", registry=registry
        )
        self.quarantined = Counter(
            "roundtrip_notifier_quarantined", "Records that are no notice", registry=registry
        )
        self.in_work = Gauge("roundtrip_notifier_in_work", "Notices being told", registry=registry)


class Notifier:
    """Reads notices, calls, records, then commits: a notice is committed only when its delivery is in Kafka.

    Notices of one conversion to one subscription are told in order, hosts independently of each other.
    """

    def __init__(  # noqa: PLR0913  what it works with, each by a narrow interface
        self,
        *,
        stopping: asyncio.Event,
        connect: Callable[[], Source],
        outlet: Outlet,
        memory: Memory,
        past: Past,
        dial: Callable[[str], Awaitable[Answer]],
        watch: Logs,
        registry: CollectorRegistry,
    ) -> None:
        self._stopping = stopping
        self._connect = connect
        self._outlet = outlet
        self._memory = memory
        self._past = past
        self._dial = dial
        self._watch = watch
        self._figures = Figures(registry)
        self._hosts = Hosts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._mark: tuple[Mapping[int, Place], set[asyncio.Task[None]]] | None = None
        self._marked_at = time.monotonic()
        self.reading = Patience("reading notices from Kafka", stopping)
        self.telling = Patience("recording deliveries in Kafka", stopping)

    async def run(self) -> None:
        """Until the stop; a Reader that gave up is replaced, and what is in work goes on."""
        while not self._stopping.is_set():
            source = self._connect()
            try:
                await self._serve(source, Progress())
            except (Unavailable, Unreachable) as error:
                await self.reading.wait(error)
            finally:
                await source.close()

    async def _serve(self, source: Source, progress: Progress) -> None:
        began = committed_at = time.monotonic()
        while not self._stopping.is_set():
            await self._take(source, progress)
            if source.assigned():
                self.reading.calm(began)
            if time.monotonic() - committed_at > COMMIT_S:
                committed_at = time.monotonic()
                await self._commit(source, progress)
                await self._remember(source)
                await self._watch.verify()
            if self._failure:
                raise self._failure
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._commit(source, progress)

    async def _take(self, source: Source, progress: Progress) -> None:
        """As many more notices are in work as the window lets in."""
        if len(self._tasks) >= WINDOW:
            await asyncio.wait(self._tasks, timeout=READ_S, return_when=asyncio.FIRST_COMPLETED)
            return
        for record in await source.read(WINDOW - len(self._tasks), READ_S):
            self.reading.over()
            progress.began((record.topic, record.partition), record.offset)
            task = asyncio.create_task(self._work(record, progress))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        self._figures.in_work.set(len(self._tasks))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failure = error

    async def _work(self, record: Record, progress: Progress) -> None:
        """The record has ended, and progress knows it; or the process stops first, and it is read again."""
        try:
            notice = decoded(_DECODER, record.value)
        except (msgspec.MsgspecError, ValueError) as error:
            await self._set_aside(record, str(error))
        else:
            if not await self._told(notice):
                return
        progress.ended((record.topic, record.partition), record.offset)

    async def _told(self, notice: Notice) -> bool:
        """Whether the notice has ended, now or before; False where the process stops first."""
        turn = self._turns.setdefault(f"{notice.conversion_id}/{notice.subscription}", asyncio.Lock())
        async with turn:
            if self._memory.ended(notice):
                self._figures.repeated.inc()
                return True
            try:
                await self._tell(notice)
            except Unavailable:
                return False
        return True

    async def _tell(self, notice: Notice) -> None:
        told = self._memory.told_last(notice.conversion_id, notice.subscription).version
        async with self._hosts.turn(notice.url) as call:  # until it is recorded: a kill repeats only turns
            if self._stopping.is_set():
                raise Unavailable("stopping")
            answer = notices.superseded(notice, told) or await call(self._dial)
            delivery = notices.delivery(notice, answer, time.time_ns() // 1_000_000)
            key = notice.transaction_id.encode()
            await self._send(Outgoing("deliveries", key, decisions.encode(delivery)))
            self._memory.note(delivery)
        self._figures.ended.labels(delivery.outcome).inc()

    async def _send(self, record: Outgoing) -> None:
        """Kafka has the record; Unavailable only when the process stops."""
        while True:
            try:
                await self._outlet.send_all([record])
            except Unavailable as error:
                await self.telling.wait(error)
                if self._stopping.is_set():
                    raise
                continue
            self.telling.over()
            return

    async def _set_aside(self, record: Record, why: str) -> None:
        self._figures.quarantined.inc()
        kept = rejects.quarantined(record, why, "notifier", time.time_ns() // 1_000_000)
        await self._send(Outgoing("quarantine", record.key, decisions.encode(kept)))

    async def _commit(self, source: Source, progress: Progress) -> None:
        """Kafka knows what has ended; where it does not take that, the memory knows it."""
        progress.keep(source.assigned())
        offsets = progress.committable()
        try:
            await source.commit(offsets, self._watch.notes(offsets))
        except Unavailable as error:
            log.info("%s; notices that are read again are not told again", error)

    async def _remember(self, source: Source) -> None:
        """Now and then: the place below which everything that this process told is in its memory.

        What was sent before the ends were asked is remembered once the notices then in work have ended.
        """
        if self._mark and all(task.done() for task in self._mark[1]):
            self._past.remember(self._mark[0], [number for _, number in source.assigned()])
            self._mark = None
        elif not self._mark and time.monotonic() - self._marked_at > REMEMBER_S:
            self._marked_at = time.monotonic()
            self._mark = (await asyncio.to_thread(self._past.ends), set(self._tasks))


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: settings say everything."""


def run(_args: argparse.Namespace) -> int:
    """The notifier, until SIGTERM."""
    return lifetime.run("notifier", settings.read("notifier"), main)


async def main(life: Lifetime) -> None:
    """Puts the notifier together; the stop lets calls at hand end, commits, and closes."""
    config, health = life.settings, Health("notifier")
    if config.notify_allow_private:
        log.warning(
            "ROUNDTRIP_NOTIFY_ALLOW_PRIVATE=1: loopback and private addresses may be called; for tests only"
        )
    memory = Memory(config.dir / "notifier")
    life.on_close("memory", functools.partial(asyncio.to_thread, memory.close))
    producer = Producer(config)
    life.on_close("producer", producer.close)
    dialler = Dialler(allow_private=config.notify_allow_private)
    life.on_close("calls", dialler.close)
    recall, watch = Recall(config, memory), Watch(config, GROUP, [TOPIC])
    notifier = Notifier(
        stopping=life.stopping,
        connect=functools.partial(
            Reader, config, GROUP, [TOPIC], on_assigned=functools.partial(_assigned, watch, recall)
        ),
        outlet=producer,
        memory=memory,
        past=recall,
        dial=dialler.call,
        watch=watch,
        registry=health.registry,
    )
    health.check("kafka", lambda: notifier.reading.problem or watch.problem())
    health.check("deliveries", lambda: notifier.telling.problem)
    port = await health.serve(config.host, config.port)
    life.on_close("health", health.close)
    work = life.spawn(notifier.run(), "notifier")
    life.on_close("calls at hand", lambda: asyncio.wait({work}))
    log.info("health on http://%s:%d", config.host, port)
    await life.wait()
    health.mark_down("stopping")


def _assigned(watch: Watch, recall: Recall, partitions: list[Partition]) -> Mapping[Partition, int]:
    """Before the first notice of a partition is read, what was told about it is remembered."""
    starts = watch.assigned(partitions)
    if count := recall.catch_up(number for _, number in partitions):
        log.info("read %d deliveries back", count)
    return starts
