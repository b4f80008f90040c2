"""A trace in words, as a network's support reads it: of decisions of the real rules, without ClickHouse."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from console import clauses, trace
from schemas.facts import Adjustment, AnyFact, Click, Impression, Postback
from streams.rules.decide import decide_transaction
from tests.streams import facts_of_a_shop as shop
from tests.streams.judged import Judged, histories

PLACE = {"kafka_topic": "t", "kafka_partition": 0, "kafka_offset": 1}
ABSENT: dict[str, Any] = {
    field.name: field.default if field.default is not msgspec.NODEFAULT else ""
    for kind in (Adjustment, Postback, Click)
    for field in msgspec.structs.fields(kind)
}


def row(fact: AnyFact) -> dict[str, Any]:
    told = msgspec.structs.asdict(fact)
    times = {name: datetime.fromisoformat(told[name]) for name in ("received_at", "occurred_at")}
    return {**ABSENT, **told, **PLACE, **times}


def story(facts: list[AnyFact], *catalogs: Any) -> dict[str, Any]:
    decided = decide_transaction(facts, shop.history(*catalogs))
    conversions = []
    for goal, case in decided.cases.items():
        for one in case:
            told = {**msgspec.structs.asdict(one), **PLACE, "goal_id": goal, "case_number": "", "version": 9}
            for name in ("occurred_at", "clicked_at", "adjusted_at"):
                told[name] = told[name] and datetime.fromisoformat(told[name])
            told |= {"transaction_id": facts[0].transaction_id, "decided_at": told["occurred_at"]}
            conversions.append(told)
    return {
        "transaction_id": facts[0].transaction_id,
        "clicks": [row(one) for one in facts if isinstance(one, Click)],
        "impressions": [row(one) for one in facts if isinstance(one, Impression)],
        "observations": [row(one) for one in facts if not isinstance(one, Click | Impression)],
        "conversions": conversions,
        "history": conversions,
        "deliveries": [],
        "quarantine": [],
    }


def words(*facts: AnyFact, catalogs: tuple[Any, ...] = ()) -> str:
    return "\n".join(trace.words(story(list(facts), *catalogs)))


def test_of_several_conversions_each_names_its_order_and_its_receipts() -> None:
    told = words(
        shop.click(),
        shop.pixel(2, conversion_unique_id="A"),
        shop.iframe(3, conversion_unique_id="B", **shop.amount("50")),
    )
    assert "of goal 0, order B: approved [rule 7.21]" in told
    assert "of goal 0, order A: rejected (12: order 'B' counts, and the goal counts once" in told
    assert "2026-11-01T13:00:00.000Z, 50.00 USD; 1 observation by iframe: receipt" in told
    assert ", no amount; 1 observation by pixel: receipt" in told


def test_what_it_is_credited_to_is_told_with_when_whose_and_of_which_advertiser() -> None:
    told = words(shop.click(), shop.postback(2))
    receipt = "06cv0000000000000000000-1"
    whose = "affiliate 42 (its click abc), offer 7 of advertiser 1 [4.1]"
    assert f"credited to the click {receipt} of 2026-11-01T12:00:00.000Z: {whose}" in told


def test_a_proof_is_told_with_the_advertisers_whose_it_is() -> None:
    told = words(shop.click(), shop.postback(2, proven_by="token", proven_for=(2, 3)))
    assert "proven by token of advertiser 2, 3" in told
    assert "proven by signature:k1\n" in words(shop.click(), shop.postback(2, proven_by="signature:k1"))


def test_a_word_that_another_rule_comes_before_does_not_decide() -> None:
    awaits = words(shop.postback(2), shop.adjustment(3, status="approved"))
    assert "status: receipt 06cv0000000000000000000-3 says one, but rule 7.1 comes before it" in awaits
    decides = words(shop.click(), shop.postback(2), shop.adjustment(3, status="approved"))
    assert "status as receipt 06cv0000000000000000000-3 says" in decides


def test_a_fact_tells_when_it_happened_where_that_is_not_when_it_was_received() -> None:
    told = words(shop.click(), shop.postback(2, shop.HOUR, occurred_at=shop.at(5 * shop.HOUR // 6)))
    assert "postback, happened 2026-11-01T12:50:00.000Z\n" in told
    assert told.count("happened") == 1


def test_a_click_that_was_sent_nowhere_says_so_and_one_of_elsewhere_says_nothing() -> None:
    refused = shop.click(redirect_url="", redirect_reason=211)
    assert ", sent nowhere because no such offer\n" in words(refused)
    assert ", sent to https://shop.example/\n" in words(shop.click(redirect_url="https://shop.example/"))
    assert "sent" not in words(shop.click(redirect_url=""))


def test_flags_are_told_in_words() -> None:
    assert "the clocks put it before its click" in words(shop.click(), shop.postback(2, -shop.HOUR))


@pytest.mark.parametrize(
    "judged", [each for each in histories() if not each.late], ids=lambda judged: judged.title
)
def test_every_judged_history_is_told_with_all_that_it_comes_to(judged: Judged) -> None:
    facts = judged.facts()
    told = words(*facts, catalogs=judged.catalogs)
    assert all(one.receipt_id in told for one in facts)
    for one in story(facts, *judged.catalogs)["conversions"]:
        assert f"[rule {clauses.of(one)['status']}]" in told
        assert one["reason_detail"] in told
