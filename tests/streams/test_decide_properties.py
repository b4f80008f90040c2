"""What holds of every transaction, tried on random ones: decisions are a function of the set of facts."""

from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import PartnerPostback, Price
from schemas.decisions import Conversion
from schemas.facts import AnyFact
from schemas.reasons import Reason
from streams.rules.decide import Decision, decide_transaction
from tests.chance import tries
from tests.streams.facts_of_a_shop import (
    DAY,
    LEAD,
    MINUTE,
    SALE,
    adjustment,
    click,
    history,
    iframe,
    impression,
    pixel,
    postback,
    with_blog,
    with_offer,
)

BLOG = with_blog(
    postbacks=(PartnerPostback(url="https://t.example/{payout}", on=("approved", "rejected"), amounts=True),)
).affiliates
STRICT = msgspec.structs.replace(SALE, confirm="postback", payout=Price(percent=Decimal(10)))
FIRST = msgspec.structs.replace(with_offer(min_time="5s"), affiliates=BLOG)
SECOND = msgspec.structs.replace(
    with_offer(tracking=("postback", "iframe"), bots="count", goals=(STRICT, LEAD)), affiliates=BLOG
)
HISTORY = history(FIRST, SECOND)

MOMENTS = st.sampled_from([-DAY, -1, 0, 3_000, MINUTE, 5 * MINUTE, 11 * MINUTE, 2 * DAY, 29 * DAY, 40 * DAY])
TIMES = {"offset_ms": MOMENTS, "catalog_version": st.sampled_from([1, 2])}
STATED: dict[str, st.SearchStrategy[Any]] = {
    **TIMES,
    "goal_id": st.sampled_from([0, 0, 0, 5, 5, 9]),
    "conversion_unique_id": st.sampled_from(["", "", "A", "B"]),
    "offer_id": st.sampled_from([0, 0, 7, 8]),
    "status": st.sampled_from(["", "", "ok", "open", "cancelled", "shipped"]),
    "sale_amount": st.sampled_from([None, Decimal(0), Decimal("19.99"), Decimal("100.005")]),
    "sale_currency": st.sampled_from(["", "USD", "EUR", "GBP"]),
    "test": st.sampled_from([False, False, False, True]),
    "adv_sub": st.sampled_from(["", "x", "y"]),
}
VISITED = {**TIMES, "is_bot": st.booleans(), "redirect_reason": st.sampled_from([0, 0, 0, 212])}
KINDS: dict[Any, dict[str, st.SearchStrategy[Any]]] = {
    click: VISITED,
    impression: {**TIMES, "is_bot": st.booleans()},
    pixel: STATED,
    iframe: STATED,
    postback: {**STATED, "proven_by": st.sampled_from(["", "token"])},
    adjustment: {
        **{name: values for name, values in STATED.items() if name not in ("offer_id", "adv_sub")},
        "status": st.sampled_from(["", "approved", "pending", "rejected"]),
        "payout": st.sampled_from([None, Decimal(7)]),
        "action": st.sampled_from(["state", "state", "create", "release"]),
    },
}


RANDOMLY = settings(max_examples=tries(100), deadline=None)


@st.composite
def transactions(draw: st.DrawFn, *, adjusted: bool = True, most: int = 9) -> list[AnyFact]:
    """The distinct facts of a transaction with a random ID, its click first where there is one."""
    kinds = [kind for kind in KINDS if adjusted or kind is not adjustment]
    chosen = draw(st.lists(st.sampled_from(kinds), max_size=most))
    facts = [click(1)] if draw(st.booleans()) else []
    for number, kind in enumerate(chosen, start=2):
        facts.append(kind(number, **draw(st.fixed_dictionaries(KINDS[kind]))))
    return facts


def written(decision: Decision) -> bytes:
    """The content, to the byte."""
    return msgspec.json.encode((decision.cases, decision.visits, decision.notices, decision.late))


def all_conversions(decision: Decision) -> list[Conversion]:
    return [one for case in decision.cases.values() for one in case]


