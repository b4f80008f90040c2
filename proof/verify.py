"""`roundtrip verify`: ClickHouse compared with a truth file, row by row, once the pipeline is at rest."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import msgspec

from console.lag import GROUPS
from proof import truth
from proof.truth import Sent, Truth
from service import stack_file
from service.clickhouse import ClickHouse
from service.errors import Unavailable, Unreachable
from service.kafka import Admin
from service.progress import Progress
from service.settings import Settings

SHOWN = 20
AT_ONCE = 50_000  # conversions that are read at once
AFTER_ALL = "~"  # no ID comes after it

# Cheap, and another one whenever a case or a fact has come in.
PULSE = """
SELECT
    (SELECT count() FROM case_history WHERE transaction_id BETWEEN {low:String} AND {high:String}),
    (SELECT count() FROM click_facts WHERE aff_sub5 = {tag:String}),
    (SELECT count() FROM impression_facts WHERE aff_sub5 = {tag:String}),
    (SELECT count() FROM observation_facts WHERE adv_sub5 = {tag:String})
"""
CONVERSIONS = """
SELECT transaction_id, goal_id, conversion_unique_id, status, reason, affiliate_id, payout, revenue,
    payout_currency, revenue_currency, observations, observed_by AS kinds, test
FROM conversions
WHERE transaction_id >= {low:String} AND transaction_id < {high:String}
"""
FACTS = """
SELECT 'click' AS kind, count() FROM clicks WHERE aff_sub5 = {tag:String}
UNION ALL SELECT 'impression', count() FROM impressions WHERE aff_sub5 = {tag:String}
UNION ALL SELECT kind, count() FROM observations WHERE adv_sub5 = {tag:String} GROUP BY kind
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--truth", type=Path, required=True, metavar="FILE", help="what must be there, by `simulate --truth`"
    )
    parser.add_argument(
        "--wait", type=float, default=180.0, metavar="SECONDS", help="how long it may take (default: 180)"
    )
    parser.add_argument(
        "--only", action="store_true", help="nothing else may be there: for a stack that was empty before"
    )
    stack_file.add_dir_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0 when ClickHouse says what the truth says, 1 with each difference named."""
    lines = sorted(truth.read(args.truth), key=lambda line: line.transaction_id)
    question = Question(lines=lines, sent=truth.read_sent(args.truth), only=args.only)
    settings = stack_file.settings_for(args.dir)
    clickhouse = ClickHouse(settings)
    try:
        found = settle(question, clickhouse, lambda: is_caught_up(settings), Patience(wait_s=args.wait))
    finally:
        clickhouse.close()
    return report(question, found, sys.stdout)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: the truth in the order of its IDs, what was accepted, and whether that must be all."""

    lines: list[Truth]
    sent: Sent | None
    only: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The first differences and how many there are; came_to_rest: there was nothing to wait for any more."""

    differences: list[str]
    count: int
    waited_s: float
    came_to_rest: bool


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long is waited, in seconds; still_s: without a change, besides no lag, is rest."""

    wait_s: float
    still_s: float = 8.0  # longer than shipping and a writer's flush take, on a busy machine too
    poll_s: float = 0.5


def settle(
    question: Question, clickhouse: ClickHouse, is_caught_up: Callable[[], bool], patience: Patience
) -> Found:
    """What is found once all is equal, once everything has come to rest, or once the time is over."""
    began_s = changed_s = time.monotonic()
    pulse: list[Any] = []
    with Progress("verify", len(question.lines)) as progress:
        while True:
            newest = _pulse(question, clickhouse)
            if newest != pulse:
                pulse, changed_s = newest, time.monotonic()
                shown, count = _counted(compare(question, clickhouse))
                progress.show(max(0, len(question.lines) - count), f"{count} differences")
            now_s = time.monotonic()
            rests = count > 0 and now_s - changed_s > patience.still_s and is_caught_up()
            if not count or rests or now_s - began_s > patience.wait_s:
                return Found(differences=shown, count=count, waited_s=now_s - began_s, came_to_rest=rests)
            time.sleep(patience.poll_s)


