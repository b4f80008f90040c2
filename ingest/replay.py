"""`roundtrip replay`: what journals keep of a span goes to Kafka once more; every event counts once."""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from ingest.inspection.command import add_dir_argument, directory_in
from ingest.inspection.survey import pieces, segments_of
from ingest.journal import cursor
from ingest.journal.directory import Directory
from ingest.journal.segments import Position
from ingest.shipping.turned_away import settle
from service import moments, settings, stack_file
from service.errors import Problem, Unavailable, Unreachable, Usage
from service.kafka import Admin, Outcome, Outgoing, Producer
from service.progress import Progress
from service.settings import Settings

ASK_S: Final = 5.0  # a Kafka that is there answers in milliseconds
REFUSED: Final = "refused"


class Span(NamedTuple):
    """Unix milliseconds of receipt: from start up to, without, end."""

    start_ms: int
    end_ms: float


class Source(NamedTuple):
    """A journal to read: up to an end where its owner ships the rest, else everything."""

    number: int
    path: Path
    end: Position | None


class Sender(Protocol):
    """Kafka's producer, as far as it is needed here (service.kafka.Producer)."""

    def ship(self, records: Sequence[Outgoing]) -> "asyncio.Future[Outcome]":
        """The future ends when the last was answered; it never fails."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """`--from`, `--to`, `--tz`, `--dir`."""
    when = "a day (2026-11-23), a time (2026-11-23T14:30), today or yesterday"
    parser.add_argument("--from", dest="start", required=True, metavar="T", help=f"received since: {when}")
    parser.add_argument(
        "--to", dest="end", default="", metavar="T", help="received before; a day: to its end"
    )
    parser.add_argument("--tz", default="UTC", metavar="ZONE", help="the times' zone (default: UTC)")
    add_dir_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0 when all that is kept of the span was acknowledged; where it was not, it can be run again."""
    span = span_of(args.start, args.end, args.tz, datetime.now(UTC))
    mine = settings_for(args.dir)
    directory = directory_in(mine.dir)
    Admin(mine, ASK_S).check()
    with contextlib.ExitStack() as held:
        try:
            asyncio.run(_replay(mine, directory, sources(directory, held), span))
        except OSError as error:
            raise Problem(f"{directory.root} cannot be read: {error}") from error
    return 0


def span_of(start: str, end: str, zone: str, now: datetime) -> Span:
    """The span that the options name; without an end, all that there is."""
    in_zone = moments.zone(zone)
    since = moments.moment("--from", start, in_zone, now, whole_day=False)
    until = moments.moment("--to", end, in_zone, now, whole_day=True) if end else None
    if until and since >= until:
        raise Usage(
            f"--from {moments.text(since, in_zone)} is not before --to {moments.text(until, in_zone)}"
        )
    return Span(_ms(since), _ms(until) if until else float("inf"))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def settings_for(directory: str | None) -> Settings:
    """How a stack is found; or a collector's directory, with the ROUNDTRIP_* settings."""
    if directory is None or (Path(directory) / stack_file.NAME).exists():
        return stack_file.settings_for(directory)
    return settings.read("replay", {**os.environ, "ROUNDTRIP_DIR": directory})


def sources(directory: Directory, held: contextlib.ExitStack) -> list[Source]:
    """The journals: those that nobody uses are locked until `held` ends, and read whole.

    Of one in use, what its owner has shipped: the rest it ships itself, in its order. OSError where the disk
    does not give one.
    """
    found = []
    for number in directory.numbers():
        path = directory.path(number)
        if free := directory.left(number):
            held.callback(free.lock.release)
        found.append(Source(number, path, None if free else cursor.trusted(directory.disk, path).position))
    return found


async def _replay(mine: Settings, directory: Directory, found: Sequence[Source], span: Span) -> None:
    producer = Producer(mine)
    total = sum(each.size for source in found for each in segments_of(directory.disk, source.path))
    sent: Counter[str] = Counter()
    try:
        with Progress("bytes of journals", total) as progress:
            for source in found:
                of_one = await shipped_again(producer, directory, source, span, progress.advance)
                _say(f"journal {source.number}: {told(of_one)}")
                sent += of_one
    except Unavailable as error:
        raise Unreachable(
            f"{error}; shipped so far: {told(sent)}. Run it again when Kafka is well: nothing counts twice"
        ) from error
    finally:
        await producer.close()
    _say(f"in all: {told(sent)}")


async def shipped_again(
    sender: Sender, directory: Directory, source: Source, span: Span, advance: Callable[[int], None]
) -> Counter[str]:
    """How many events of the span were acknowledged, by topic; Unavailable where Kafka failed.

    In the journal's order: a piece is sent when the one before it was acknowledged.
    """
    sent: Counter[str] = Counter()
    at = Position()
    for piece in pieces(directory.disk, source.path, end=source.end):
        records = [
            Outgoing(each.topic, each.key, each.value)
            for each in piece.entries
            if span.start_ms <= each.at_ms < span.end_ms
        ]
        sent += await _acknowledged(sender, records)
        before, at = at, piece.position
        advance(at.offset - (before.offset if before.segment == at.segment else 0))
    return sent


async def _acknowledged(sender: Sender, records: Sequence[Outgoing]) -> Counter[str]:
    """By topic, and REFUSED: what Kafka refuses for good lies in the quarantine, under its receipt."""
    if not records:
        return Counter()

    async def alone(record: Outgoing) -> Outcome:
        return await _shipped(sender, [record])

    outcome = await _shipped(sender, records)
    settled = await settle(outcome.turned, alone, time.time_ns() // 1_000_000)
    return Counter(record.topic for record in records) + Counter({REFUSED: settled.refused})


async def _shipped(sender: Sender, records: Sequence[Outgoing]) -> Outcome:
    outcome = await sender.ship(records)
    if outcome.lost:
        raise Unavailable(outcome.lost)
    return outcome


def told(sent: Counter[str]) -> str:
    """`12 events shipped again: clicks 10, postbacks 2`."""
    by_topic = {topic: count for topic, count in sorted(sent.items()) if topic != REFUSED}
    listed = ", ".join(f"{topic} {count}" for topic, count in by_topic.items())
    refused = f"; {sent[REFUSED]} of them refused by Kafka, in the quarantine" if sent[REFUSED] else ""
    return f"{sum(by_topic.values())} events shipped again" + (f": {listed}{refused}" if listed else "")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
