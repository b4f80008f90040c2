"""`roundtrip lag`: how far each consumer group is behind, partition by partition, with a verdict."""

import argparse
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec

from console import render
from console.silence import Committed, Silence
from schemas.tables import TABLES_OF_TOPIC
from schemas.topics import FACTS
from service import stack_file
from service.errors import Unavailable, Unreachable
from service.kafka import Admin, Partition, read_range
from service.settings import Settings

# Who reads what, in the order of the path: the groups of kafka.topics, sinks.writer and sinks.notifier.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "roundtrip-joiner": (*FACTS, "conversions"),
    "roundtrip-writer": tuple(TABLES_OF_TOPIC),
    "roundtrip-notifier": ("notices",),
}

BEHIND_S = 30.0  # a record that waits so long is late: batches, commits and fetches take a second or two
STUCK_S = 60.0  # waiting records and no commit of their partition for so long
WATCH_S = 2.0
MOST_LOOKS = 64  # partitions whose waiting record is read for its age; each costs a connection
LOOK_S = 5.0
ASK_S = 3.0  # a broker that is there answers in milliseconds

Verdict = Literal["well", "behind", "stuck", "silent", "never read"]


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """One group's place in one partition.

    offset: the next that it reads, none if it never committed; end: the next that will be written.
    waiting_since_ms: when the first record that waits was appended, Unix ms; none if nothing waits or it was
        not looked at.
    note: what the group keeps beside its offset.
    """

    group: str
    topic: str
    partition: int
    offset: int | None
    end: int
    lag: int
    waiting_since_ms: int | None
    behind_s: float | None
    verdict: Verdict
    note: str = ""


class Place(msgspec.Struct, frozen=True):
    """What Kafka says of one group's partition.

    start: the first offset that is still there. note: what the group keeps beside its offset.
    """

    group: str
    partition: Partition
    offset: int | None
    start: int
    end: int
    note: str = ""

    @property
    def lag(self) -> int:
        """How many records wait."""
        return max(self.end - max(self.offset or 0, self.start), 0)


def places(admin: Admin, groups: Iterable[str] = tuple(GROUPS)) -> list[Place]:
    """The place of each of these groups in each partition that it reads; Unreachable where Kafka is silent.

    A group's ends are asked before its committed offsets, and groups in the order of the path: where all are
    at their ends, what was there when the first was asked has come to the last.
    """
    found = []
    read = {group: GROUPS[group] for group in groups}
    starts = admin.start_offsets({topic for topics in read.values() for topic in topics})
    for group, topics in read.items():
        ends = admin.end_offsets(topics)
        committed = admin.committed(group)
        for partition, end in sorted(ends.items()):
            offset, note = committed.get(partition, (None, ""))
            found.append(Place(group, partition, offset, starts.get(partition, 0), end, note))
    return found


def measure(settings: Settings, now_s: float) -> list[Lag]:
    """Each group's lag in each partition, with a verdict by what waits now."""
    with Admin(settings, ASK_S) as admin:
        found = places(admin)
    ages = _waiting_since(settings, found)
    return [_judged(each, ages.get((each.partition, _next(each))), now_s) for each in found]


def _next(place: Place) -> int:
    return max(place.offset or 0, place.start)


def _waiting_since(settings: Settings, found: Iterable[Place]) -> dict[tuple[Partition, int], int]:
    """Unix ms at which the first waiting record of a partition was appended; of the most lagging ones."""
    lagging = sorted((each for each in found if each.lag), key=lambda each: -each.lag)
    ages: dict[tuple[Partition, int], int] = {}
    for each in lagging[:MOST_LOOKS]:
        key = (each.partition, _next(each))
        if key in ages:
            continue
        for record in read_range(settings, *each.partition, _next(each), _next(each) + 1, LOOK_S):
            ages[key] = record.timestamp_ms
    return ages


def _judged(place: Place, since_ms: int | None, now_s: float) -> Lag:
    topic, partition = place.partition
    behind_s = None if since_ms is None else round(max(now_s - since_ms / 1000, 0.0), 1)
    return Lag(
        group=place.group,
        topic=topic,
        partition=partition,
        offset=place.offset,
        end=place.end,
        lag=place.lag,
        waiting_since_ms=since_ms,
        behind_s=behind_s,
        verdict=verdict(place.lag, place.offset, behind_s),
        note=place.note,
    )


