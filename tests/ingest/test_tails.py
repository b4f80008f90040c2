"""Tails: an edge's word on how far its journal has come."""

import asyncio
import logging

import msgspec
import pytest

from ingest.tails import Tails
from schemas import facts
from schemas.facts import Tail
from tests.ingest.fakes import NOW_MS, FakeKafka

EPOCH = "0123456789abcdefghjkmnp"


class Journal:
    epoch = EPOCH
    last = 7


def tails(kafka: FakeKafka, journal: Journal | None = None, every_s: float = 60.0) -> Tails:
    one = journal or Journal()
    return Tails(lambda: (one.epoch, one.last), kafka, "edge-1", lambda: NOW_MS, every_s)


def told(kafka: FakeKafka) -> list[Tail]:
    return [msgspec.json.decode(value, type=Tail) for _, _, value in kafka.records]


async def test_a_word_names_edge_epoch_and_last_number_under_the_epoch_s_key() -> None:
    kafka = FakeKafka()
    tails(kafka).say()
    tail = Tail(edge="edge-1", epoch=EPOCH, last=7, at="2026-11-23T12:00:00.000Z")
    assert kafka.records == [("tails", EPOCH.encode(), facts.encode(tail))]


@pytest.mark.parametrize(("epoch", "last"), [(EPOCH, 0), ("", 0)])
async def test_an_epoch_without_an_event_is_not_told(epoch: str, last: int) -> None:
    kafka, journal = FakeKafka(), Journal()
    journal.epoch, journal.last = epoch, last
    tails(kafka, journal).say()
    assert kafka.records == []


async def test_each_minute_has_its_word_as_the_journal_then_stands() -> None:
    kafka, journal = FakeKafka(), Journal()
    work = asyncio.ensure_future(tails(kafka, journal, every_s=0.001).run())
    async with asyncio.timeout(60):
        for journal.last in (8, 9):
            while journal.last not in {tail.last for tail in told(kafka)}:  # noqa: ASYNC110  no event tells it
                await asyncio.sleep(0.001)
    work.cancel()


async def test_the_stop_has_the_last_word() -> None:
    kafka = FakeKafka()
    await tails(kafka).close()
    assert [tail.last for tail in told(kafka)] == [7]


async def test_a_kafka_that_is_away_delays_and_fails_nobody_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A word that is never answered, or refused, keeps no later one from being said."""
    kafka = FakeKafka()
    with caplog.at_level(logging.INFO):
        one = tails(kafka)
        kafka.silent = True
        await one.close()
        kafka.gone = "Kafka is away"
        for _ in range(3):
            one.say()
            await asyncio.sleep(0)
        kafka.gone, kafka.silent = "", False
        one.say()
        await asyncio.sleep(0)
    assert len(told(kafka)) == 1
    assert [record.message for record in caplog.records] == [
        "how far the journal has come could not be told: Kafka is away; the next word will"
    ]