@RANDOMLY
@given(transactions(), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(facts: list[AnyFact], random: Any):
    shuffled = facts + [random.choice(facts) for _ in range(3) if facts]
    random.shuffle(shuffled)
    assert written(decide_transaction(shuffled, HISTORY)) == written(decide_transaction(facts, HISTORY))


@RANDOMLY
@given(transactions())
def test_every_observation_is_on_exactly_one_conversion_of_its_case(facts: list[AnyFact]):
    shown = Counter(
        receipt for one in all_conversions(decide_transaction(facts, HISTORY)) for receipt in one.receipts
    )
    assert set(shown.values()) <= {1}
    assert {
        fact.receipt_id for fact in facts if getattr(fact, "kind", "") in ("pixel", "iframe", "postback")
    } <= set(shown)


@RANDOMLY
@given(transactions(adjusted=False))
def test_a_once_goal_states_money_once(facts: list[AnyFact]):
    """At most one conversion of a once goal is approved or pending, once the visit is known."""
    found = decide_transaction(facts, HISTORY).cases.get(0, ())
    assert sum(bool(one.credited_by) and not one.test and one.status != "rejected" for one in found) <= 1


@RANDOMLY
@given(transactions())
def test_nothing_is_owed_but_for_what_is_approved_credited_and_no_test(facts: list[AnyFact]):
    for one in all_conversions(decide_transaction(facts, HISTORY)):
        if one.status != "approved" or one.test or not one.credited_by:
            assert (one.payout, one.revenue) == (0, 0)


@RANDOMLY
@given(transactions())
def test_every_no_has_its_reason_in_words_and_names_are_not_shared(facts: list[AnyFact]):
    found = all_conversions(decide_transaction(facts, HISTORY))
    assert len({one.conversion_id for one in found}) == len(found)
    for one in found:
        assert (one.status == "approved" and not one.reason) or (one.reason and one.reason_detail)
        assert bool(one.duplicate_of) == (one.reason == Reason.DUPLICATE_CONVERSION)
        assert one.duplicate_of in {"", *(other.conversion_id for other in found)} - {one.conversion_id}


@RANDOMLY
@given(transactions())
def test_tests_change_nothing_about_what_is_real(facts: list[AnyFact]):
    real = [fact for fact in facts if not getattr(fact, "test", False)]
    with_tests = [one for one in all_conversions(decide_transaction(facts, HISTORY)) if not one.test]
    assert with_tests == all_conversions(decide_transaction(real, HISTORY))


@RANDOMLY
@given(transactions())
def test_the_name_of_what_counts_stays_whatever_is_learned(facts: list[AnyFact]):
    names = {
        decide_transaction(facts[:n], HISTORY).cases[0][0].conversion_id
        for n in range(1, len(facts) + 1)
        if not _all_tests(facts[:n])
    }
    assert len(names) <= 1


def _all_tests(facts: list[AnyFact]) -> bool:
    """Whether nothing but tests reports the sale."""
    kinds = ("pixel", "iframe", "postback")
    return not any(
        getattr(fact, "kind", "") in kinds and fact.goal_id == 0 and not fact.test  # type: ignore[union-attr]
        for fact in facts
    )


@RANDOMLY
@given(transactions())
def test_a_notice_is_of_a_conversion_with_that_status_and_affiliate(facts: list[AnyFact]):
    decision = decide_transaction(facts, HISTORY)
    found = {one.conversion_id: one for one in all_conversions(decision)}
    assert len({notice.notice_id for notice in decision.notices}) == len(decision.notices)
    for notice in decision.notices:
        told = found[notice.conversion_id]
        assert (notice.status, notice.affiliate_id) == (told.status, told.affiliate_id)
        assert told.credited_by
        assert not told.test


@RANDOMLY
@given(transactions())
def test_each_conversion_is_credited_to_a_visit_by_which_one_of_its_observations_is_judged(
    facts: list[AnyFact],
):
    decision = decide_transaction(facts, HISTORY)
    for case in decision.cases.values():
        for one in case:
            judging = {visit.receipt_id for each in one.receipts for visit in decision.visits.get(each, ())}
            assert one.click_receipt_id in {"", *judging}
