"""A Faust program, stock or ours, that writes down what it has handled. One app a scenario, in one process.

python tests/streams/losses/program.py stock|ours KAFKA PREFIX DIR first|again

On the first run `slow` is never done with and `bad` raises; on a later one both are handled like all others.
DIR/SCENARIO holds a line for each thing begun and done, and one for each turn of committing.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import faust
from faust.sensors import Sensor
from faust.types import TP

from service.kafka import Admin
from service.settings import Settings
from streams.kafka import app as ours
from streams.kafka.fetch import Fetch
from streams.kafka.topics import GROUP

COMMIT_EVERY_S = 0.5
SESSION_S = 6.0


class Scenario(NamedTuple):
    """actors: how many handle at a time in stock Faust; ours has one. take: whether they use `take(3)`."""

    actors: int = 1
    take: bool = False


SCENARIOS = {
    "head": Scenario(actors=2),
    "fresh": Scenario(actors=2),
    "gap": Scenario(actors=2),
    "raises": Scenario(),
    "take": Scenario(take=True),
}


class Notes(Sensor):  # type: ignore[misc]  # untyped
    """What was begun, what is done and when commits were tried: on disk, and so safe from kill -9."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def note(self, line: str) -> None:
        os.write(self._file, line.encode() + b"\n")

    def on_commit_completed(self, consumer: Any, state: Any) -> None:  # noqa: ARG002  Faust's signature
        self.note("turn")


Work = Callable[[bytes], Awaitable[None]]


def worker(notes: Notes, *, first: bool) -> Work:
    async def work(value: bytes) -> None:
        name = value.decode()
        notes.note(f"begun {name}")
        if first and name == "slow":
            await asyncio.Event().wait()
        if first and name == "bad":
            raise ValueError(name)
        notes.note(f"done {name}")

    return work


def stock(settings: Settings, scenario: Scenario, work: Work) -> faust.App:
    made = faust.App(
        settings.topic_prefix + GROUP,
        broker=f"aiokafka://{settings.kafka}",
        datadir=settings.dir / settings.topic_prefix,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_commit_interval=COMMIT_EVERY_S,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
    )
    topic = made.topic(settings.topic_prefix + "clicks", value_type=bytes, value_serializer="raw")

    @made.agent(topic, name="work", concurrency=scenario.actors)  # type: ignore[untyped-decorator]
    async def agent(stream: Any) -> None:
        if scenario.take:
            async for values in stream.take(3, within=10.0):
                for value in values:
                    await work(value)
        else:
            async for value in stream:
                await work(value)

    return made


def committing(settings: Settings, work: Work) -> faust.App:
    """Ours, with the least that a reader of it must do: begin where was committed, say what was handled."""

    async def handle(fetch: Fetch) -> None:
        for part in fetch.slices:
            for record in part.records:
                await work(record.value)
        made.consumer.handled({TP(part.topic, part.partition): part.end for part in fetch.slices})

    async def start_at(assigned: frozenset[TP]) -> Mapping[TP, int]:
        with Admin(settings) as admin:
            known = await asyncio.to_thread(admin.committed, GROUP)
        prefix = settings.topic_prefix
        return {tp: known.get((tp.topic.removeprefix(prefix), tp.partition), (0, ""))[0] for tp in assigned}

    async def released(_: frozenset[TP]) -> None: ...

    made = ours.build(settings, handle, start_at, released)
    made.consumer.commit_interval = COMMIT_EVERY_S
    return made


async def main(variant: str, kafka: str, prefix: str, directory: Path, *, first: bool) -> None:
    apps = []
    for name, scenario in SCENARIOS.items():
        settings = Settings(
            dir=directory,
            kafka=kafka,
            topic_prefix=f"{prefix}{name}-",
            partitions=1,
            kafka_session_s=SESSION_S,
        )
        notes = Notes(directory / name)
        work = worker(notes, first=first)
        app = stock(settings, scenario, work) if variant == "stock" else committing(settings, work)
        app.sensors.add(notes)
        apps.append(app)
    await asyncio.gather(*(app.start() for app in apps))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], Path(sys.argv[4]), first=sys.argv[5] == "first"))
