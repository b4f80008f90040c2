"""What leaves a state, when, and that nothing else changes by it. On the real RocksDB."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts, times
from schemas.decisions import Case
from schemas.facts import AnyFact
from schemas.reasons import Reason
from service.kafka import Outgoing, Record
from streams import expirer
from streams.batch.batch import Batch
from streams.expirer import Expirer, Gone
from streams.rules.decide import decide_transaction
from streams.state import layout
from streams.state.bundles import Bundle
from streams.state.layout import Expired, Position
from streams.state.partition import FAMILIES, Partition
from streams.state.store import Store
from tests.chance import FIXTURE, tries
from tests.streams import facts_of_a_shop as shop
from tests.streams.joining import NOON_MS, cases, click, content, decide, last_cases, postback, quarantines

DAY = 86_400_000
IN_2099 = "2099-01-01T00:00:00.000Z"


def at(day: float) -> dict[str, str]:
    moment = times.from_ms(NOON_MS + int(day * DAY))
    return {"received_at": moment, "occurred_at": moment}


def record(fact: AnyFact, day: float) -> Record:
    """The fact as the broker appended it on a day."""
    appended_ms = NOON_MS + int(day * DAY)
    key, value = fact.transaction_id.encode(), facts.encode(fact)
    return Record(facts.TOPIC_OF[type(fact)], 0, 0, appended_ms, key, value)


def absorbed(state: Partition, *given: AnyFact, rules: object = decide) -> list[Outgoing]:
    made = Batch(state, rules, NOON_MS, state.expired.time_ms)  # type: ignore[arg-type]
    made.absorb([record(each, 999) for each in given])
    state.apply(made.changes)
    state.sent()
    return made.changes.outbox


def expired(state: Partition, day: float) -> Gone:
    """Everything that is too old on that day has left."""
    taker, whole = Expirer(), Gone()
    while True:
        gone = taker.take(state, NOON_MS + int(day * DAY))
        taker.reclaim(state)
        for kind in ("impressions", "clicks", "statements"):
            setattr(whole, kind, getattr(whole, kind) + getattr(gone, kind))
        if not gone.more:
            return whole


def entries(state: Partition) -> int:
    return sum(len([*state._family[name].keys()]) for name in FAMILIES)


def test_each_kind_leaves_when_its_own_time_is_over(state: Partition):
    absorbed(state, shop.impression(1, 0), shop.click(2, 0))
    day = (shop.CLICKED_MS - NOON_MS) / DAY
    assert expired(state, day + 15) == Gone()
    assert expired(state, day + 15.01) == Gone(impressions=1)
    assert expired(state, day + 44) == Gone()
    assert expired(state, day + 44.01) == Gone(clicks=1)
    assert entries(state) == 0


def test_a_bundle_leaves_whole_and_then_the_memory_of_it(state: Partition):
    absorbed(state, click(), postback(), postback(sequence=3, goal_id=5, catalog_version=1))
    assert expired(state, 127) == Gone(clicks=1)
    assert expired(state, 127.1) == Gone(statements=2)
    assert (state.cases(Bundle("t1")), state.notices(Bundle("t1"))) == ({}, {})
    (memory,) = state.headers([Bundle("t1")])
    assert (memory.facts, memory.statements, memory.born_ms) == (3, 0, NOON_MS + 2_000)
    assert expired(state, 254) == Gone()
    assert expired(state, 254.1) == Gone()
    assert entries(state) == 0


def test_a_shared_identifier_leaves_nothing_behind_either(state: Partition):
    blog = "a" + "0" * 31
    absorbed(state, click(blog), *(postback(blog, n, conversion_unique_id=f"{n}") for n in (2, 3)))
    expired(state, 128)
    expired(state, 255)
    assert entries(state) == 0


def test_what_waits_for_a_catalog_leaves_with_its_bundle(state: Partition):
    absorbed(state, postback(catalog_version=9), rules=partial(decide, newest_catalog=1))
    assert len(state.waiting(b"\x00", 9)) == 1
    expired(state, 128)
    assert state.waiting(b"\x00", 9) == []


def test_pieces_are_bounded_and_together_take_all(state: Partition, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expirer, "PIECE", 4)
    absorbed(
        state, *(click(f"t{n}", n) for n in range(1, 10)), *(postback(f"t{n}", 10 + n) for n in range(1, 4))
    )
    taker = Expirer()
    first = taker.take(state, NOON_MS + 128 * DAY)
    assert first == Gone(clicks=4, more=True)
    assert expired(state, 128) == Gone(clicks=5, statements=3)
    expired(state, 255)
    assert entries(state) == 0


def test_a_piece_ends_when_its_time_is_over_and_each_takes_something(
    state: Partition, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(expirer, "AT_ONCE", 2)
    absorbed(
        state, *(click(f"t{n}", n) for n in range(1, 4)), *(postback(f"t{n}", 10 + n) for n in range(1, 3))
    )
    taker = Expirer(itertools.count().__next__)
    pieces = [taker.take(state, NOON_MS + 128 * DAY) for _ in range(6)]
    assert pieces == [
        *(Gone(clicks=2, more=True), Gone(clicks=1, more=True)),
        *(Gone(statements=1, more=True), Gone(statements=1, more=True)),
        *(Gone(more=True), Gone()),  # what made the statements known; nothing
    ]


def test_bundles_of_which_nothing_is_left_are_passed_in_bounded_pieces(
    state: Partition, monkeypatch: pytest.MonkeyPatch
):
    absorbed(state, *(postback(f"t{n}", n) for n in range(1, 10)))
    expired(state, 128)
    state.expired = Expired(state.expired.time_ms)  # as after a restore
    monkeypatch.setattr(expirer, "PIECE", 4)
    made = expirer.Piece(state, NOON_MS + 128 * DAY, expirer.Done())
    assert (len(made.changes.headers), made.gone) == (4, Gone(more=True))


def test_a_visit_that_was_credited_lives_on_inside_its_case(state: Partition):
    absorbed(state, click(), postback())
    assert expired(state, 45).clicks == 1
    (case,) = cases(absorbed(state, postback(sequence=3, **at(100))))
    assert [each.status for each in case.conversions] == ["approved"]
    assert case.visits == (click(),)


@pytest.mark.parametrize("late", [120.1, 128, 250])
def test_a_statement_after_the_correction_window_changes_no_row_and_says_by_how_much(
    state: Partition, late: float
):
    absorbed(state, click(), postback())
    expired(state, late)
    sent = absorbed(state, postback(sequence=3, **at(late)))
    assert cases(sent) == []
    (kept,) = quarantines(sent)
    assert kept.reason == Reason.TOO_LATE_TO_CORRECT
    after = f"received {int(late - 0.01)} d "
    assert kept.detail.startswith(after)
    assert kept.detail.endswith(" after the first statement about it, allowed 120 d")


@pytest.mark.parametrize("day", [8, 38, 128, 255, 400])
def test_a_replay_of_everything_after_it_expired_changes_no_row(state: Partition, day: float):
    given = [click(), postback(), postback(sequence=3, goal_id=5, **at(100))]
    before = last_cases([each for fact in given for each in absorbed(state, fact)])
    expired(state, day)
    for fact in reversed(given):
        for case in cases(absorbed(state, fact)):
            assert case == before[case.transaction_id, case.goal_id]


def test_time_never_goes_back_and_outlives_a_restart(fresh: Callable[[], Partition], tmp_path: Path):
    state = fresh()
    absorbed(state, click(), postback())
    expired(state, 130)
    expired(state, 20)
    state.close()
    state = Store(tmp_path).open(0)
    assert state.expired.time_ms == NOON_MS + 130 * DAY
    sent = absorbed(state, postback(sequence=3, **at(1)))
    assert (cases(sent), [each.reason for each in quarantines(sent)]) == ([], [205])
    state.close()


def test_an_entry_of_an_earlier_birth_is_only_dropped(state: Partition):
    absorbed(state, postback(**at(5)))
    absorbed(state, postback(sequence=3, **at(1)))
    before = state.cases(Bundle("t1"))
    changes = expirer.Piece(state, NOON_MS + 2 * DAY, expirer.Done()).changes
    assert changes.dropped == []
    made = Batch(state, decide, NOON_MS)
    made.changes.births.append((NOON_MS - 200 * DAY, Bundle("t1")))
    state.apply(made.changes)
    expired(state, 6)
    assert state.cases(Bundle("t1")) == before
    assert [born_ms for born_ms, _ in state.born(NOON_MS + 9 * DAY, 9)] == [NOON_MS + DAY]


def clocks(state: Partition, *records: tuple[AnyFact, float]) -> dict[str, int]:
    """The topics' clocks after facts, each appended by the broker on a day."""
    made = Batch(state, decide, NOON_MS)
    made.absorb([record(fact, day) for fact, day in records])
    made.move({topic: Position(1, "log") for topic in ("clicks", "postbacks")})
    state.apply(made.changes)
    return {topic: each.clock_ms for topic, each in state.positions.items()}


