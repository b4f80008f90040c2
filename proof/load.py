"""More than a collector can take, callers that never come to the point, and what a click costs.

`python -m proof.load [overload|slow|cost ...]` starts a stack of its own and prints the figures; then every
answer is held against what is stored. No time decides whether it passes: the ledger does.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from deploy.terminal import say
from proof import flood, harm
from proof.compared import compare
from proof.costs import cost as cost_of
from proof.freshness import seen_age
from proof.ledger import Kind, Sending
from proof.own_stack import OwnStack
from proof.times import times
from proof.traffic import CATALOG, Pace, Traffic
from service.clickhouse import ClickHouse

RATE: Final = 100.0  # of the good traffic beside
WARM_S: Final = 3.0
QUIET_S: Final = 10.0  # before and after
FLOOD_S: Final = 20.0
SLOW_S: Final = 30.0
MIXED: Final[dict[Kind, int]] = {"click": 45, "impression": 45, "pixel": 3, "postback": 7}
CLICKS: Final[dict[Kind, int]] = {"click": 100}
NORMAL_MS: Final = 50.0  # or twice what was usual before, if that is more
ALONE: Final = ("joiner", "writer", "notifier", "console", "clickhouse")
PROBES: Final = 50
SHIPPED_S: Final = 300.0


class Bench:
    """A stack with good traffic, and everything that was sent to it."""

    def __init__(self, stack: OwnStack, traffic: Traffic) -> None:
        self.stack = stack
        self.traffic = traffic
        self.beside: list[Sending] = []
        self._floods = 0

    def flood(self, callers: int, seconds: float, shares: dict[Kind, int]) -> list[Sending]:
        """What so many callers at once were answered."""
        self._floods += 1
        plan = flood.Plan(
            url=self.traffic.url,
            tag=f"flood{self._floods}",
            callers=callers,
            seconds=seconds,
            shares=shares,
            transactions=self._recorded(),
            ledger=str(self.stack.directory / "flood.jsonl"),
        )
        subprocess.run(  # noqa: S603  ourselves
            [sys.executable, "-m", "proof.flood", msgspec.json.encode(plan)], check=True
        )
        lines = Path(plan.ledger).read_bytes().splitlines()
        found = [msgspec.json.decode(line, type=Sending) for line in lines]
        self.beside += found
        return found

    def answered(self) -> int:
        """How many events were accepted."""
        return sum(sending.said == "yes" for sending in self.traffic.sendings + self.beside)

    def _recorded(self) -> list[str]:
        return [
            sending.transaction_id
            for sending in self.traffic.sendings
            if (sending.kind, sending.said, sending.offer_id) == ("click", "yes", flood.OFFER)
        ][:500]

    def between(self, from_s: float, to_s: float) -> list[Sending]:
        """The good traffic that was due between two moments."""
        return [sending for sending in self.traffic.sendings if from_s <= sending.due_s < to_s]


def overload(bench: Bench, callers: int) -> None:
    """Far more callers than can be answered, for a while: who gets what, and when it is over."""
    began_s = time.time()
    time.sleep(QUIET_S)
    flood_s = time.time()
    flooded = bench.flood(callers, FLOOD_S, MIXED)
    over_s = flooded[-1].due_s
    time.sleep(2 * QUIET_S)
    say(f"before: {times(each.took_s for each in bench.between(began_s, flood_s))}")
    say(f"{callers} callers at once: {len(flooded) / (over_s - flood_s):.0f} requests a second")
    _say_by_class("of the flood", flooded)
    _say_by_class("of the good traffic", bench.between(flood_s, over_s))
    _say_normal(bench.between(began_s, flood_s), bench.between(over_s, time.time()), over_s)


def _say_by_class(whose: str, sendings: list[Sending]) -> None:
    for name, kinds in _CLASSES.items():
        mine = [sending for sending in sendings if sending.kind in kinds]
        answered = [sending for sending in mine if sending.said == "yes"]
        statuses = Counter(sending.status for sending in mine)
        say(
            f"  {name} {whose}: {len(answered) / max(1, len(mine)):.1%} of {len(mine)} accepted, in"
            f" {times(each.took_s for each in answered)}; by status {dict(statuses)}"
        )


_CLASSES: Final = {
    "impressions": {"impression"},
    "clicks": {"click"},
    "conversions": {"pixel", "postback"},
}


def _say_normal(before: list[Sending], after: list[Sending], over_s: float) -> None:
    """When the last request after the flood was shed, and from which second on all was as before."""
    shed = [sending.due_s - over_s for sending in after if sending.said != "yes"]
    usual_ms = max(2 * times(each.took_s for each in before).p99_ms, NORMAL_MS)
    seconds: dict[int, list[float]] = {}
    for sending in after:
        seconds.setdefault(int(sending.due_s - over_s), []).append(sending.took_s)
    normal = (second for second, took in sorted(seconds.items()) if times(took).p99_ms <= usual_ms)
    say(
        f"afterwards: {len(shed)} shed, the last after {max(shed, default=0):.1f} s;"
        f" p99 below {usual_ms:.0f} ms again from second {next(normal, 'never')} on"
    )


def slow(bench: Bench, each: int) -> None:
    """Idle, dribbling and stalled connections beside good traffic."""
    began_s = time.time()
    time.sleep(QUIET_S)
    with _held(bench.traffic.url, each) as told:
        held_s = time.time()
        time.sleep(SLOW_S)
        say(f"before: {times(each.took_s for each in bench.between(began_s, held_s - 5))}")
        say(f"with {told()}: {times(each.took_s for each in bench.between(held_s, time.time()))}")


@contextlib.contextmanager
def _held(url: str, each: int) -> Iterator[Callable[[], str]]:
    at = urlsplit(url)
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(  # noqa: S603  ourselves
            [sys.executable, "-m", "proof.slow", str(at.hostname), str(at.port), str(each)], stdout=log
        )
        try:
            time.sleep(5)  # until all are open
            yield lambda: Path(log.name).read_text().splitlines()[-1]
        finally:
            process.kill()
            process.wait()


def cost(bench: Bench) -> None:
    """How soon a query sees a click; what a click costs the collector while only Kafka runs beside it."""
    visit = {"offer_id": "7", "aff_id": "42", "aff_sub5": "probes"}
    clickhouse = ClickHouse(bench.stack.settings)
    age = asyncio.run(seen_age(bench.traffic.url, clickhouse, visit, PROBES))
    clickhouse.close()
    bench.beside += [
        Sending(key=f"probe-{number}", kind="click", offer_id=7, said="yes") for number in range(PROBES)
    ]
    say(f"click to visible row, {RATE:g} requests a second beside: {age}")
    rate, bench.traffic.rate = bench.traffic.rate, 1.0
    with harm.away(bench.stack, *ALONE):
        _say_cost(bench)
    bench.traffic.rate = rate


def _say_cost(bench: Bench) -> None:
    pids = harm.pids_of(bench.stack, "collector")
    before, began_s = cost_of(pids), time.time()
    flooded = bench.flood(64, FLOOD_S, CLICKS)
    took_s, after = flooded[-1].due_s - began_s, cost_of(pids)
    harm.until(lambda: harm.logged(bench.stack) >= bench.answered(), "everything shipped", SHIPPED_S)
    shipped, clicks = cost_of(pids), len(flooded)
    say(f"64 callers, clicks only: {clicks / took_s:.0f} a second, {times(each.took_s for each in flooded)}")
    say(
        f"collector alone: {clicks / (after.cpu_s - before.cpu_s):.0f} clicks a CPU-second while it answers,"
        f" {clicks / (shipped.cpu_s - before.cpu_s):.0f} until all is in Kafka;"
        f" {before.resident_bytes // 1_000_000} MB before, {shipped.resident_bytes // 1_000_000} MB after"
    )


PARTS: Final = ("overload", "slow", "cost")


def run(stack: OwnStack, parts: list[str], callers: int, each: int) -> int:
    """0 when everything that was answered is stored, once."""
    with Traffic(stack.addresses.collector, "load", Pace(rate=RATE, connections=256)) as traffic:
        bench = Bench(stack, traffic)
        time.sleep(WARM_S)
        if "overload" in parts:
            overload(bench, callers)
        if "slow" in parts:
            slow(bench, each)
        if "cost" in parts:
            cost(bench)
        traffic.finish()
    found = compare(stack, traffic.sendings + bench.beside)
    say(str(found))
    for difference in found.differences:
        say(f"  {difference}")
    return 1 if found.sorts else 0


def main() -> int:
    """The figures on standard output."""
    parser = argparse.ArgumentParser(prog="python -m proof.load", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--callers", type=int, default=4_000, metavar="N", help="of the overload (4 000)")
    parser.add_argument("--slow", type=int, default=500, metavar="N", help="slow ones of each kind (500)")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    directory = Path(tempfile.mkdtemp(prefix="roundtrip-load-"))
    say(f"load of the machine: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    with OwnStack(directory / "state", CATALOG) as stack:
        code = run(stack, args.parts or list(PARTS), args.callers, args.slow)
    if code:
        say(f"kept: {directory}")
    else:
        shutil.rmtree(directory)
    return code


if __name__ == "__main__":
    sys.exit(main())
