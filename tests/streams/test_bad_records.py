"""Whatever lies in its topics, the joiner goes on: no fact is without effect, all else is in quarantine.

BAD_RECORDS=1000000 python -m pytest tests/streams/test_bad_records.py -k real_kafka   # a longer run
"""

import base64
import hashlib
import itertools
import os
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

import roundtrip
from schemas import decisions, facts, times
from schemas.catalog_versions import CatalogVersion, encode_version, record_key
from schemas.decisions import Case, Quarantine
from schemas.facts import AnyFact, Statement
from schemas.reasons import Reason
from schemas.topics import DAY_MS
from schemas.transaction_id import Kind, kind, time_ms
from service.kafka import Outgoing, Record
from streams.batch.batch import Batch
from streams.batch.placement import partitions_of, sorted_out
from streams.rules.decide import CatalogMissing, decide_transaction
from streams.state.layout import KINDS
from streams.state.store import Store
from tests.streams import facts_of_a_shop as shop
from tests.streams import spoiled
from tests.streams.installation import Installation, JoinerProcess
from tests.streams.joining import NOON_MS, content, judging, last_cases, quarantines
from tests.streams.spoiled import PARTITIONS

HISTORY = shop.history()
AT_ONCE = 20_000  # records that a producer's queue takes
Place = tuple[str, int, int]
Cases = dict[tuple[str, int], Case]


class Judged(NamedTuple):
    """What must become of records: of each bad one its reason; of the others, by transaction, the facts.

    late: receipts of statements that a spoiled time makes too late; which of them lies where is no matter.
    """

    bad: dict[Place, Reason]
    good: dict[str, list[AnyFact]]
    late: set[str]


def judged(records: Iterable[Record]) -> Judged:
    """In the order in which they lie in their logs; by the rules of docs/joiner.md."""
    found = Judged({}, defaultdict(list), set())
    known: dict[tuple[object, ...], AnyFact] = {}
    for record in records:
        place = record.topic, record.partition, record.offset
        try:
            fact = facts.decode(record.topic, record.value)
        except facts.Malformed:
            found.bad[place] = Reason.MALFORMED_EVENT
            continue
        (home,) = partitions_of([record.key], PARTITIONS)
        if record.key != fact.transaction_id.encode() or record.partition != home:
            found.bad[place] = Reason.MALFORMED_EVENT
            continue
        receipt = record.partition, KINDS[record.topic], fact.received_at, fact.receipt_id
        if known.setdefault(receipt, fact) != fact:
            found.bad[place] = Reason.CONFLICTING_VALUES
        elif known[receipt] is fact:
            found.good[fact.transaction_id].append(fact)
    for name, known_of_it in found.good.items():
        late = [fact for fact in known_of_it if _is_late(fact, known_of_it)]
        found.late.update(fact.receipt_id for fact in late)
        found.good[name] = [fact for fact in known_of_it if fact not in late]
    return found


def _is_late(fact: AnyFact, known: Sequence[AnyFact]) -> bool:
    """Whether it was received more than 120 days after the first statement since its ID was made."""
    stated = [times.to_ms(one.received_at) for one in known if isinstance(one, Statement)]
    made_ms = time_ms(fact.transaction_id) if kind(fact.transaction_id) is Kind.RANDOM else 0
    first = min((max(ms, made_ms) for ms in stated), default=0)
    return isinstance(fact, Statement) and times.to_ms(fact.received_at) - first > 120 * DAY_MS


def _said_ms(fact: AnyFact) -> int:
    """When it was received, of a statement not before its ID was made."""
    is_random = isinstance(fact, Statement) and kind(fact.transaction_id) is Kind.RANDOM
    return max(times.to_ms(fact.received_at), time_ms(fact.transaction_id) if is_random else -(2**62))


def cases_of(good: dict[str, list[AnyFact]]) -> tuple[Cases, set[str]]:
    """What must stand in the end, and the transactions that wait for a catalog, of which nothing is said."""
    cases: Cases = {}
    waiting = set()
    for name, known in good.items():
        first = min((_said_ms(fact) for fact in known if isinstance(fact, Statement)), default=0)
        read = [
            fact for fact in known if isinstance(fact, Statement) or _said_ms(fact) - first <= 120 * DAY_MS
        ]
        try:
            decided = decide_transaction(read, HISTORY)
        except CatalogMissing:
            waiting.add(name)
            continue
        for goal, conversions in decided.cases.items():
            case = Case(
                transaction_id=name,
                goal_id=goal,
                version=0,
                decided_at="",
                conversions=conversions,
                visits=judging(decided.visits.values()),
            )
            cases[name, goal] = content(case)
    return cases, waiting