def compare(question: Question, clickhouse: ClickHouse) -> Iterator[str]:
    """Each difference between what is there now and the truth."""
    uncertain = frozenset(question.sent.uncertain if question.sent else ())
    if question.sent:
        yield from _miscounted(question.sent, clickhouse)
    for lines, low, high in _slices(question):
        known = {line.transaction_id for line in lines}
        rows = clickhouse.query(CONVERSIONS, {"low": low, "high": high}).dicts()
        yield from truth.differences(lines, [row for row in rows if row["transaction_id"] in known])
        if question.only:
            others = known | uncertain
            yield from truth.differences([], [row for row in rows if row["transaction_id"] not in others])


def is_caught_up(settings: Settings) -> bool:
    """Whether every reader has committed all that there is for it; False where Kafka cannot be asked."""
    try:
        with Admin(settings) as admin:
            ends = admin.end_offsets({topic for topics in GROUPS.values() for topic in topics})
            committed = {group: admin.committed(group) for group in GROUPS}
    except (Unreachable, Unavailable):
        return False
    return all(
        committed[group].get((topic, number), (0, ""))[0] >= end
        for group, topics in GROUPS.items()
        for (topic, number), end in ends.items()
        if topic in topics
    )


def report(question: Question, found: Found, out: TextIO) -> int:
    """The verdict in plain lines; the command's exit code."""
    whole = f"{len(question.lines)} conversions"
    if question.sent:
        whole += f" and {sum(count.accepted for count in question.sent.facts.values())} accepted events"
    if not found.count:
        out.write(f"equal: {whole}, after {found.waited_s:.1f} s\n")
    else:
        why = "everything has come to rest" if found.came_to_rest else f"{found.waited_s:.0f} s are over"
        out.write("\n".join(found.differences) + "\n")
        if found.count > len(found.differences):
            out.write(f"and {found.count - len(found.differences)} more\n")
        out.write(f"not equal: {found.count} differences in {whole}; {why}\n")
    if question.sent and question.sent.uncertain:
        out.write(f"left out, for lost answers: {len(question.sent.uncertain)} transactions\n")
    return 1 if found.count else 0


def _pulse(question: Question, clickhouse: ClickHouse) -> list[Any]:
    """Another value whenever something has come in that may matter; cheap."""
    low, high = (
        (question.lines[0].transaction_id, question.lines[-1].transaction_id) if question.lines else ("", "")
    )
    tag = question.sent.tag if question.sent else ""
    return clickhouse.query(PULSE, {"low": low, "high": high, "tag": tag}).rows


def _counted(differences: Iterator[str]) -> tuple[list[str], int]:
    shown = list(islice(differences, SHOWN))
    return shown, len(shown) + sum(1 for _ in differences)


def _miscounted(sent: Sent, clickhouse: ClickHouse) -> Iterator[str]:
    """Kinds of facts of which more or fewer are stored than were accepted."""
    stored = {kind: int(count) for kind, count in clickhouse.query(FACTS, {"tag": sent.tag}).rows}
    for kind, count in sent.facts.items():
        if not count.holds(stored.get(kind, 0)):
            most = f" to {count.accepted + count.lost}" if count.lost else ""
            yield f"{kind}s: {stored.get(kind, 0)} stored, {count.accepted}{most} accepted"


def _slices(question: Question) -> Iterator[tuple[list[Truth], str, str]]:
    """The truth in parts, each with its range of IDs, the upper end excluded; no transaction lies in two."""
    lines = question.lines
    begin = 0
    while begin < len(lines) or (begin == 0 and question.only):
        end = min(begin + AT_ONCE, len(lines))
        while 0 < end < len(lines) and lines[end].transaction_id == lines[end - 1].transaction_id:
            end += 1
        low = "" if question.only and begin == 0 else lines[begin].transaction_id
        high = lines[end].transaction_id if end < len(lines) else AFTER_ALL
        yield lines[begin:end], low, high
        if end == begin:
            return
        begin = end
