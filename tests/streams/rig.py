"""Joiners without a broker: what they send, where they read and what they commit is told by a fake."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from faust.types import TP
from prometheus_client import CollectorRegistry

from schemas.facts import AnyFact
from schemas.topics import FACTS
from service.kafka import Outgoing, Record
from service.settings import Settings
from streams.joiner import Joiner
from streams.kafka import logs
from streams.kafka.fetch import Fetch, Slice
from streams.kafka.logs import Logs
from streams.kafka.topics import EMITTED, READ
from streams.metrics import Metrics
from streams.state.store import Store
from tests.streams.joining import decide

if TYPE_CHECKING:
    from schemas.transaction_id import Keyring

ASSIGNED = frozenset(TP(topic, number) for topic in FACTS for number in (0, 1))


LOGS = Logs(
    {topic: f"cluster:{topic}" for topic in READ},
    {(topic, number): 0 for topic in READ for number in (0, 1)},
    {(topic, number): 0 if topic == EMITTED else 100 for topic in READ for number in (0, 1)},
    {},
)


class FakeKafka:
    """The producer and the consumer's positions; tells what happened in which order."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.sent: list[Outgoing] = []
        self.events: list[str] = []
        self.held: set[TP] = set()
        self.commits: dict[TP, int] = {}
        self.rewound: list[Mapping[TP, int]] = []
        self.answers: list[Exception] = []
        self.there = asyncio.Event()
        self.there.set()
        self.on_send: Callable[[], None] = lambda: None

    async def send_all(self, records: Sequence[Outgoing]) -> None:
        self.asked.append([record.topic for record in records])
        self.on_send()
        await self.there.wait()
        if self.answers:
            raise self.answers.pop(0)
        self.sent += records
        self.events.append("sent")

    def handled(self, offsets: Mapping[TP, int]) -> None:
        self.commits |= offsets
        self.events.append("handled")

    async def rewind(self, offsets: Mapping[TP, int]) -> None:
        self.rewound.append(offsets)

    async def hold(self, partitions: Iterable[TP]) -> None:
        self.held = set(partitions)

    async def go_on(self, offsets: Mapping[TP, int]) -> None:
        self.held -= offsets.keys()

    async def say(self, note: str) -> None:
        self.events.append(note)

    async def look_again(self) -> None:
        self.events.append("looked again")


class Rig:
    """Joiners of one directory, one after the other, over one fake Kafka."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kafka = FakeKafka()
        self.logs = LOGS
        self.failures: list[BaseException] = []
        self.made: list[Joiner] = []
        self.decide: Any = decide
        self.keys: Keyring | None = None
        self.read_back: Callable[[Mapping[Any, int]], Mapping[Any, Record | None]] = lambda _: {}

    def joiner(self) -> Joiner:
        settings = Settings(dir=self.directory, partitions=1)  # where every key belongs
        made = Joiner(
            settings,
            self._decide,
            Metrics(CollectorRegistry()),
            self.failures.append,
            logs.Questions(
                lambda _: self.logs, lambda _: self.logs.identity, lambda _, places: self.read_back(places)
            ),
            keys=lambda: self.keys,
        )
        made.ties.sender = made.ties.consumer = self.kafka
        self.made.append(made)
        return made

    def _decide(self, known: Sequence[AnyFact]) -> Any:
        return self.decide(known)

    async def started(self) -> Joiner:
        made = self.joiner()
        assert await made.start_at(ASSIGNED) is not None
        return made

    def outbox(self, number: int = 0) -> list[Outgoing]:
        state = Store(self.directory / "joiner").open(number)
        found = state.unsent()
        state.close()
        return found


def fetch(*records: Record, start: int | None = None) -> Fetch:
    """A fetch of records; each topic's slice begins at its first record, or at `start`."""
    topics = dict.fromkeys(each.topic for each in records)
    return Fetch(tuple(_slice([each for each in records if each.topic == topic], start) for topic in topics))


def _slice(records: list[Record], start: int | None) -> Slice:
    read = [SimpleNamespace(**(each._asdict() | {"timestamp": each.timestamp_ms})) for each in records]
    first = records[0].offset if start is None else start
    return Slice(records[0].topic, records[0].partition, first, records[-1].offset + 1, read)
