"""A person who buys again and again: each purchase is corrected and expires for itself."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import facts
from schemas.decisions import Case
from schemas.facts import AnyFact
from schemas.reasons import Reason
from service.kafka import Outgoing, Record
from streams.batch.batch import Batch
from streams.expirer import Expirer
from streams.rules.decide import decide_transaction
from streams.state.bundles import Bundle
from streams.state.partition import FAMILIES, Partition
from streams.state.store import Store
from tests.streams import facts_of_a_shop as shop
from tests.streams.facts_of_a_shop import CLICKED_MS, DAY, HOUR, amount
from tests.streams.joining import cases, quarantines

PERSON: dict[str, Any] = {"transaction_id": "d" + "0" * 31}
RULES = partial(decide_transaction, history=shop.history())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Partition]:
    made = Store(tmp_path).open(0)
    yield made
    made.close()


def click(number: int, day: float, sub: str) -> AnyFact:
    return shop.click(number, int(day * DAY), aff_sub=sub, **PERSON)


def order(number: int, day: float, name: str, **more: Any) -> AnyFact:
    stated = {"conversion_unique_id": name, **amount("50"), **more}
    return shop.postback(number, int(day * DAY) + HOUR, **stated, **PERSON)


def absorbed(state: Partition, *given: AnyFact, silent: bool = False) -> list[Outgoing]:
    made = Batch(state, RULES, CLICKED_MS, state.expired.time_ms, silent=silent)
    made.absorb([record(each) for each in given])
    return applied(state, made)


def applied(state: Partition, made: Batch) -> list[Outgoing]:
    state.apply(made.changes)
    state.sent()
    return made.changes.outbox


def record(fact: AnyFact) -> Record:
    key = fact.transaction_id.encode()
    return Record(facts.TOPIC_OF[type(fact)], 0, 0, CLICKED_MS + 999 * DAY, key, facts.encode(fact))


def expired(state: Partition, day: float) -> None:
    expirer = Expirer()
    while expirer.take(state, CLICKED_MS + int(day * DAY)).more:
        pass


def told(sent: list[Outgoing]) -> list[tuple[str, str]]:
    """Affiliate's sub ID and status of each conversion that was sent; an emptied case tells nothing."""
    return [(one.aff_sub, one.status) for case in cases(sent) for one in case.conversions]


FIRST = (click(1, 0, "first"), order(2, 0, "A"))
SECOND = (click(3, 100, "second"), order(4, 100, "B"))


def test_each_credited_click_is_a_case_of_its_own(state: Partition) -> None:
    sent = absorbed(state, *FIRST)
    assert told(sent) == [("first", "approved")]
    again = absorbed(state, *SECOND)
    assert told(again) == [("second", "approved")]
    numbers = {
        each.key.decode().rpartition(":")[2] for each in [*sent, *again] if each.topic == "conversions"
    }
    assert numbers == {FIRST[0].receipt_id, SECOND[0].receipt_id}


def test_a_report_before_its_click_moves_to_the_clicks_case(state: Partition) -> None:
    early = absorbed(state, FIRST[1])
    assert told(early) == [("", "pending")]
    moved = cases(absorbed(state, FIRST[0]))
    assert sorted((case.number, len(case.conversions)) for case in moved) == [
        (FIRST[0].receipt_id, 1),
        (FIRST[1].receipt_id, 0),
    ]


@pytest.mark.parametrize(("day", "credited"), [(1, "first"), (31.5, "second")])
def test_of_clicks_that_come_together_each_takes_what_was_stated_after_it(
    state: Partition, day: float, credited: str
) -> None:
    absorbed(state, order(2, day, "A"))
    sent = absorbed(state, click(1, 0.5, "first"), click(3, 2, "second"))
    assert told(sent) == [(credited, "approved")]


def test_before_its_click_it_stays_in_the_case_of_its_first_report(state: Partition) -> None:
    sent = [*absorbed(state, order(2, 0, "A")), *absorbed(state, order(3, 1, "A"))]
    assert [(case.number, len(case.conversions)) for case in cases(sent)] == [(FIRST[1].receipt_id, 1)] * 2


def test_an_old_purchase_leaves_the_state_while_a_newer_one_can_still_be_corrected(state: Partition) -> None:
    absorbed(state, *FIRST, *SECOND)
    expired(state, 130)
    sent = absorbed(state, order(5, 131, "B", status="cancelled"))
    assert told(sent) == [("second", "rejected")]
    assert len(cases(sent)) == 1  # nothing is said of the old one: it stands as it was told


def test_of_an_old_purchase_its_order_number_is_remembered(state: Partition) -> None:
    absorbed(state, *FIRST, *SECOND)
    expired(state, 130)
    sent = absorbed(state, click(6, 131, "third"), order(7, 131, "A", status="approved"))
    assert cases(sent) == []
    (late,) = quarantines(sent)
    assert late.reason == Reason.TOO_LATE_TO_CORRECT
    assert late.detail == "received 131 d after the first statement about it, allowed 120 d"


def test_who_buys_again_after_all_has_expired_is_paid_for(state: Partition) -> None:
    absorbed(state, *FIRST)
    for day in (130, 200, 260, 400):
        expired(state, day)
        number = 10 * day
        sent = absorbed(state, click(number, day, f"day {day}"), order(number + 1, day, f"N{day}"))
        assert told(sent) == [(f"day {day}", "approved")]
        assert quarantines(sent) == []


