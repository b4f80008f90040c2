"""Rule 7, status. The number in a test's name is the clause's in docs/rules.md."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.decisions import Conversion
from schemas.facts import GOAL_UNRESOLVED
from schemas.reasons import Reason
from tests.streams.facts_of_a_shop import (
    CATALOG,
    DAY,
    HOUR,
    LEAD,
    SALE,
    SECOND,
    SHOP,
    adjustment,
    amount,
    click,
    conversion,
    conversions,
    iframe,
    impression,
    pixel,
    postback,
    with_goal,
    with_offer,
)


def outcome(found: Conversion) -> tuple[str, int]:
    return found.status, found.reason


def test_7_1_no_visit_is_known_yet():
    found = conversion(postback(2, status="cancelled"))
    assert outcome(found) == ("pending", Reason.AWAITING_CLICK)
    assert found.reason_detail == Reason.AWAITING_CLICK.sentence
    persons = conversion(postback(2, transaction_id="d" + "0" * 31))
    assert persons.reason_detail == (
        f"{Reason.AWAITING_CLICK.sentence}: no click in the 30 d before it, no impression in the 1 d"
    )


@pytest.mark.parametrize("word", ["approved", "rejected"])
def test_7_1_then_not_even_the_network_decides(word: str):
    said = [postback(2, offer_id=7, **amount("50")), adjustment(3, status=word)]
    found = conversion(*said)
    assert (*outcome(found), found.affiliate_id) == ("pending", Reason.AWAITING_CLICK, 0)
    assert outcome(conversion(*said, click(4))) == (word, Reason.ADJUSTMENT)


def test_7_2_the_networks_word_overrides_every_other():
    for facts in (
        [click(), postback(2, offer_id=8)],
        [click(), postback(2, 36 * DAY)],
        [click(), postback(2, status="cancelled")],
        [click(is_bot=True), postback(2)],
    ):
        found = conversion(*facts, adjustment(3, status="approved", why="checked by telephone"))
        assert outcome(found) == ("approved", Reason.ADJUSTMENT)
        assert found.reason_detail == "stated by the network (Anna): checked by telephone"
    rejected = conversion(click(), postback(2), adjustment(3, status="rejected"))
    assert outcome(rejected) == ("rejected", Reason.ADJUSTMENT)


def test_7_2_a_file_of_the_networks_says_so():
    found = conversion(click(), postback(2), adjustment(3, status="rejected", by_file=True))
    assert outcome(found) == ("rejected", Reason.UPDATED_BY_UPLOAD)


def test_7_2_the_network_speaks_our_words_not_the_advertisers():
    found = conversion(click(), postback(2), adjustment(3, status="cancelled"))
    assert outcome(found) == ("pending", Reason.UNKNOWN_STATUS_WORD)


def test_7_2_an_adjustment_without_a_status_leaves_it():
    found = conversion(click(), postback(2, status="cancelled"), adjustment(3, **amount("40")))
    assert outcome(found) == ("rejected", Reason.STATED_BY_ADVERTISER)


def test_7_2_an_approval_of_what_cannot_be_told_waits_for_what_is_owed():
    in_pounds = click(), postback(2, **amount("50", "GBP"))
    approved = adjustment(3, status="approved")
    found = conversion(*in_pounds, approved)
    assert (*outcome(found), found.payout) == ("pending", Reason.NO_EXCHANGE_RATE, 0)
    assert found.reason_detail == (
        "no exchange rate from GBP to USD on 2026-11-01:"
        " the network approves it (Anna), and has not said what is owed"
    )
    owed = adjustment(4, payout=Decimal(3), revenue=Decimal(5))
    assert outcome(conversion(*in_pounds, approved, owed)) == ("approved", Reason.ADJUSTMENT)
    rejected = adjustment(5, status="rejected")
    assert outcome(conversion(*in_pounds, rejected)) == ("rejected", Reason.ADJUSTMENT)


def test_7_3_no_observation_has_permission():
    assert outcome(conversion(click(), postback(2, offer_id=8))) == ("rejected", Reason.OFFERS_DIFFER)


def test_7_4_the_visit_can_lead_to_none():
    found = conversion(click(redirect_reason=Reason.OFFER_PAUSED), postback(2))
    assert outcome(found) == ("rejected", Reason.OFFER_PAUSED)


def test_7_5_the_offer_has_no_such_goal():
    found = conversion(click(), postback(2, goal_id=9, goal="9"), goal=9)
    assert outcome(found) == ("rejected", Reason.UNKNOWN_GOAL)
    assert found.reason_detail == "offer 7 has no goal '9'"
    assert (found.payout, found.payout_currency) == (0, "")


def test_7_5_told_in_the_words_of_its_first_report():
    facts = [
        postback(n, n * HOUR, conversion_unique_id="A", goal_id=GOAL_UNRESOLVED, goal=f"goal {n}")
        for n in (2, 3)
    ]
    found = conversion(click(), *facts, goal=GOAL_UNRESOLVED)
    assert found.reason_detail == "offer 7 has no goal 'goal 2'"


def test_7_6_the_visit_is_too_long_ago():
    found = conversion(click(), postback(2, 31 * DAY))
    assert outcome(found) == ("rejected", Reason.OUTSIDE_CLICK_WINDOW)


def test_7_7_nobody_buys_so_soon_after_the_click():
    catalogs = (with_offer(min_time="10s"),)
    found = conversion(click(), postback(2, 10 * SECOND - 1), catalogs=catalogs)
    assert outcome(found) == ("rejected", Reason.TOO_SOON)
    assert found.reason_detail == "too soon after the click: 9 s 999 ms, at least 10 s"
    assert conversion(click(), postback(2, 10 * SECOND), catalogs=catalogs).status == "approved"
    before = conversion(click(), postback(2, -DAY), catalogs=catalogs)
    assert (before.reason, before.reason_detail) == (
        Reason.TOO_SOON,
        "too soon after the click: 0 s, at least 10 s",
    )
    assert conversion(impression(), postback(2, SECOND), catalogs=catalogs).status == "approved"


def test_7_8_a_statement_could_mean_several():
    facts = (postback(n, n * DAY, conversion_unique_id=f"A{n}", goal_id=5) for n in (2, 3))
    *_, found = conversions(click(), *facts, postback(4, 9 * DAY, status="ok", goal_id=5), goal=5)
    assert outcome(found) == ("rejected", Reason.AMBIGUOUS_STATEMENT)


def test_7_9_another_order_of_a_goal_that_counts_once():
    _, found = conversions(click(), *(postback(n, conversion_unique_id=f"A{n}") for n in (2, 3)))
    assert outcome(found) == ("rejected", Reason.DUPLICATE_CONVERSION)


def test_7_10_a_test_is_shown_and_never_paid():
    facts = (click(), postback(2, test=True, **amount("50")))
    found = conversion(*facts)
    assert outcome(found) == ("rejected", Reason.TEST_CONVERSION)
    assert (found.test, found.payout, found.payout_nominal) == (True, 0, 4)
    assert conversion(*facts, adjustment(3, test=True, status="approved")).payout == 0


@pytest.mark.parametrize("word", ["rejected", "cancelled", " Cancelled "])
def test_7_11_the_advertiser_rejects(word: str):
    found = conversion(click(), postback(2, status=word))
    assert outcome(found) == ("rejected", Reason.STATED_BY_ADVERTISER)
    assert found.reason_detail == f"stated by the advertiser: {word!r}"


def test_7_11_its_words_are_those_of_whose_the_offer_is_by_then():
    """The offer has moved to another advertiser since the click."""
    hats = msgspec.structs.replace(SHOP, id=2, status_words={"retour": "rejected"})
    moved = msgspec.structs.replace(with_offer(advertiser_id=2), advertisers=(SHOP, hats))
    said = postback(2, status="retour", catalog_version=2)
    found = conversion(click(), said, catalogs=(CATALOG, moved))
    assert outcome(found) == ("rejected", Reason.STATED_BY_ADVERTISER)


def test_7_12_with_an_affiliate_identifier_an_order_without_a_number_is_pending():
    blog = {"transaction_id": "a" + "0" * 31}
    found = conversion(click(**blog), postback(2, status="ok", **blog))
    assert (found.status, found.reason) == ("pending", Reason.ORDER_NUMBER_MISSING)
    assert conversion(click(**blog), postback(2, conversion_unique_id="A", **blog)).status == "approved"


def test_7_13_an_unknown_word_is_pending_never_approved():
    found = conversion(click(), postback(2, status="shipped", **amount("50")))
    assert outcome(found) == ("pending", Reason.UNKNOWN_STATUS_WORD)
    assert found.reason_detail == "the status word is not one that this advertiser uses: 'shipped'"
    assert found.payout == 0


def test_7_13_a_sentence_quotes_no_more_than_it_needs():
    found = conversion(click(), postback(2, status="x" * 500))
    assert found.reason_detail.endswith(f": '{'x' * 60}…'")
    whole = conversion(click(), postback(2, status="x" * 60))
    assert whole.reason_detail.endswith(f": '{'x' * 60}'")


def test_7_14_the_advertiser_leaves_it_open():
    found = conversion(click(), postback(2, status="open"))
    assert outcome(found) == ("pending", Reason.STATED_BY_ADVERTISER)


def test_7_15_a_bots_click_is_pending_unless_the_offer_counts_it():
    facts = (click(is_bot=True), postback(2, status="ok"))
    assert outcome(conversion(*facts)) == ("pending", Reason.BOT_CLICK)
    assert conversion(*facts, catalogs=(with_offer(bots="count"),)).status == "approved"


def test_7_16_what_it_is_worth_cannot_be_told():
    found = conversion(click(), postback(2, status="ok", **amount("50", "GBP")))
    assert outcome(found) == ("pending", Reason.NO_EXCHANGE_RATE)


def test_7_17_the_goal_wants_the_advertisers_server():
    catalogs = (with_goal(confirm="postback"),)
    found = conversion(click(), pixel(2, status="ok"), catalogs=catalogs)
    assert outcome(found) == ("pending", Reason.NO_CONFIRMATION)
    assert found.reason_detail == "not yet confirmed by the advertiser's server: reported by pixel only"
    assert conversion(click(), pixel(2), postback(3, DAY), catalogs=catalogs).status == "approved"
    both = conversion(click(), pixel(2), iframe(3), catalogs=catalogs)
    assert both.reason_detail.endswith(": reported by iframe and pixel only")


def test_7_18_the_advertiser_approves_also_where_the_goal_wants_approval():
    catalogs = (with_goal(approval="manual"),)
    assert outcome(conversion(click(), postback(2, status="ok"), catalogs=catalogs)) == ("approved", 0)


def test_7_19_the_goal_wants_approval():
    catalogs = (with_goal(approval="manual"),)
    found = conversion(click(), postback(2, **amount("50")), catalogs=catalogs)
    assert outcome(found) == ("pending", Reason.NEEDS_APPROVAL)
    assert (found.payout, found.payout_nominal) == (0, 4)
    assert found.reason_detail == f"{Reason.NEEDS_APPROVAL.sentence}: goal 0"
    assert (
        conversion(click(), postback(2), adjustment(3, status="approved"), catalogs=catalogs).status
        == "approved"
    )


def test_7_20_what_the_network_created_says_so():
    created = adjustment(2, action="create", **amount("50"))
    found = conversion(click(), created)
    assert (*outcome(found), found.payout) == ("approved", Reason.ADJUSTMENT, 4)
    assert found.reason_detail == "stated by the network (Anna)"
    by_file = msgspec.structs.replace(created, by_file=True)
    assert outcome(conversion(click(), by_file)) == ("approved", Reason.CREATED_BY_UPLOAD)
    manual = (with_goal(approval="manual"),)
    assert outcome(conversion(click(), created, catalogs=manual)) == ("pending", Reason.NEEDS_APPROVAL)
    assert outcome(conversion(click(), created, postback(3, DAY, status="ok"))) == ("approved", 0)
    released = adjustment(4, 2 * DAY, action="release")
    assert outcome(conversion(click(), created, postback(3, DAY), released)) == ("approved", 0)


def test_7_21_else_it_is_approved():
    found = conversion(click(), postback(2))
    assert (found.status, found.reason, found.reason_detail) == ("approved", Reason.NONE, "")


def everything_wrong() -> dict[str, Any]:
    return {
        "click": click(is_bot=True, redirect_reason=Reason.OFFER_PAUSED),
        "wrong": {"offer_id": 8, "goal_id": 9, "occurred_at": "2026-12-11T12:00:00.000Z"}
        | {"test": True, "status": "cancelled", "conversion_unique_id": "B"},
        "catalog": with_offer(
            min_time="1h", goals=(msgspec.structs.replace(SALE, confirm="postback", approval="manual"), LEAD)
        ),
    }


PEELED: tuple[tuple[Reason, Callable[[dict[str, Any]], None]], ...] = (
    (Reason.OFFERS_DIFFER, lambda it: it["wrong"].update(offer_id=7)),
    (Reason.OFFER_PAUSED, lambda it: it.update(click=click(is_bot=True))),
    (Reason.UNKNOWN_GOAL, lambda it: it["wrong"].update(goal_id=0)),
    (Reason.OUTSIDE_CLICK_WINDOW, lambda it: it["wrong"].update(occurred_at="2026-11-01T12:00:01.000Z")),
    (Reason.TOO_SOON, lambda it: it["wrong"].update(occurred_at="2026-11-01T13:00:01.000Z")),
    (Reason.DUPLICATE_CONVERSION, lambda it: it["wrong"].update(conversion_unique_id="A")),
    (Reason.TEST_CONVERSION, lambda it: it["wrong"].update(test=False)),
    (Reason.STATED_BY_ADVERTISER, lambda it: it["wrong"].update(status="shipped")),
    (Reason.UNKNOWN_STATUS_WORD, lambda it: it["wrong"].update(status="open")),
    (Reason.STATED_BY_ADVERTISER, lambda it: it["wrong"].update(status="")),
    (Reason.BOT_CLICK, lambda it: it.update(click=click())),
    (Reason.NO_EXCHANGE_RATE, lambda it: it["wrong"].update(amount("50"))),
    (Reason.NO_CONFIRMATION, lambda it: it.update(kind=postback)),
    (Reason.NEEDS_APPROVAL, lambda it: it["wrong"].update(status="ok")),
)


def test_7_22_of_several_reasons_the_first_on_the_ladder_is_the_conversions():
    """Everything is wrong with one pixel; taking away the reason that it has leaves the next."""
    it = everything_wrong() | {"kind": pixel}
    it["wrong"].update(amount("50", "GBP"))
    assert outcome(_last(it, seen=False)) == ("pending", Reason.AWAITING_CLICK)
    for reason, take_away in PEELED:
        assert _last(it).reason == reason
        take_away(it)
    assert outcome(_last(it)) == ("approved", Reason.NONE)


def test_7_22_what_is_over_before_it_may_begin_is_too_late_not_too_soon():
    catalogs = (with_offer(click_window="1h", min_time="2h"),)
    found = conversion(click(), postback(2, HOUR + 1), catalogs=catalogs)
    assert found.reason == Reason.OUTSIDE_CLICK_WINDOW


def test_7_22_which_order_it_is_comes_before_what_its_status_means():
    blog = {"transaction_id": "a" + "0" * 31}
    found = conversion(click(**blog), postback(2, status="shipped", **blog))
    assert found.reason == Reason.ORDER_NUMBER_MISSING


def test_7_22_what_came_too_soon_is_that_even_if_it_could_mean_several():
    facts = (postback(n, n * SECOND, conversion_unique_id=f"A{n}", goal_id=5) for n in (2, 3))
    bare = postback(4, 9 * SECOND, status="ok", goal_id=5)
    *_, found = conversions(click(), *facts, bare, goal=5, catalogs=(with_offer(min_time="10s"),))
    assert found.reason == Reason.TOO_SOON


def _last(it: dict[str, Any], *, seen: bool = True) -> Conversion:
    """The conversion that is wrong, beside an order that counts."""
    wrong = it["wrong"]
    facts = [it["click"]] if seen else []
    if wrong["goal_id"] == 0 and wrong["conversion_unique_id"] == "B":
        facts.append(pixel(3, 2 * SECOND, test=wrong["test"], conversion_unique_id="A", offer_id=7))
    found = conversions(
        *facts, it["kind"](4, HOUR, **wrong), goal=wrong["goal_id"], catalogs=(it["catalog"],)
    )
    return found[-1]
