"""A Kafka with our topics and catalogs, and joiners that come and go on it: no edge, no ClickHouse.

Facts are written straight to the topics, so that their truth is known and nothing else costs anything.
"""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from console.catalog_log import KafkaLog, publish
from console.lag import GROUPS
from deploy.kafka_server import KafkaServer
from deploy.migrate import migrate_topics
from deploy.parts import EMBEDDED, Service
from deploy.ports import LOOPBACK, free_port
from schemas.catalog import Catalog
from schemas.topics import FACTS
from service.errors import No, Unavailable, Unreachable
from service.kafka import Admin, Outgoing, Partition, Producer, Reader, Record, read_range
from service.settings import Settings

GROUP: Final = "roundtrip-joiner"
STATE: Final = "joiner"  # what a worker's directory holds of its state
AT_ONCE: Final = 5_000  # records in one sending
IN_WORK: Final = 4  # sendings that wait for Kafka at a time
POLL_S: Final = 0.1
GROUP_S: Final = 120.0  # for a group without members to take this one in


class Joiner(Service):
    """One joiner process; what is in this environment does not reach it.

    name: of its log. program: what is run in place of `roundtrip`, by trials that need another disk, or less
    guards.
    """

    def __init__(
        self, name: str, directory: Path, settings: Mapping[str, str], program: Path | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._program = [str(program)] if program else ["-m", "roundtrip"]
        super().__init__("joiner", free_port(), directory / f"{name}.log", settings)

    def command(self) -> Sequence[str]:
        """The same command that production runs."""
        return [sys.executable, *self._program, "joiner"]

    def environ(self) -> Mapping[str, str]:
        """Ours, with none of the caller's ROUNDTRIP_* settings."""
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("ROUNDTRIP_")}
        return {**foreign, **self.environment}

    def forget(self) -> None:
        """Its state is not there any more; it must not run."""
        shutil.rmtree(self.directory / STATE, ignore_errors=True)

    def send_signal(self, number: signal.Signals) -> None:
        """The process got it, if it was there."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class JoinerStack:
    """One installation: topics under a prefix in a Kafka that runs, and what may be done there.

    partitions: chosen at its installation. directory: of the workers, each in a folder of its own; shared:
    all in one, as several on one machine may be.
    """

    def __init__(
        self,
        kafka: KafkaServer,
        directory: Path,
        *,
        prefix: str = "",
        partitions: int = 8,
        shared: bool = False,
        program: Path | None = None,
    ) -> None:
        self.kafka = kafka
        self.directory = directory
        self.shared = shared
        self._program = program
        self.settings = Settings(
            dir=directory,
            kafka=kafka.address,
            topic_prefix=prefix,
            partitions=partitions,
            replication=1,
            kafka_session_s=6.0,
        )

    def install(self, catalogs: Iterable[Catalog]) -> "JoinerStack":
        """The topics are there, and these catalogs are in force, one after the other."""
        migrate_topics(self.settings)
        for catalog in catalogs:
            self.apply(catalog)
        return self

    def apply(self, catalog: Catalog) -> None:
        """The catalog is in force as the next version."""
        publish(KafkaLog(self.settings), catalog, "2026-11-01T00:00:00.000Z", "proof")

    def joiner(self, name: str = "worker") -> Joiner:
        """A worker of this name, not started."""
        directory = self.directory / ("workers" if self.shared else name)
        chosen = {
            **EMBEDDED,
            "ROUNDTRIP_DIR": str(directory),
            "ROUNDTRIP_HOST": LOOPBACK,
            "ROUNDTRIP_KAFKA": self.kafka.address,
            "ROUNDTRIP_TOPIC_PREFIX": self.settings.topic_prefix,
            "ROUNDTRIP_PARTITIONS": str(self.settings.partitions),
        }
        return Joiner(name, directory, chosen, self._program)

    def produce(self, records: Iterable[Outgoing]) -> int:
        """How many there were; Kafka has all of them."""
        return asyncio.run(_produced(self.settings, records))

    def read(self, topic: str) -> Iterator[Record]:
        """Every record that the topic holds, one partition after the other."""
        with Admin(self.settings) as admin:
            ends = admin.end_offsets([topic])
        for (_, number), end in sorted(ends.items()):
            yield from read_range(self.settings, topic, number, 0, end)

    def ends(self, topics: Iterable[str] = FACTS) -> dict[Partition, int]:
        """How far each partition was written."""
        with Admin(self.settings) as admin:
            return admin.end_offsets(topics)

    def left(self) -> int:
        """How many records the joiners have not committed yet."""
        topics = GROUPS[GROUP]
        with Admin(self.settings) as admin:
            ends = admin.end_offsets(topics)
            committed = admin.committed(GROUP)
        return sum(end - committed.get(place, (0, ""))[0] for place, end in ends.items())

    def is_caught_up(self) -> bool:
        """Whether the joiners have committed all that is there for them; not where Kafka does not answer."""
        try:
            return not self.left()
        except (Unavailable, Unreachable):
            return False

    def reset(self, offsets: Callable[[Partition, int], int]) -> None:
        """The joiners' group goes on from these offsets: a function of the partition and its end.

        No joiner may run: Kafka lets nobody change what a living group committed.
        """
        asyncio.run(_reset(self.settings, {place: offsets(place, end) for place, end in self.ends().items()}))


async def _produced(settings: Settings, records: Iterable[Outgoing]) -> int:
    producer = Producer(settings)
    count = 0
    source = iter(records)
    waiting: list[asyncio.Task[None]] = []
    try:
        while batch := list(islice(source, AT_ONCE)):
            count += len(batch)
            waiting.append(asyncio.create_task(producer.send_all(batch)))
            if len(waiting) == IN_WORK:
                await waiting.pop(0)
        await asyncio.gather(*waiting)
    finally:
        await producer.close()
    return count


async def _reset(settings: Settings, offsets: Mapping[Partition, int]) -> None:
    """As a member that is alone: the group's own way to commit."""
    reader = Reader(settings, GROUP, FACTS)
    limit = time.monotonic() + GROUP_S
    try:
        while reader.assigned() != offsets.keys():
            await reader.read(1, POLL_S)
            if time.monotonic() > limit:
                raise No("the joiners' group still has other members")
        await reader.commit(offsets)
    finally:
        await reader.close()
