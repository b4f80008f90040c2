"""Faust's losses that no program can force: in its consumer alone, with a Kafka that answers as it must."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import ProducerFenced
from faust.transport.consumer import TransactionManager
from faust.types import TP, ConsumerMessage

from service.settings import Settings
from streams.kafka import app as ours

CLICKS = TP("clicks", 0)
START = 10
MENDED = (
    "stock Faust does not lose this any more: see which release mended it, strike it from the table in"
    " tests/streams/losses/README.md, and what streams/kafka/commit.py overrides for it"
)


class Kafka:
    """Stands for the thread that talks to Kafka: what it was told, and whether it listened."""

    def __init__(self) -> None:
        self.committed = START
        self.position = START
        self.listens = True

    def assignment(self) -> set[TP]:
        return {CLICKS}

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.listens:
            self.committed = offsets[CLICKS]
        return self.listens

    async def seek_to_committed(self) -> Mapping[TP, int]:
        self.position = self.committed
        return {CLICKS: self.committed}

    async def seek_wait(self, offsets: Mapping[TP, int]) -> None:
        self.position = offsets[CLICKS]

    def _ensure_consumer(self) -> Any:
        state = SimpleNamespace(position=self.position, has_valid_position=True)
        assignment = SimpleNamespace(tps={CLICKS}, state_value=lambda _: state)
        return SimpleNamespace(
            _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
        )


class Variant(ABC):
    """A consumer of an app that was never started, reading on from START."""

    def __init__(self, directory: Path) -> None:
        self.app = self.build(directory)
        self.consumer = self.app.consumer
        self.kafka = self.consumer._thread = Kafka()

    @abstractmethod
    def build(self, directory: Path) -> faust.App: ...

    @abstractmethod
    def handle(self, first: int, end: int) -> None:
        """The records from `first` up to before `end` were handled, as an agent says it."""

    async def look(self) -> None:  # noqa: B027  stock Faust never looks
        """As much time passes as is needed to see what is missing. Stock Faust never looks."""

    def read(self, end: int) -> None:
        """The records up to before this offset were fetched."""
        self.kafka.position = end

    async def commit(self) -> bool:
        return bool(await self.consumer.commit())


class Stock(Variant):
    def build(self, directory: Path) -> faust.App:
        app = faust.App("stock", broker="aiokafka://nowhere:1", datadir=directory, web_enabled=False)
        app.topics.acks_enabled_for = lambda _: True
        app.producer.flush = _nothing
        return app

    def handle(self, first: int, end: int) -> None:
        for offset in range(first, end):
            message = ConsumerMessage(*CLICKS, offset, 0.0, 1, None, None, b"", None, tp=CLICKS)
            message.incref()
            self.consumer.track_message(message)
            message.ack(self.consumer)


class Ours(Variant):
    def build(self, directory: Path) -> faust.App:
        async def start_at(_: object) -> Mapping[TP, int]:
            return {CLICKS: START}

        return ours.build(Settings(dir=directory), _nothing, start_at, _nothing)

    def handle(self, first: int, end: int) -> None:
        assert first == self.consumer.point.handled[CLICKS], "the joiner reads a hole again, it handles none"
        self.consumer.handled({CLICKS: end})

    async def look(self) -> None:
        ahead = await self.consumer.look_for_holes({})
        await self.consumer.look_for_holes(ahead)


async def _nothing(*_: object) -> None: ...


@pytest.fixture(params=[Stock, Ours], ids=["stock", "ours"])
async def variant(request: pytest.FixtureRequest, tmp_path: Path) -> Variant:
    made: Variant = request.param(tmp_path)
    await made.consumer.perform_seek()
    return made


async def test_a_commit_that_failed_is_made_again(variant: Variant):
    variant.read(14)
    variant.handle(START, 14)
    variant.kafka.listens = False
    await variant.commit()
    variant.kafka.listens = True
    for _ in range(3):
        await variant.commit()
    if isinstance(variant, Stock):
        assert variant.kafka.committed == START, MENDED
    else:
        assert variant.kafka.committed == 14


async def test_what_was_fetched_and_dropped_is_read_again_and_commits_go_on(variant: Variant):
    """As a recovery does it: it empties the agents' queues after the fetcher has gone on."""
    variant.read(12)  # and dropped
    await variant.look()
    if isinstance(variant, Stock):
        assert variant.kafka.position == 12, MENDED
        variant.handle(12, 20)
    else:
        assert variant.kafka.position == START
        variant.handle(START, 20)
    for _ in range(3):
        await variant.commit()
    if isinstance(variant, Stock):
        assert variant.kafka.committed == START, MENDED
    else:
        assert variant.kafka.committed == 20


async def fenced(*_: object, **__: object) -> None:
    raise ProducerFenced


async def test_a_commit_says_yes_only_where_kafka_has_it(variant: Variant):
    """Stock, with `exactly_once`: the producer was shut out, nothing was committed, `did_commit` is yes."""
    variant.read(14)
    variant.handle(START, 14)
    if isinstance(variant, Stock):
        variant.consumer.in_transaction = True
        variant.app.assignor.group_for_topic = lambda _: 0
        variant.app.crash = _nothing
        variant.consumer.transactions = TransactionManager(
            variant.consumer.transport,
            consumer=variant.consumer,
            producer=SimpleNamespace(commit_transactions=fenced),
        )
        assert await variant.commit(), MENDED
        assert variant.kafka.committed == START
        assert variant.consumer._committed_offset[CLICKS] == 14, MENDED
    else:
        variant.kafka.listens = False
        assert not await variant.commit()
        assert variant.consumer.point.due({CLICKS}) == {CLICKS: 14}