def verdict(lag: int, offset: int | None, behind_s: float | None) -> Verdict:
    """The first of these that applies.

    1. Nothing waits: well.
    2. What waits was appended less than BEHIND_S ago: well.
    3. The group never committed here: never read.
    4. Else: behind.
    """
    if not lag or (behind_s is not None and behind_s < BEHIND_S):
        return "well"
    return "never read" if offset is None else "behind"


def silent(lags: Iterable[Lag], groups: Collection[str]) -> list[Lag]:
    """The same, with the verdict `silent` where records wait for one of these groups."""
    return [
        msgspec.structs.replace(each, verdict="silent") if each.lag and each.group in groups else each
        for each in lags
    ]


class History:
    """What a watcher saw before: a place that does not move while records wait is stuck.

    A group of which no place moves is silent.
    """

    def __init__(self, silent_s: float = STUCK_S) -> None:
        self._silent_s = silent_s
        self._places: dict[tuple[str, str, int], Silence] = {}
        self._groups = {group: Silence() for group in GROUPS}

    def judged(self, lags: Iterable[Lag], now_s: float) -> list[Lag]:
        """The same, with the verdicts `stuck` and `silent` where they apply."""
        lags = list(lags)
        return silent(
            [self._judged(each, now_s) for each in lags],
            [group for group in self._groups if self._is_silent(group, lags, now_s)],
        )

    def _judged(self, lag: Lag, now_s: float) -> Lag:
        place = self._places.setdefault(_key(lag), Silence())
        stuck = place.look({None: Committed(lag.offset, lag.note)}, lag.lag, now_s) >= STUCK_S
        return msgspec.structs.replace(lag, verdict="stuck") if stuck else lag

    def _is_silent(self, group: str, lags: Iterable[Lag], now_s: float) -> bool:
        mine = [each for each in lags if each.group == group]
        committed = {_key(each): Committed(each.offset, each.note) for each in mine}
        waiting = sum(each.lag for each in mine)
        return self._groups[group].look(committed, waiting, now_s) >= self._silent_s


def _key(lag: Lag) -> tuple[str, str, int]:
    return lag.group, lag.topic, lag.partition


def arguments(parser: argparse.ArgumentParser) -> None:
    """`--watch`, `--all`, `--format`, `--dir`."""
    parser.add_argument("--watch", action="store_true", help="look again every two seconds, until Ctrl-C")
    parser.add_argument("--all", action="store_true", help="partitions that were never written to as well")
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    stack_file.add_dir_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0 when all is well, 1 otherwise."""
    settings = stack_file.settings_for(args.dir)
    history = History(settings.silent_s)
    while True:
        now_s = time.time()
        lags = history.judged(_measured(settings, now_s), now_s)
        sys.stdout.write(written(lags, args.format, everything=args.all))
        sys.stdout.flush()
        code = 0 if all(each.verdict == "well" for each in lags) else 1
        if not args.watch:
            return code
        try:
            time.sleep(WATCH_S)
        except KeyboardInterrupt:
            return code


def _measured(settings: Settings, now_s: float) -> list[Lag]:
    try:
        return measure(settings, now_s)
    except Unavailable as error:
        raise Unreachable(str(error)) from error


def written(lags: Iterable[Lag], form: str, *, everything: bool) -> str:
    """The lags, then one line that sums them up."""
    lags = list(lags)
    if form == "json":
        return render.as_json([msgspec.structs.asdict(each) for each in lags]).decode()
    columns = ("group", "topic", "partition", "offset", "end", "lag", "behind_s", "verdict")
    rows = [[getattr(each, name) for name in columns] for each in lags if each.end or everything]
    if form == "csv":
        return render.as_csv(columns, rows)
    return render.table(columns, rows) + summary(lags) + "\n"


def summary(lags: Iterable[Lag]) -> str:
    """One line."""
    lags = list(lags)
    bad = [each for each in lags if each.verdict != "well"]
    waiting = sum(each.lag for each in lags)
    if not lags:
        return "no topics: run `roundtrip migrate`"
    if not bad:
        return f"all is well: {waiting} records wait in {len(lags)} places"
    worst = max(bad, key=lambda each: each.behind_s or 0)
    late = f", the oldest for {worst.behind_s:.0f} s" if worst.behind_s is not None else ""
    where = f"{worst.group} on {worst.topic}/{worst.partition} ({worst.verdict})"
    return f"{len(bad)} of {len(lags)} places are not well: {waiting} records wait{late}; worst: {where}"
