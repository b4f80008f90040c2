"""Kafka, ClickHouse and the joiner gone for minutes: what answers take meanwhile, and how it catches up.

`python -m proof.availability [--minutes M] [--rate R] [--kind gone|silent]`. Gone: killed, nothing listens.
Silent: held still (SIGSTOP), connections stay and nobody answers. Then every answer is held against what is
stored. No time decides whether it passes: answers and the ledger do.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec
import psutil

from deploy.terminal import say
from proof import harm
from proof.compared import compare
from proof.disk import DiskProbe
from proof.ledger import Sending
from proof.own_stack import OwnStack
from proof.times import times
from proof.traffic import CATALOG, Pace, Traffic
from service.clickhouse import ClickHouse
from service.errors import Problem, Unavailable

GONE: Final = ("broker", "clickhouse", "joiner")
KINDS: Final[dict[str, Callable[..., AbstractContextManager[None]]]] = {
    "gone": harm.away,
    "silent": harm.frozen,
}
DEFAULT_RATE: Final = 200.0
CATCH_UP_S: Final = 600.0
POLL_S: Final = 0.25
NEAR_S: Final = 1.0  # caught up: not further behind than the live traffic of so long
STORED: Final = """
SELECT (SELECT count() FROM clicks) + (SELECT count() FROM impressions) + (SELECT count() FROM observations)
"""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried: how long all is gone and in which way, requests a second, seconds before and after."""

    minutes: float = 10.0
    kind: str = "gone"
    rate: float = DEFAULT_RATE
    live_s: float = 20.0


class Trial:
    """A stack, its traffic and the disk below, and what is said about them."""

    def __init__(self, stack: OwnStack, traffic: Traffic, probe: DiskProbe) -> None:
        self.stack = stack
        self.traffic = traffic
        self._probe = probe
        self._told = 0

    def told(self, what: str, began_s: float) -> list[Sending]:
        """One line of what was answered since the last, and of the disk; the sendings."""
        new = self.traffic.sendings[self._told :]
        self._told += len(new)
        answers = times(sending.took_s for sending in new)
        disk = times(self._probe.seconds(began_s, time.time()))
        said = Counter(f"{sending.kind} {sending.status or sending.said}" for sending in new)
        say(
            f"{what:<11} answers {answers}; fdatasync p50 {disk.p50_ms:.1f} ms, p99 {disk.p99_ms:.1f} ms;"
            f" collector {self.resident_mb()} MB; "
            + ", ".join(f"{count} {each}" for each, count in sorted(said.items()))
        )
        return new

    def resident_mb(self) -> str:
        """Resident memory of each collector process."""
        pids = harm.pids_of(self.stack, "collector")
        return "+".join(str(psutil.Process(pid).memory_info().rss // 1_000_000) for pid in pids)

    def answered(self) -> int:
        """How many events were accepted."""
        return sum(sending.said == "yes" for sending in self.traffic.sendings)

    def logged(self) -> int:
        """How many facts Kafka holds; 0 while it does not answer."""
        return harm.logged(self.stack)

    def stored(self) -> int:
        """How many facts ClickHouse shows; 0 while it does not answer."""
        clickhouse = ClickHouse(self.stack.settings)
        try:
            return int(clickhouse.query(STORED).rows[0][0])
        except (Problem, Unavailable):
            return 0
        finally:
            clickhouse.close()


def run(stack: OwnStack, wanted: Wanted) -> int:
    """0 when every answer was a yes while everything was gone, and all of them are stored, once."""
    with (
        DiskProbe(stack.directory) as probe,
        Traffic(stack.addresses.collector, "away", Pace(rate=wanted.rate)) as traffic,
    ):
        trial = Trial(stack, traffic, probe)
        _lasting(trial, "before", wanted.live_s)
        with KINDS[wanted.kind](stack, *GONE):
            nos = _gone(trial, wanted.minutes)
        _catching_up(trial, wanted.rate)
        _lasting(trial, "after", wanted.live_s)
        traffic.finish()
    found = compare(stack, traffic.sendings)
    say(str(found))
    for difference in found.differences:
        say(f"  {difference}")
    say(f"not accepted while {', '.join(GONE)} were {wanted.kind}: {nos}")
    return 1 if found.sorts or nos else 0


def _lasting(trial: Trial, what: str, seconds: float) -> list[Sending]:
    began_s = time.time()
    time.sleep(seconds)
    return trial.told(what, began_s)


def _gone(trial: Trial, minutes: float) -> int:
    """How many requests were not accepted."""
    nos, left_s = 0, minutes * 60
    while left_s > 0:
        lasts_s = min(60.0, left_s)
        left_s -= lasts_s
        new = _lasting(trial, f"gone {minutes - left_s / 60:.1f} min", lasts_s)
        nos += sum(sending.said != "yes" for sending in new)
    return nos


def _catching_up(trial: Trial, rate: float) -> None:
    """Everything that waited has come to Kafka and to ClickHouse; how quickly, and what answers took."""
    began_s = time.time()
    before = _until(trial.logged, lambda logged: logged > 0)
    listening_s = time.time()
    waiting = trial.answered() - before
    logged = _until(trial.logged, lambda logged: logged >= trial.answered() - rate * NEAR_S)
    took_s = time.time() - listening_s
    speed = (logged - before) / took_s
    say(
        f"back: Kafka answered after {listening_s - began_s:.1f} s; {waiting} events waited;"
        f" shipped after {took_s:.1f} s more: {speed:.0f} a second, {speed / rate:.1f} times the live rate"
    )
    _until(trial.stored, lambda stored: stored >= trial.answered() - rate * NEAR_S * 3)
    say(f"back: ClickHouse shows all of them after {time.time() - began_s:.1f} s")
    trial.told("catching up", began_s)


def _until(ask: Callable[[], int], holds: Callable[[int], bool]) -> int:
    """The first answer for which it holds."""
    limit = time.monotonic() + CATCH_UP_S
    while not holds(answer := ask()):
        if time.monotonic() > limit:
            raise TimeoutError(f"not caught up after {CATCH_UP_S:g} s: {answer}")
        time.sleep(POLL_S)
    return answer


def main() -> int:
    """The figures on standard output."""
    parser = argparse.ArgumentParser(prog="python -m proof.availability", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="how long (10)")
    parser.add_argument(
        "--rate", type=float, default=DEFAULT_RATE, metavar="R", help="requests a second (200)"
    )
    parser.add_argument("--kind", choices=KINDS, default="gone", help="killed, or held still (gone)")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="roundtrip-availability-"))
    with OwnStack(directory / "state", CATALOG) as stack:
        code = run(stack, Wanted(minutes=args.minutes, kind=args.kind, rate=args.rate))
    if code:
        say(f"kept: {directory}")
    else:
        shutil.rmtree(directory)
    return code


if __name__ == "__main__":
    sys.exit(main())