def assert_all_is_kept(kept: Sequence[Quarantine], expected: Judged, read: Iterable[Record]) -> None:
    """Each bad record, and no other, is in quarantine: its reason, its bytes, its place, its identity."""
    late = [each for each in kept if each.reason == Reason.TOO_LATE_TO_CORRECT]
    assert {each.receipt_id for each in late} == expected.late
    found = {
        (each.topic, each.partition, each.offset): each
        for each in kept
        if each.reason != Reason.TOO_LATE_TO_CORRECT
    }
    # What is too late is not kept, so nothing contradicts it: its second content is too late as well.
    too_late = {(each.topic, each.partition, each.offset) for each in late}
    bad = {
        place: reason
        for place, reason in expected.bad.items()
        if reason != Reason.CONFLICTING_VALUES or place not in too_late
    }
    assert {place: each.reason for place, each in found.items()} == bad
    for record in read:
        if each := found.get((record.topic, record.partition, record.offset)):
            assert base64.b64decode(each.value) == record.value
            assert (
                each.identity == each.receipt_id or each.identity == hashlib.sha256(record.value).hexdigest()
            )
            assert each.detail


def assert_all_counts(sent: Sequence[Outgoing], good: dict[str, list[AnyFact]]) -> None:
    """The final cases are those of the facts."""
    cases, waiting = cases_of(good)
    assert len(cases) > len(good) / 2, "too little is right to be a test"
    final = {key: content(case) for key, case in last_cases(sent).items() if case.conversions}
    assert {key: case for key, case in final.items() if key[0] not in waiting} == cases


@pytest.mark.parametrize("seed", range(3))
def test_spoiled_records_never_stop_a_batch_and_lose_nothing(tmp_path: Path, seed: int) -> None:
    """In batches of any size, as fetches bring them."""
    put = spoiled.records(1_500, seed)
    homes = partitions_of([each.key for each in put], PARTITIONS)
    read = []
    for offset, (each, home) in enumerate(zip(put, homes, strict=True)):
        partition = home if each.partition is None else each.partition
        read.append(Record(each.topic, partition, offset, NOON_MS, each.key, each.value or b""))
    store, sent = Store(tmp_path), []
    for number in range(PARTITIONS):
        state = store.open(number)
        mine = [each for each in read if each.partition == number]
        for start in range(0, len(mine), 97):
            batch = Batch(state, lambda known: decide_transaction(known, HISTORY), NOON_MS)
            placed, astray = sorted_out(mine[start : start + 97], PARTITIONS)
            batch.refuse(astray, Reason.MALFORMED_EVENT, "elsewhere")
            batch.absorb(placed)
            state.apply(batch.changes)
            state.sent()
            assert batch.alarms == []
            sent += batch.changes.outbox
        state.close()
    expected = judged(read)
    assert len(expected.bad) > 500
    assert_all_is_kept(quarantines(sent), expected, read)
    assert_all_counts(sent, expected.good)


@pytest.mark.parametrize("seed", range(3))
def test_spoiled_cases_never_stop_a_batch_and_the_rows_are_right_again(tmp_path: Path, seed: int) -> None:
    """What lies in `conversions` is read too: what tells of no case is in quarantine, the rest is put right.

    But for what names a fact that nobody sent: nothing tells that it is not one that is gone.
    """
    chance = random.Random(seed)
    state, count = Store(tmp_path).open(0), itertools.count(1)
    known = [fact for number in range(60) for fact in spoiled.clean(number, count)]
    log: list[Outgoing] = []

    def batch(work: Callable[[Batch], None]) -> None:
        made = Batch(state, lambda found: decide_transaction(found, HISTORY), NOON_MS)
        work(made)
        state.apply(made.changes)
        state.sent()
        assert made.alarms == []
        log.extend(made.changes.outbox)

    sent = [spoiled.outgoing(each) for each in known]
    facts_read = [Record(each.topic, 0, 0, NOON_MS, each.key, each.value) for each in sent]
    batch(lambda made: made.absorb(facts_read))
    right = {key: content(case) for key, case in last_cases(log).items()}
    cases = [each for each in log if each.topic == "conversions"]
    put = spoiled_cases(chance, cases, known, 1_000)
    read = [Record("conversions", 0, n, NOON_MS, each.key, each.value or b"") for n, each in enumerate(put)]
    for start in range(0, len(read), 50):
        part = read[start : start + 50]
        batch(lambda made, part=part: made.take_cases(part))
        log += [Outgoing("conversions", each.key, each.value, 0) for each in part if is_case(each)]
        batch(lambda made: made.resume([bundle for _, bundle in state.waiting(b"", 10_000)]))
    kept = {each.offset: each for each in quarantines(log)}
    assert kept.keys() == {each.offset for each in read if not is_case(each)}
    assert all(base64.b64decode(each.value) == read[offset].value for offset, each in kept.items())
    final = last_cases(each for each in log if each.topic == "conversions")
    assert {key: content(final[key]) for key in right} == right
    assert [key for key, case in final.items() if key not in right and case.conversions] == []


def spoiled_cases(
    chance: random.Random, cases: Sequence[Outgoing], known: Iterable[AnyFact], count: int
) -> list[Outgoing]:
    """About so many, none of which names a fact that there never was."""
    there = {(each.transaction_id, each.receipt_id) for each in known}
    made = [chance.choice(spoiled.OF_CASES)(chance, chance.choice(cases)) for _ in range(count)]
    return [each for each in made if named_in(each) <= there]


