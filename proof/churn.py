"""Whether the joiner's disk stays flat: window after window of clicks and sales through one real state.

`python -m proof.churn [--clicks N] [--windows N]` moves time on by what the facts say; nothing waits. A
window is as long as a click is kept. Sales are kept longer: what they take grows for seven windows.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from deploy.terminal import say
from proof.bulk import Bulk
from proof.histories import DAY, catalogs
from schemas import times
from schemas.catalog_versions import CatalogVersion, History
from service.kafka import Record
from streams.batch.batch import Batch
from streams.expirer import STEP_MS, Expirer
from streams.expiry import KEPT_MS, TopicTime, time_of
from streams.rules.decide import decide_transaction
from streams.state.layout import Position
from streams.state.partition import Partition
from streams.state.store import Store

WINDOW_DAYS: Final = KEPT_MS["clicks"] // DAY
START: Final = "2026-11-23T12:00:00.000Z"
FETCH: Final = 4_000  # clicks
SALES: Final = 0.05  # of the clicks; each is stated twice


class _Fact(msgspec.Struct):
    received_at: str


_fact = msgspec.json.Decoder(_Fact).decode


class Window(msgspec.Struct):
    """What went in and out, and what that took."""

    facts: int = 0
    expired: int = 0
    expiry_s: float = 0.0
    longest_s: float = 0.0
    cpu_s: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """0; prints a line a window. What is flat, a person says."""
    parser = argparse.ArgumentParser(prog="python -m proof.churn", description=__doc__)
    parser.add_argument("--clicks", type=int, default=200_000, help="a window (200 000)")
    parser.add_argument("--windows", type=int, default=10, help="of 37 days each (10)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="roundtrip-churn-") as directory:
        for number, line in enumerate(lines(Path(directory), given.clicks, given.windows), start=1):
            say(f"window {number:2}: {line}")
    return 0


def lines(directory: Path, clicks: int, windows: int) -> Iterator[str]:
    """For each window, once it is over, what it was like."""
    state = Store(directory).open(0)
    total = clicks * windows
    days = WINDOW_DAYS * windows
    bulk = Bulk(total, times.to_ms(START) + days * DAY, days)
    churn = Churn(state, bulk)
    for start in range(0, total, clicks):
        window = churn.play(start, start + clicks)
        files = [each.stat().st_size for each in directory.rglob("*") if each.is_file()]
        tables = [each.stat().st_size for each in directory.rglob("*.sst")]
        each_us = window.expiry_s / max(1, window.expired) * 1e6
        yield (
            f"{sum(files) / 1e6:6.1f} MB on disk, {sum(tables) / 1e6:6.1f} MB in tables;"
            f" {window.facts} facts came, {window.expired} expired: {each_us:.1f} µs each,"
            f" the longest piece {window.longest_s * 1e3:.0f} ms; {window.cpu_s:.1f} CPU-seconds in all"
        )
    state.close()


class Churn:
    """One partition's state, fed as a joiner feeds it; what it sends is thrown away."""

    def __init__(self, state: Partition, bulk: Bulk) -> None:
        self._state = state
        self._bulk = bulk
        self._expirer = Expirer()
        self._offset = 0
        self._history = History(
            CatalogVersion(version=number, applied_at=START, applied_by="proof", catalog=catalog)
            for number, catalog in enumerate(catalogs(), start=1)
        )

    def play(self, start: int, end: int) -> Window:
        """The transactions of these numbers are told, and what is then too old has expired."""
        window = Window()
        began_s = time.process_time()
        for first in range(start, end, FETCH):
            last = min(end, first + FETCH)
            sales = range(first, last, round(1 / SALES))
            told = [*self._bulk.clicks(first, last), *(self._bulk.sale(n) for n in sales for _ in "12")]
            self._absorb([self._record(each.topic, each.key, each.value) for each in told])
            window.facts += len(told)
            self._expire(window)
        window.cpu_s = time.process_time() - began_s
        return window

    def _record(self, topic: str, key: bytes, value: bytes) -> Record:
        self._offset += 1
        return Record(topic, 0, self._offset, times.to_ms(_fact(value).received_at), key, value)

    def _absorb(self, records: Sequence[Record]) -> None:
        now_ms = records[-1].timestamp_ms
        batch = Batch(
            self._state,
            lambda known: decide_transaction(known, self._history),
            now_ms,
            self._state.expired.time_ms,
        )
        batch.absorb(records)
        batch.move({topic: Position(self._offset, "log") for topic in ("clicks", "postbacks")})
        self._state.apply(batch.changes)
        self._state.sent()

    def _expire(self, window: Window) -> None:
        clocks = [TopicTime(each.clock_ms, at_end=True) for each in self._state.positions.values()]
        time_ms = time_of(clocks)
        more = time_ms >= self._state.expired.time_ms + STEP_MS
        while more:
            began_s = time.perf_counter()
            gone = self._expirer.take(self._state, time_ms)
            took_s = time.perf_counter() - began_s
            window.expired += gone.clicks + gone.statements
            window.expiry_s += took_s
            window.longest_s = max(window.longest_s, took_s)
            self._expirer.reclaim(self._state)
            more = gone.more


if __name__ == "__main__":
    sys.exit(main())