def test_what_a_caller_claims_is_no_time(state: Partition):
    ahead = clocks(state, (postback("t1", 2, **{**at(0), "occurred_at": IN_2099}), 500))
    assert ahead == {"clicks": 0, "postbacks": NOON_MS}


def test_an_event_of_2099_a_collector_in_2099_and_one_ten_days_behind_move_no_clock(state: Partition):
    told = clocks(
        state,
        (postback("t1", 2, **{**at(0), "occurred_at": IN_2099}), 0),
        (click("t2", 3, received_at=IN_2099, occurred_at=IN_2099), 0),
        (click("t3", 4, **at(0)), 0),
        (click("t4", 5, **at(-10)), 0),
    )
    assert told == {"clicks": NOON_MS, "postbacks": NOON_MS}


def test_each_record_of_a_batch_is_held_to_the_day_on_which_the_broker_had_it(state: Partition):
    """Guard: by another's date a collector in 2099 would move the clock three days on, not one."""
    told = clocks(
        state, (click("t1", 1, **at(-1)), 3), (click("t2", 2, received_at=IN_2099, occurred_at=IN_2099), 1)
    )
    assert told == {"clicks": NOON_MS + DAY, "postbacks": 0}


def test_what_a_wrong_clock_received_changes_nothing_for_the_others(state: Partition):
    ahead = {"received_at": IN_2099, "occurred_at": IN_2099}
    absorbed(state, click("t1", 1), click("t2", 2, **ahead), click("t3", 3, **at(-10)))
    assert expired(state, 20) == Gone()
    assert expired(state, 43.9) == Gone(clicks=1)
    (case,) = cases(absorbed(state, postback("t1", 4, **at(29))))
    assert case.visits == (click("t1", 1),)


