"""The command `writer`: Kafka's records into ClickHouse, at least once onto keys that make it once."""

import argparse
import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from schemas import decisions
from service import lifetime, outage, settings
from service.clickhouse import ClickHouse
from service.errors import Refused, Unavailable, Unreachable
from service.health import Health
from service.kafka import Outgoing, Partition, Producer, Reader, Record
from service.lifetime import Lifetime
from service.settings import Settings
from sinks import batches, bisect, rejects
from sinks.batches import Bad, Row
from sinks.interfaces import Logs, Outlet, Source, Storage
from sinks.new_log import Watch
from sinks.patience import Patience

log = logging.getLogger(__name__)

GROUP = "roundtrip-writer"
IDLE_S = 0.25  # when nothing came for so long, a batch is inserted: at low load a row is soon visible
GATHER_S = 0.05  # between two small reads, each of which costs a thread's wake-up
SMALL_READ = 100
READ_RECORDS = 1_000  # in one read; the records of a read are in memory whatever their size
BATCH_BYTES = 32 * 1024 * 1024  # bounds the memory where records are large
LOOK_S = 5.0  # between two looks whether ClickHouse is there
SLOW_S = 10.0  # a batch takes 0.1 s; a server that hangs is given up after ROUNDTRIP_CLICKHOUSE_TIMEOUT_S
HOLD_S = 60.0  # how often a waiting writer shows Kafka that it lives; the limit is 15 minutes
INSERT = {"max_partitions_per_insert_block": 0}  # one insert whatever months it holds