def test_what_was_bought_anew_does_not_leave_with_the_memory_of_before(state: Partition) -> None:
    absorbed(state, *FIRST)
    expired(state, 130)
    absorbed(state, click(3, 200, "second"), order(4, 200, "B"))
    for day in (255, 256):
        expired(state, day)
    assert told(absorbed(state, order(5, 257, "B", status="cancelled"))) == [("second", "rejected")]
    for day in (328, 456, 457):
        expired(state, day)
    assert left(state) == 0


def test_a_correction_after_120_days_that_the_state_still_knows_is_in_quarantine_once(
    state: Partition,
) -> None:
    absorbed(state, *FIRST)
    late = order(5, 121, "A", status="cancelled")
    sent = absorbed(state, late)
    (kept,) = quarantines(sent)
    assert (cases(sent), kept.reason, kept.receipt_id) == ([], Reason.TOO_LATE_TO_CORRECT, late.receipt_id)
    assert quarantines(absorbed(state, click(6, 121, "new"), order(7, 121, "C"))) == []


def test_nothing_of_a_person_who_stays_away_is_left(state: Partition) -> None:
    absorbed(state, *FIRST, *SECOND)
    expired(state, 130)
    expired(state, 360)
    expired(state, 500)
    expired(state, 501)
    assert left(state) == 0


def test_what_was_told_of_an_old_purchase_leaves_with_it(state: Partition) -> None:
    person = Bundle(PERSON["transaction_id"])
    absorbed(state, *FIRST)
    before = state.notices(person)
    absorbed(state, *SECOND)
    after = state.notices(person)
    expired(state, 130)
    assert len(before) == 1
    assert state.notices(person).keys() == after.keys() - before.keys() != set()


def left(state: Partition) -> int:
    return sum(len(list(state._scan(name, b"\x00", b"\xff" * 60))) for name in FAMILIES)


def test_a_restored_state_takes_nothing_back_of_what_was_over(state: Partition, tmp_path: Path) -> None:
    """`conversions` tells of all that a person ever bought, the fact topics only of the last months."""
    log = [*absorbed(state, *FIRST), *absorbed(state, *SECOND)]
    other = Store(tmp_path / "other").open(0)
    expired(other, 150)
    made = Batch(other, RULES, CLICKED_MS, other.expired.time_ms, silent=True)
    made.take_cases([as_record(each) for each in log if each.topic == "conversions"])
    applied(other, made)
    absorbed(other, *SECOND, silent=True)
    sent = absorbed(other, order(5, 151, "B", status="cancelled"))
    assert told(sent) == [("second", "rejected")]
    assert {case.number for case in cases(sent)} == {SECOND[0].receipt_id}
    expired(other, 151)
    assert told(absorbed(other, order(6, 152, "B", status="approved"))) == [("second", "approved")]
    other.close()


def as_record(sent: Outgoing) -> Record:
    return Record("conversions", 0, 0, CLICKED_MS, sent.key, sent.value)


@pytest.mark.parametrize("is_expired", [False, True])
def test_what_has_no_number_and_no_click_waits_whether_or_not_the_earlier_is_still_kept(
    state: Partition, *, is_expired: bool
) -> None:
    first = shop.postback(1, 0, **PERSON)
    (waits,) = cases(absorbed(state, first))
    if is_expired:
        expired(state, 128)
    sent = absorbed(state, later := shop.postback(2, 121 * DAY, **PERSON))
    assert quarantines(sent) == []
    (other,) = cases(sent)
    (one,) = other.conversions
    assert (one.reason, one.receipts) == (Reason.AWAITING_CLICK, (later.receipt_id,))
    assert one.conversion_id != waits.conversions[0].conversion_id
    assert other.number != waits.number


@pytest.mark.parametrize("is_expired", [False, True])
def test_a_bare_word_is_never_about_what_nothing_corrects_any_more(
    state: Partition, *, is_expired: bool
) -> None:
    absorbed(state, click(1, 0, "first"), shop.postback(2, HOUR, goal_id=5, **PERSON))
    if is_expired:
        expired(state, 128)
    word = shop.postback(4, 121 * DAY, status="cancelled", goal_id=5, **PERSON)
    sent = absorbed(state, click(3, 120.5, "second"), word)
    assert (quarantines(sent), told(sent)) == ([], [("second", "rejected")])


def test_a_case_of_before_that_held_all_purchases_together_gives_way_to_theirs(state: Partition) -> None:
    """As a joiner of the release before sent it: under no number."""
    made = Batch(state, RULES, CLICKED_MS)
    (case,) = cases(absorbed(state, *FIRST))
    old = msgspec.structs.replace(case, number="", version=case.version)
    made.take_cases(
        [Record("conversions", 0, 0, CLICKED_MS, f"{case.transaction_id}:0".encode(), encoded(old))]
    )
    applied(state, made)
    made = Batch(state, RULES, CLICKED_MS)
    made.resume([bundle for _, bundle in state.waiting(b"\x00", 10)])
    (emptied,) = cases(applied(state, made))
    assert (emptied.number, emptied.conversions) == ("", ())


def encoded(case: Case) -> bytes:
    return msgspec.json.encode(case)