HISTORY = shop.history()
OFFSETS = st.sampled_from([0, 1, 6, 20, 29, 31, 60, 119, 121, 130, 200])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, AnyFact]]:
    """Facts of a transaction, each with the day on which it reaches Kafka: within 7 of its receipt.

    Statements follow their click within its window, or correct what did. A postback whose click is no longer
    kept can be credited with none.
    """
    clicked = draw(st.booleans())
    told: list[tuple[int, AnyFact]] = []
    if clicked:
        told.append((draw(st.integers(0, 7)), shop.click(1)))
    first = draw(st.integers(0, 29))
    told.append((first + draw(st.integers(0, 7)), shop.postback(2, first * DAY, **shop.amount("10"))))
    for number in range(3, 3 + draw(st.integers(0, 4))):
        day = first + draw(OFFSETS)
        made = draw(st.sampled_from([shop.postback, shop.pixel, shop.adjustment]))
        status = draw(st.sampled_from(["", "approved", "rejected"]))
        told.append((day + draw(st.integers(0, 7)), made(number, day * DAY, status=status)))
    return told


@settings(max_examples=tries(60), deadline=None, suppress_health_check=FIXTURE)
@given(told=histories(), data=st.data())
def test_expiry_at_any_moments_changes_no_final_row_of_what_comes_in_time(
    fresh: Callable[[], Partition], told: list[tuple[int, AnyFact]], data: st.DataObject
):
    def rules(known: Sequence[AnyFact]) -> object:
        return decide_transaction(known, HISTORY)

    def played(*, expiring: bool) -> dict[tuple[str, int], Case]:
        state, sent = fresh(), []
        for arrives, fact in sorted(told, key=lambda each: each[0]):
            if expiring and data.draw(st.booleans()):
                expired(state, (shop.CLICKED_MS - NOON_MS) / DAY + arrives)
            sent += absorbed(state, fact, rules=rules)
        state.close()
        return {key: content(case) for key, case in last_cases(sent).items()}

    assert played(expiring=True) == played(expiring=False)


def test_emptied_ranges_are_compacted(state: Partition, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expirer, "RECLAIM_AFTER", 50)
    absorbed(state, *(click(f"t{n}", n) for n in range(1, 100)), click("t100", 100, **at(45)))
    state._family["seen"].flush()
    assert expired(state, 45).clicks == 99
    assert state._family["seen"].property_int_value("rocksdb.estimate-num-keys") == 1


def test_a_state_that_is_closed_has_nothing_to_give_back(fresh: Callable[[], Partition]):
    state = fresh()
    state.close()
    state.reclaim(layout.CLICK)