class Figures:
    """The writer's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Counter("roundtrip_writer_rows", "Rows stored", ["table"], registry=registry)
        self.quarantined = Counter(
            "roundtrip_writer_quarantined", "Records that could not be stored", ["topic"], registry=registry
        )
        self.insert_s = Histogram(
            "roundtrip_writer_insert_seconds", "Time of one insert", ["table"], registry=registry
        )
        self.uncommitted = Counter(
            "roundtrip_writer_commits_failed", "Commits that Kafka did not take", registry=registry
        )


class Writer:
    """Reads, stores, then commits: a record is committed only when every table that it belongs to has it.

    Memory holds one batch and what one read gives; while ClickHouse does not answer, nothing more is read.
    """

    def __init__(  # noqa: PLR0913  what it works with, each by a narrow interface
        self,
        settings: Settings,
        *,
        stopping: asyncio.Event,
        connect: Callable[[], Source],
        storage: Storage,
        outlet: Outlet,
        watch: Logs,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._stopping = stopping
        self._connect = connect
        self._storage = storage
        self._outlet = outlet
        self._watch = watch
        self._figures = Figures(registry)
        self._carried: list[Record] = []
        self._asked: dict[str, float] = {}  # what ClickHouse has not answered yet -> since when
        self._server = server = outage.of(f"ClickHouse at {settings.clickhouse}")
        self.storing = Patience("storing in ClickHouse", stopping, lambda: server.since > 0)
        self.reading = Patience("reading from Kafka", stopping)

    def trouble(self) -> str:
        """Why nothing is stored now, for /readyz; empty while all is well."""
        lasts = time.monotonic() - min(self._asked.values(), default=time.monotonic())
        if lasts > SLOW_S:
            return f"no answer for {lasts:.0f} s"
        return self.storing.problem or ("cannot be reached" if self._server.since else "")

    async def look(self) -> None:
        """For ever: ClickHouse is asked now and then; its loss shows before there is a row to store."""
        while True:
            self._asked["look"] = time.monotonic()
            with contextlib.suppress(Unreachable, Refused):  # the outage tells it; a no is an answer
                await asyncio.to_thread(self._storage.check)
            del self._asked["look"]
            await asyncio.sleep(LOOK_S)

    async def run(self) -> None:
        """Until the stop; a Reader that gave up, or whose logs are others by now, is replaced."""
        while not self._stopping.is_set():
            source = self._connect()
            self._carried = []
            try:
                await self._serve(source)
            except (Unavailable, Unreachable) as error:
                if self._stopping.is_set():
                    log.info("stopped with a batch that is not stored; it is read again at the next start")
                else:
                    await self.reading.wait(error)
            finally:
                await source.close()

    async def _serve(self, source: Source) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            if records := await self._gathered(source):
                self.reading.over()
                await self._held(source, self.store(records))
                await self._commit(source, batches.offsets(records))
            if source.assigned():
                self.reading.calm(began)
            await self._watch.verify()

    async def _gathered(self, source: Source) -> list[Record]:
        """A batch: full, old enough, or all there is for the moment."""
        records, self._carried = self._carried, []
        size = sum(len(record.value) for record in records)
        began = time.monotonic()
        while len(records) < self._settings.writer_batch_rows and size < BATCH_BYTES:
            found = await source.read(
                min(READ_RECORDS, self._settings.writer_batch_rows - len(records)), IDLE_S
            )
            if not records:
                began = time.monotonic()
            records += found
            size += sum(len(record.value) for record in found)
            if (
                not found
                or self._stopping.is_set()
                or time.monotonic() - began > self._settings.writer_batch_s
            ):
                break
            if len(found) < SMALL_READ:
                await asyncio.sleep(GATHER_S)
        return records

    async def _held(self, source: Source, storing: Awaitable[None]) -> None:
        """It is stored; while that takes long, the group membership is kept and nothing more is read."""
        task = asyncio.ensure_future(storing)
        paused: frozenset[Partition] = frozenset()
        try:
            while not (await asyncio.wait({task}, timeout=HOLD_S))[0]:
                paused = source.assigned()
                await source.pause(paused)
                self._carried += await source.read(READ_RECORDS, 0)
            await task
        finally:
            task.cancel()
        await source.resume(paused & source.assigned())

    async def store(self, records: Sequence[Record]) -> None:
        """Each record is in all its tables, or in the quarantine. Unavailable only when the process stops."""
        tables, bad = batches.sort(records, self._watch.identities)
        refused = await asyncio.gather(
            *(bisect.store(rows, functools.partial(self._insert, table)) for table, rows in tables.items())
        )
        found = {(each.record.topic, each.record.partition, each.record.offset): each for each in bad}
        for each in (each for some in refused for each in some):
            found.setdefault((each.record.topic, each.record.partition, each.record.offset), each)
        if found:
            await self._set_aside(list(found.values()))

    async def _insert(self, table: str, rows: Sequence[Row]) -> None:
        """The rows are stored, however long ClickHouse is away; Refused where they are bad."""
        body = batches.body(rows)
        token = batches.token(body)
        while True:
            began = self._asked[table] = time.monotonic()
            try:
                await asyncio.to_thread(self._storage.insert_raw, table, body, token=token, settings=INSERT)
            except Unavailable as error:
                await self.storing.wait(error)
                if self._stopping.is_set():
                    raise
                continue
            finally:
                del self._asked[table]
            self._figures.insert_s.labels(table).observe(time.monotonic() - began)
            self._figures.rows.labels(table).inc(len(rows))
            self.storing.over()
            return

    async def _set_aside(self, bad: Sequence[Bad]) -> None:
        """Every bad record is in the topic `quarantine`; one from there is in the table, wrapped."""
        log.warning(
            "%d records cannot be stored and go to quarantine; the first: %s/%d offset %d: %s",
            len(bad),
            *bad[0].record[:3],
            bad[0].why,
        )
        for each in bad:
            self._figures.quarantined.labels(each.record.topic).inc()
        now_ms = time.time_ns() // 1_000_000
        kept = [
            (each.record, decisions.encode(rejects.quarantined(each.record, each.why, "writer", now_ms)))
            for each in bad
        ]
        await self._tell(
            [
                Outgoing("quarantine", record.key, value)
                for record, value in kept
                if record.topic != "quarantine"
            ]
        )
        own = [record._replace(value=value) for record, value in kept if record.topic == "quarantine"]
        if own:  # through the topic they would come back here for ever
            rows = batches.sort(own, self._watch.identities).tables["quarantine_facts"]
            await self._insert("quarantine_facts", rows)

    async def _tell(self, records: Sequence[Outgoing]) -> None:
        waiting = list(records)
        patience = Patience("sending to quarantine", self._stopping)
        while waiting:
            try:
                await self._outlet.send_all(waiting)
            except Unavailable as error:
                await patience.wait(error)
                if self._stopping.is_set():
                    raise
                continue
            patience.over()
            return

    async def _commit(self, source: Source, offsets: Mapping[Partition, int]) -> None:
        """Kafka knows that these are done; where it does not take that, they are read and stored again."""
        owned = {place: offset for place, offset in offsets.items() if place in source.assigned()}
        try:
            await source.commit(owned, self._watch.notes(owned))
        except Unavailable as error:
            self._figures.uncommitted.inc()
            log.info("%s; what was stored is read again, and counts once", error)


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: settings say everything."""


def run(_args: argparse.Namespace) -> int:
    """The writer, until SIGTERM."""
    return lifetime.run("writer", settings.read("writer"), main)


async def main(life: Lifetime) -> None:
    """Puts the writer together; the stop finishes the batch at hand, commits, and closes."""
    config, health = life.settings, Health("writer")
    clickhouse = ClickHouse(config)
    producer = Producer(config)
    life.on_close("quarantine's producer", producer.close)
    watch = Watch(config, GROUP, batches.TOPICS)
    connect = functools.partial(Reader, config, GROUP, batches.TOPICS, on_assigned=watch.assigned)
    writer = Writer(
        config,
        stopping=life.stopping,
        connect=connect,
        storage=clickhouse,
        outlet=producer,
        watch=watch,
        registry=health.registry,
    )
    health.check("kafka", lambda: writer.reading.problem or watch.problem())
    health.check("clickhouse", writer.trouble)
    port = await health.serve(config.host, config.port)
    life.on_close("health", health.close)
    life.spawn(writer.look(), "ClickHouse's presence")
    work = life.spawn(writer.run(), "writer")
    life.on_close("the batch at hand", lambda: asyncio.wait({work}))
    log.info("health on http://%s:%d; storing into %s", config.host, port, config.clickhouse)
    await life.wait()
    health.mark_down("stopping")