def named_in(record: Outgoing) -> set[tuple[str, str]]:
    """Transaction and receipt of each fact that a case names, if it is one."""
    try:
        case = decisions.decode("conversions", record.value or b"")
    except msgspec.DecodeError:
        return set()
    assert isinstance(case, Case)
    receipts = [visit.receipt_id for visit in case.visits]
    receipts += [receipt for each in case.conversions for receipt in each.receipts]
    return {(case.transaction_id, receipt) for receipt in receipts}


def is_case(record: Record) -> bool:
    """Whether a record of `conversions` tells of the case that its key names, at times of the calendar."""
    try:
        case = decisions.decode("conversions", record.value)
        assert isinstance(case, Case)
        moments = [each.received_at for each in case.conversions] or [case.decided_at]
        moments += [one for visit in case.visits for one in (visit.received_at, visit.occurred_at)]
        for each in moments:
            times.to_ms(each)
        for visit in case.visits:
            facts.check(visit)
    except (msgspec.DecodeError, ValueError):
        return False
    return record.key == decisions.case_key(case.transaction_id, case.goal_id, case.number)


class RealJoiner(JoinerProcess):
    """`roundtrip joiner`, as it is."""

    def command(self) -> Sequence[str]:
        return [sys.executable, roundtrip.__file__, "joiner"]

    @property
    def environment(self) -> dict[str, str]:  # type: ignore[override]
        config = self.settings
        return {
            "ROUNDTRIP_DIR": str(config.dir),
            "ROUNDTRIP_KAFKA": config.kafka,
            "ROUNDTRIP_TOPIC_PREFIX": config.topic_prefix,
            "ROUNDTRIP_PARTITIONS": str(config.partitions),
            "ROUNDTRIP_PORT": str(self.port),
        }


def real_joiner(here: Installation) -> RealJoiner:
    process = RealJoiner(here.settings)
    here.processes.append(process)
    process.start()
    return process


def _is_of_another_time(record: Outgoing) -> bool:
    """A fact received years ago, or to come: when it is too old rests on how far the other topics are read.

    That is tried where time stands still: above, and in the tests of expiry.
    """
    try:
        fact = facts.decode(record.topic, record.value or b"")
    except facts.Malformed:
        return False
    return abs(times.to_ms(fact.received_at) - times.to_ms(shop.at(0))) > 5 * DAY_MS


CATALOG = CatalogVersion(version=1, applied_at=shop.at(0), applied_by="test", catalog=shop.CATALOG)


@pytest.mark.stack
def test_a_hundred_thousand_spoiled_records_on_the_real_kafka(here: Installation) -> None:
    here.migrate()
    here.put([Outgoing("catalog", record_key(1), encode_version(CATALOG), 0)])
    drawn = spoiled.records(int(os.environ.get("BAD_RECORDS", "100000")))
    put = [each for each in drawn if not _is_of_another_time(each)]
    assert len(put) > len(drawn) * 0.9
    for start in range(0, len(put), AT_ONCE):
        here.put(put[start : start + AT_ONCE])
    joiner = real_joiner(here)
    here.waits_for(here.committed_all, 600)
    read = [record for topic in facts.TYPES for record in here.read(topic)]
    expected = judged(read)
    assert_all_is_kept(quarantines(here.sent("quarantine")), expected, read)
    assert_all_counts(here.sent("conversions"), expected.good)
    assert "roundtrip_joiner_undecided_total 0.0" in joiner.ask("metrics")
    joiner.stop()
    assert joiner.exit_code == 0
    assert "Traceback" not in joiner.said()


@pytest.mark.stack
def test_spoiled_cases_on_the_real_kafka(here: Installation) -> None:
    here.migrate()
    here.put([Outgoing("catalog", record_key(1), encode_version(CATALOG), 0)])
    count = itertools.count(1)
    known = [fact for number in range(60) for fact in spoiled.clean(number, count)]
    here.put([spoiled.outgoing(each) for each in known])
    joiner = real_joiner(here)
    here.waits_for(here.committed_all)
    right = final_cases(here)
    assert len(right) == 120
    here.put(spoiled_cases(random.Random(1), here.sent("conversions"), known, 2_000))
    here.waits_for(lambda: here.committed_all() and final_cases(here) == right)
    read = here.read("conversions")
    kept = {(each.partition, each.offset): each for each in quarantines(here.sent("quarantine"))}
    bad = {(each.partition, each.offset): each for each in read if not is_case(each)}
    assert kept.keys() == bad.keys()
    assert all(base64.b64decode(each.value) == bad[place].value for place, each in kept.items())
    assert "roundtrip_joiner_undecided_total 0.0" in joiner.ask("metrics")
    joiner.stop()
    assert joiner.exit_code == 0
    assert "Traceback" not in joiner.said()


def final_cases(here: Installation) -> Cases:
    """Those that are not empty, without what depends on how they came about."""
    sent = [
        Outgoing("conversions", each.key, each.value) for each in here.read("conversions") if is_case(each)
    ]
    return {key: content(case) for key, case in last_cases(sent).items() if case.conversions}
