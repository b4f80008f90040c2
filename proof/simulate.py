"""`roundtrip simulate`: people, shops and affiliates over real HTTP, and the truth of what must come out."""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import msgspec

from console.catalog_log import KafkaLog, history_of
from proof.play import Player
from proof.scenario import Plan
from proof.truth import Sent, Writer
from proof.wire import Wire
from schemas.catalog import Catalog
from schemas.catalog_check import check
from service import stack_file
from service.errors import No, Problem, Unreachable, Usage
from service.progress import Progress
from service.settings import Settings

AT_ONCE = 64  # journeys under way: enough to keep two cores busy, and group commits full


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be played.

    rate: clicks a second, 0 for as fast as it goes. catalogs: by version; the newest is the one in force.
    """

    clicks: int
    seed: int
    rate: float
    to: str
    truth: Path | None
    catalogs: Mapping[int, Catalog]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--clicks", type=int, required=True, metavar="N", help="how many clicks to play")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="the same seed and catalog: the same plan"
    )
    parser.add_argument(
        "--rate", type=float, default=0.0, metavar="R", help="clicks a second (default: all it takes)"
    )
    parser.add_argument("--to", metavar="URL", help="the collector (default: the running stack's)")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write there what must come out")
    parser.add_argument(
        "--catalog", type=Path, metavar="FILE", help="read offers here, not from the running stack"
    )
    stack_file.add_dir_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0 when everything was answered as it must be, 1 when something was not."""
    if args.clicks < 1 or args.rate < 0:
        raise Usage("--clicks is at least 1, and --rate is not negative")
    settings = None if args.to and args.catalog else stack_file.settings_for(args.dir)
    catalogs = _from_file(args.catalog) if args.catalog else {}
    if settings is not None and not catalogs:
        catalogs = _from_topic(settings)
    wanted = Wanted(
        clicks=args.clicks,
        seed=args.seed,
        rate=args.rate,
        to=args.to or (settings.collector if settings else ""),
        truth=args.truth,
        catalogs=catalogs,
    )
    return report(simulate(wanted), sys.stdout)


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What was played; surprises are answers that should have been others, the first of them in words."""

    sent: Sent
    conversions: int
    requests: int
    sent_again: int
    seconds: float
    cpu_s: float
    surprised: int
    surprises: list[str]
    left_out: list[str]


def simulate(wanted: Wanted, *, quiet: bool = False) -> Played:
    """Everything wanted has been played and, where asked for, the truth written."""
    import uvloop  # noqa: PLC0415  late, for `--help`

    return uvloop.run(played(wanted, quiet=quiet))


async def played(wanted: Wanted, *, quiet: bool = False) -> Played:
    """The same, in a running loop."""
    try:
        plan = Plan(wanted.catalogs[max(wanted.catalogs)], wanted.seed)
    except ValueError as error:
        raise No(f"nothing to simulate: the catalog has {error}") from error
    sent = Sent(tag=f"sim-{secrets.token_hex(6)}", seed=wanted.seed)
    wire = Wire(wanted.to)
    player = Player(wire, wanted.catalogs, sent)
    writer = _writer(wanted.truth) if wanted.truth else None
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    with Progress("clicks", wanted.clicks, quiet=quiet) as progress:
        stage = _Stage(wanted, plan, player, writer, progress)
        await stage.run()
    await wire.close()
    if writer:
        writer.close(sent)
    return Played(
        sent=sent,
        conversions=stage.conversions,
        requests=player.requests,
        sent_again=player.sent_again,
        seconds=time.monotonic() - started_s,
        cpu_s=time.process_time() - started_cpu_s,
        surprised=player.surprised,
        surprises=player.surprises,
        left_out=plan.left_out,
    )


class _Stage:
    """Where the journeys are played, so many at once."""

    def __init__(
        self, wanted: Wanted, plan: Plan, player: Player, writer: Writer | None, progress: Progress
    ) -> None:
        self._wanted = wanted
        self._plan = plan
        self._player = player
        self._writer = writer
        self._progress = progress
        self._next = 0
        self._done = 0
        self._started_s = time.monotonic()
        self.conversions = 0

    async def run(self) -> None:
        """Every journey has been played; the first that cannot be ends all."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, self._wanted.clicks)):
                    group.create_task(self._person())
        except* Problem as errors:
            raise errors.exceptions[0] from errors

    async def _person(self) -> None:
        while self._next < self._wanted.clicks:
            number = self._next
            self._next += 1
            await self._turn(number)
            journeys = [self._plan.view(number), self._plan.journey(number)]
            for journey in journeys:
                if journey is not None:
                    lines = await self._player.play(journey)
                    self.conversions += len(lines)
                    if self._writer:
                        self._writer.write(lines)
            self._done += 1
            if self._done % 100 == 0:
                self._progress.show(self._done)

    async def _turn(self, number: int) -> None:
        """It is this click's time."""
        if self._wanted.rate:
            due_s = self._started_s + number / self._wanted.rate
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))


def report(found: Played, out: TextIO) -> int:
    """What was played, in plain lines; the command's exit code."""
    accepted = {kind: count.accepted for kind, count in found.sent.facts.items()}
    lost = sum(count.lost for count in found.sent.facts.values())
    rate = found.requests / found.seconds
    lines = [
        "accepted: " + ", ".join(f"{count} {kind}s" for kind, count in accepted.items()),
        f"refused, as they must be: {found.sent.refused}",
        f"sent again: {found.sent_again} (answers lost: {lost})",
        f"{found.conversions} conversions must come out",
        f"{found.requests} requests in {found.seconds:.1f} s, {rate:.0f} a second",
        f"{found.cpu_s:.1f} s of CPU on this side",
    ]
    if found.sent.uncertain:
        left = len(found.sent.uncertain)
        lines.append(f"left out of the truth, for lost answers: {left} transactions")
    if found.left_out:
        lines.append(f"not played, as no offer is made for it: {', '.join(found.left_out)}")
    lines += [f"surprise: {surprise}" for surprise in found.surprises]
    if found.surprised > len(found.surprises):
        lines.append(f"surprise: and {found.surprised - len(found.surprises)} more")
    out.write("\n".join(lines) + "\n")
    return 1 if found.surprised else 0


def _writer(path: Path) -> Writer:
    try:
        return Writer(path)
    except OSError as error:
        raise Usage(f"--truth {path}: {error.strerror or error}") from error


def _from_file(path: Path) -> dict[int, Catalog]:
    try:
        catalog, complaints = check(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"--catalog {path}: {error}") from error
    if catalog is None:
        raise Usage(f"--catalog {path}: {complaints[0].reason}; roundtrip catalog check {path} tells more")
    return {1: catalog}


def _from_topic(settings: Settings) -> dict[int, Catalog]:
    history = history_of(KafkaLog(settings).read())
    found = {number: version.catalog for number in history.versions if (version := history.at(number))}
    if not found:
        raise Unreachable("the stack has no catalog yet: roundtrip catalog apply FILE")
    return found
