"""Hard histories, each worked out by hand from the rules alone; the name of a test is the story."""

from decimal import Decimal
from typing import Any

import msgspec

from schemas.catalog import Catalog, Goal, PostbackProofs, Price
from schemas.decisions import Conversion
from schemas.facts import AnyFact
from schemas.reasons import Reason
from tests.streams.facts_of_a_shop import (
    CATALOG,
    DAY,
    HOUR,
    LEAD,
    MINUTE,
    SALE,
    SECOND,
    SHOP,
    adjustment,
    amount,
    at,
    click,
    conversion,
    conversions,
    decide,
    iframe,
    impression,
    pixel,
    postback,
    with_goal,
    with_offer,
)

PERSON: dict[str, Any] = {"transaction_id": "d" + "0" * 31}
PARTNER: dict[str, Any] = {"transaction_id": "a" + "0" * 31}
MANUAL = with_goal(approval="manual")


def told(*facts: AnyFact, goal: int = 0, catalogs: tuple[Catalog, ...] = ()) -> list[tuple[Any, ...]]:
    """Number, status, reason, payout and the affiliate's own sub ID of each conversion."""
    return [
        (one.conversion_unique_id, one.status, one.reason, one.payout, one.aff_sub)
        for one in conversions(*facts, goal=goal, catalogs=catalogs)
    ]


def order(number: str, **more: Any) -> dict[str, Any]:
    return {"conversion_unique_id": number, **amount("50"), **more}


def proven_shop(**proofs: Any) -> Catalog:
    shop = msgspec.structs.replace(SHOP, postback=PostbackProofs(**proofs))
    return msgspec.structs.replace(CATALOG, advertisers=(shop,))


# Random identifiers


def test_01_three_reports_of_a_sale_three_weeks_apart_are_one_conversion() -> None:
    facts = (click(), pixel(2, HOUR), postback(3, 2 * HOUR, **order("A")), iframe(4, 20 * DAY))
    assert told(*facts) == [("A", "approved", 0, 4, "")]
    assert conversion(*facts).observations == 3


def test_02_of_three_numbers_the_proven_one_is_paid_and_the_others_repeat_it() -> None:
    found = conversions(
        click(),
        pixel(2, HOUR, **order("A")),
        postback(3, 2 * HOUR, **order("B")),
        postback(4, 3 * HOUR, **order("C"), proven_by="token"),
    )
    assert [(one.conversion_unique_id, one.reason) for one in found] == [("C", 0), ("A", 12), ("B", 12)]
    assert {one.duplicate_of for one in found[1:]} == {found[0].conversion_id}


def test_03_approved_then_rejected_then_approved_with_less_is_the_last() -> None:
    said = [("approved", "50"), ("rejected", "50"), ("approved", "30")]
    facts = [
        postback(n, n * HOUR, conversion_unique_id="A", status=word, **amount(sum_))
        for n, (word, sum_) in enumerate(said, 2)
    ]
    assert told(click(), *facts) == [("A", "approved", 0, Decimal("2.40"), "")]
    assert told(click(), *facts[:2]) == [("A", "rejected", Reason.STATED_BY_ADVERTISER, 0, "")]


def test_04_the_networks_no_stands_whatever_the_shop_says_later() -> None:
    facts = (
        click(),
        postback(2, HOUR, **order("A")),
        adjustment(3, DAY, conversion_unique_id="A", status="rejected"),
        postback(4, 2 * DAY, **order("A", status="approved")),
    )
    assert told(*facts) == [("A", "rejected", Reason.ADJUSTMENT, 0, "")]


def test_05_an_approval_that_comes_before_its_order_waits_for_it() -> None:
    early = adjustment(2, MINUTE, conversion_unique_id="A", status="approved")
    assert told(click(), early, catalogs=(MANUAL,)) == []
    facts = (click(), early, postback(3, HOUR, **order("A")))
    assert told(*facts, catalogs=(MANUAL,)) == [("A", "approved", Reason.ADJUSTMENT, 4, "")]


def test_06_a_payout_stated_before_the_click_is_owed_once_there_is_one() -> None:
    said = (postback(2, HOUR, **order("A")), adjustment(3, DAY, payout=Decimal(3)))
    assert told(*said) == [("A", "pending", Reason.AWAITING_CLICK, 0, "")]
    found = conversion(click(9), *said)
    assert (found.payout, found.payout_rule, found.payout_nominal) == (3, "adjustment", 4)


def test_07_a_number_that_no_order_has_changes_nothing() -> None:
    sale = (click(), postback(2, HOUR, **order("A")))
    wrong = adjustment(3, DAY, conversion_unique_id="B", status="rejected")
    assert told(*sale, wrong) == told(*sale)


def test_08_the_dedupe_window_ends_after_ten_minutes() -> None:
    lead = {"goal_id": 5}
    for after_ms, many in ((10 * MINUTE, 1), (10 * MINUTE + 1, 2)):
        facts = (click(), pixel(2, HOUR, **lead), postback(3, HOUR + after_ms, **lead, **order("A")))
        assert len(told(*facts, goal=5)) == many
    twice = (click(), pixel(2, HOUR, **lead), pixel(3, HOUR + SECOND, **lead))
    assert len(told(*twice, goal=5)) == 2


def test_09_a_bare_no_that_could_mean_two_orders_changes_neither() -> None:
    lead = {"goal_id": 5}
    orders = [postback(n, n * HOUR, **order(number, **lead)) for n, number in ((2, "A"), (3, "B"))]
    bare = postback(4, DAY, status="rejected", **lead)
    found = told(click(), *orders, bare, goal=5)
    assert [each[1:3] for each in found] == [
        ("approved", 0),
        ("approved", 0),
        ("rejected", Reason.AMBIGUOUS_STATEMENT),
    ]
    assert told(click(), orders[0], bare, goal=5)[0][1] == "rejected"


def test_10_a_test_with_the_same_number_is_shown_and_the_sale_is_paid() -> None:
    facts = (click(), postback(2, HOUR, **order("A", test=True)), postback(3, 2 * HOUR, **order("A")))
    assert told(*facts) == [("A", "approved", 0, 4, ""), ("A", "rejected", Reason.TEST_CONVERSION, 0, "")]


def test_11_a_click_that_an_edge_kept_for_three_weeks_is_credited() -> None:
    early = postback(2, HOUR, **order("A"))
    assert told(early, click(3, 0, received_at=at(21 * DAY))) == [("A", "approved", 0, 4, "")]


def test_12_the_last_instant_of_each_window_counts_and_the_next_does_not() -> None:
    for visit, window, reason in ((click, 30 * DAY, 207), (impression, DAY, 208)):
        assert told(visit(1), postback(2, window, **order("A")))[0][1:3] == ("approved", 0)
        assert told(visit(1), postback(2, window + 1, **order("A")))[0][1:3] == ("rejected", reason)


def test_13_too_late_for_the_click_but_not_for_the_view() -> None:
    facts = (click(1), impression(2, 30 * DAY), postback(3, 30 * DAY + HOUR, **order("A")))
    assert conversion(*facts).credited_by == "impression"


def test_14_the_first_report_names_the_catalog_of_the_price() -> None:
    dearer = with_goal(payout=Price(percent=Decimal(12)))
    early, late = postback(2, HOUR, **order("A")), postback(3, DAY, catalog_version=2, **order("A"))
    assert told(click(), early, late, catalogs=(CATALOG, dearer))[0][3] == 4
    assert told(click(), late, catalogs=(CATALOG, dearer))[0][3] == 6
    assert told(click(catalog_version=2), early, catalogs=(CATALOG, dearer))[0][3] == 6


def test_15_a_goal_that_may_repeat_from_now_on_repeats_for_later_first_reports_only() -> None:
    many = with_goal(repeat="many")
    first, second = postback(2, HOUR, **order("A")), postback(3, 2 * HOUR, **order("B"))
    assert [each[2] for each in told(click(), first, second, catalogs=(CATALOG, many))] == [0, 12]
    newer = [msgspec.structs.replace(one, catalog_version=2) for one in (first, second)]
    assert [each[2] for each in told(click(), *newer, catalogs=(CATALOG, many))] == [0, 0]


def test_16_what_has_no_permission_lends_neither_amount_nor_status() -> None:
    catalogs = (with_offer(tracking=("postback",)),)
    facts = (
        click(),
        pixel(2, HOUR, **amount("5000"), status="rejected"),
        postback(3, DAY, **order("A")),
        iframe(4, 2 * DAY, **amount("1")),
    )
    assert told(*facts, catalogs=catalogs) == [("A", "approved", 0, 4, "")]
    assert told(*facts[:2], catalogs=catalogs)[0][1:4] == ("rejected", Reason.WRONG_PROTOCOL, 0)


def test_17_a_rate_that_began_the_next_day_is_none() -> None:
    in_euro = postback(2, 0, occurred_at="2026-10-31T23:59:59.999Z", **order("A", **amount("50", "EUR")))
    assert told(click(), in_euro)[0][1:4] == ("pending", Reason.NO_EXCHANGE_RATE, 0)
    next_day = msgspec.structs.replace(in_euro, occurred_at="2026-11-01T00:00:00.000Z")
    assert told(click(), next_day)[0][1:4] == ("approved", 0, Decimal("4.40"))
    stated = adjustment(3, DAY, payout=Decimal(1), revenue=Decimal(2))
    assert told(click(), in_euro, stated)[0][1:4] == ("approved", 0, 1)


def test_18_half_a_cent_goes_to_the_even_one_and_only_once() -> None:
    goal = with_goal(payout=Price(fixed=Decimal("0.125"), percent=Decimal("0.5")))
    for sale, paid in (("0", "0.12"), ("2", "0.14"), ("50", "0.38")):
        assert told(click(), postback(2, **amount(sale)), catalogs=(goal,))[0][3] == Decimal(paid)


def test_19_a_pixels_amount_never_replaces_the_servers_but_fills_a_gap() -> None:
    assert told(click(), postback(2, **amount("50")), pixel(3, DAY, **amount("5000")))[0][3] == 4
    assert told(click(), postback(2), pixel(3, DAY, **amount("5000")))[0][3] == 400


def test_20_clocks_that_put_the_sale_before_its_click_take_nothing_away() -> None:
    found = conversion(click(), postback(2, -HOUR, **order("A")))
    assert (found.status, found.flags) == ("approved", ("before_click",))
    soon = with_offer(min_time="10s")
    assert told(click(), postback(2, -HOUR), catalogs=(soon,))[0][2] == Reason.TOO_SOON


# What a postback must prove


def test_21_without_the_token_a_postback_is_no_money() -> None:
    catalogs = (proven_shop(token="sha256:" + "0" * 64),)
    bare = postback(2, HOUR, **order("A"))
    assert told(click(), bare, catalogs=catalogs) == [("A", "rejected", Reason.INVALID_TOKEN, 0, "")]
    good = msgspec.structs.replace(bare, proven_by="token")
    assert told(click(), good, catalogs=catalogs) == [("A", "approved", 0, 4, "")]
    both = (
        postback(2, HOUR, **amount("9999"), status="rejected"),
        postback(3, DAY, proven_by="token", **order("A")),
    )
    assert told(click(), *both, catalogs=catalogs) == [("A", "approved", 0, 4, "")]


def test_22_a_forged_postback_beside_a_pixel_leaves_the_pixels_word() -> None:
    catalogs = (proven_shop(token="sha256:" + "0" * 64),)
    facts = (click(), pixel(2, HOUR, **amount("50")), postback(3, DAY, **amount("9999"), status="approved"))
    assert told(*facts, catalogs=catalogs) == [("", "approved", 0, 4, "")]


def test_23_from_another_address_with_nothing_stronger_is_no_money() -> None:
    catalogs = (proven_shop(token="sha256:" + "0" * 64, allow_from=("203.0.113.0/24",)),)
    by_address = msgspec.structs.replace(catalogs[0], offers=with_offer(proof="allow_from").offers)
    for proven, reason in (("signature:k1", 0), ("allow_from", 0), ("", 14)):
        facts = (click(), postback(2, HOUR, proven_by=proven, **order("A")))
        assert told(*facts, catalogs=(by_address,))[0][2] == reason


def test_24_another_advertisers_proof_proves_nothing() -> None:
    catalogs = (proven_shop(token="sha256:" + "0" * 64),)
    facts = (click(), postback(2, HOUR, proven_by="signature:k1", proven_for=(2,), **order("A")))
    found = conversion(*facts, catalogs=catalogs)
    assert (found.reason, found.payout) == (Reason.INVALID_TOKEN, 0)
    assert "another advertiser" in found.reason_detail


# The network creates, and takes back


def test_25_a_sale_that_nobody_reported_is_created_by_file_and_taken_back() -> None:
    created = adjustment(2, DAY, action="create", status="approved", by_file=True, **order("A"))
    assert told(click(), created) == [("A", "approved", Reason.CREATED_BY_UPLOAD, 4, "")]
    release = adjustment(3, 2 * DAY, action="release", conversion_unique_id="A")
    assert told(click(), created, release) == []
    again = adjustment(4, 3 * DAY, action="create", status="approved", **order("A"))
    assert told(click(), created, release, again) == [("A", "approved", Reason.ADJUSTMENT, 4, "")]


def test_26_a_release_gives_the_word_back_to_the_goal() -> None:
    sale = (click(), postback(2, HOUR, **order("A")))
    approved = adjustment(3, DAY, conversion_unique_id="A", status="approved", payout=Decimal(9))
    release = adjustment(4, 2 * DAY, action="release", conversion_unique_id="A")
    rejected = adjustment(5, 3 * DAY, status="rejected")
    assert told(*sale, approved, catalogs=(MANUAL,))[0][1:4] == ("approved", Reason.ADJUSTMENT, 9)
    assert told(*sale, approved, release, catalogs=(MANUAL,))[0][1:4] == ("pending", Reason.NEEDS_APPROVAL, 0)
    assert told(*sale, approved, release, rejected, catalogs=(MANUAL,))[0][1] == "rejected"
    assert conversion(*sale, approved, release).observations == 3


# Identifiers that many clicks share


def test_27_a_person_who_clicks_and_buys_twice_is_paid_for_twice() -> None:
    facts = (
        click(1, 0, aff_sub="one", **PERSON),
        pixel(2, HOUR, **amount("50"), **PERSON),
        postback(3, 2 * HOUR, **amount("50"), **PERSON),
        click(4, 2 * DAY, aff_sub="two", **PERSON),
        postback(5, 2 * DAY + HOUR, **amount("100"), **PERSON),
    )
    assert told(*facts) == [("", "approved", 0, 4, "one"), ("", "approved", 0, 8, "two")]
    assert len({one.conversion_id for one in conversions(*facts)}) == 2


def test_28_two_orders_of_one_click_are_paid_once() -> None:
    facts = (
        click(1, 0, aff_sub="one", **PERSON),
        *(postback(n, n * HOUR, **order(number), **PERSON) for n, number in ((2, "A"), (3, "B"))),
    )
    assert [each[:3] for each in told(*facts)] == [("A", "approved", 0), ("B", "rejected", 12)]


def test_29_a_second_report_of_an_order_goes_to_its_first_click() -> None:
    facts = (
        click(1, 0, aff_sub="one", **PERSON),
        pixel(2, HOUR, **order("A"), **PERSON),
        click(3, DAY, aff_sub="two", **PERSON),
        postback(4, 2 * DAY, **order("A"), **PERSON),
    )
    assert told(*facts) == [("A", "approved", 0, 4, "one")]


def test_30_who_buys_again_after_half_a_year_is_a_new_conversion() -> None:
    facts = (
        click(1, 0, aff_sub="one", **PERSON),
        postback(2, HOUR, **order("A"), **PERSON),
        click(3, 180 * DAY, aff_sub="two", **PERSON),
        postback(4, 180 * DAY + HOUR, **order("B"), **PERSON),
    )
    assert told(*facts) == [("A", "approved", 0, 4, "one"), ("B", "approved", 0, 4, "two")]
    assert decide(*facts).late == {}


def test_31_a_correction_after_the_window_changes_neither_the_old_nor_the_new_sale() -> None:
    facts = [
        click(1, 0, aff_sub="one", **PERSON),
        postback(2, HOUR, **order("A"), **PERSON),
        click(3, 125 * DAY, aff_sub="two", **PERSON),
        postback(4, 125 * DAY + HOUR, **order("B"), **PERSON),
    ]
    returned = postback(5, 130 * DAY, conversion_unique_id="A", status="cancelled", **PERSON)
    assert told(*facts, returned) == told(*facts)
    assert decide(*facts, returned).late == {
        returned.receipt_id: "received 129 d 23 h after the first statement about it, allowed 120 d"
    }
    in_time = msgspec.structs.replace(returned, received_at=at(119 * DAY), occurred_at=at(119 * DAY))
    assert [each[1] for each in told(*facts, in_time)] == ["rejected", "approved"]


def test_32_a_person_without_a_click_waits_as_one_and_a_click_takes_what_is_its_own() -> None:
    reports = (pixel(2, HOUR, **PERSON), postback(3, 3 * DAY, **PERSON))
    assert told(*reports) == [("", "pending", Reason.AWAITING_CLICK, 0, "")]
    late = click(4, DAY, aff_sub="late", **PERSON)
    assert [each[1:3] for each in told(*reports, late)] == [("pending", 200), ("approved", 0)]


def test_33_a_bare_no_of_the_network_that_could_mean_two_purchases_changes_neither() -> None:
    facts = (
        click(1, 0, **PERSON),
        postback(2, HOUR, **order("A"), **PERSON),
        click(3, 2 * DAY, **PERSON),
        postback(4, 3 * DAY, **order("B"), **PERSON),
        adjustment(5, 4 * DAY, status="rejected", **PERSON),
    )
    assert [each[1:3] for each in told(*facts)] == [
        ("approved", 0),
        ("approved", 0),
        ("rejected", Reason.AMBIGUOUS_STATEMENT),
    ]
    named = adjustment(5, 4 * DAY, status="rejected", conversion_unique_id="A", **PERSON)
    assert [each[1] for each in told(*facts[:4], named)] == ["rejected", "approved"]


def test_34_under_an_affiliates_identifier_an_order_needs_its_number() -> None:
    blog = click(1, 0, **PARTNER)
    bare = postback(2, HOUR, **amount("50"), **PARTNER)
    assert told(blog, bare)[0][1:4] == ("pending", Reason.ORDER_NUMBER_MISSING, 0)
    for said in (pixel, postback):
        assert told(blog, said(2, HOUR, **order("A"), **PARTNER))[0][1:3] == ("approved", 0)


def test_35_goals_that_a_person_may_repeat_do_not_ask_for_a_click_each() -> None:
    lead = {"goal_id": 5, **PERSON}
    facts = (click(1, 0, **PERSON), *(pixel(n, n * HOUR, **lead) for n in (2, 3)))
    assert [each[1:4] for each in told(*facts, goal=5)] == [("approved", 0, 2)] * 2


# A ladder of reasons


def test_36_of_several_reasons_the_ladders_first_is_told() -> None:
    goals = (
        msgspec.structs.replace(SALE, approval="manual", confirm="postback"),
        LEAD,
    )
    catalogs = (with_offer(goals=goals),)
    steps: list[tuple[tuple[AnyFact, ...], int]] = [
        ((pixel(2),), Reason.AWAITING_CLICK),
        ((click(is_bot=True), pixel(2, goal_id=77)), Reason.UNKNOWN_GOAL),
        ((click(is_bot=True), pixel(2, 31 * DAY, status="what?")), Reason.OUTSIDE_CLICK_WINDOW),
        ((click(is_bot=True), pixel(2, status="cancelled")), Reason.STATED_BY_ADVERTISER),
        ((click(is_bot=True), pixel(2, status="what?")), Reason.UNKNOWN_STATUS_WORD),
        ((click(is_bot=True), pixel(2)), Reason.BOT_CLICK),
        ((click(), pixel(2, **amount("5", "GBP"))), Reason.NO_EXCHANGE_RATE),
        ((click(), pixel(2)), Reason.NO_CONFIRMATION),
        ((click(), postback(2)), Reason.NEEDS_APPROVAL),
        ((click(), postback(2, status="ok")), Reason.NONE),
    ]
    for facts, reason in steps:
        found = [one for case in decide(*facts, catalogs=catalogs).cases.values() for one in case]
        assert [one.reason for one in found] == [reason]
        assert all(_is_explained(one) for one in found)


def _is_explained(one: Conversion) -> bool:
    return bool(one.reason_detail) == bool(one.reason)


def test_37_a_number_that_comes_late_inherits_what_was_told_before() -> None:
    lead = {"goal_id": 5}
    bare = conversion(click(), pixel(2, HOUR, **lead), goal=5)
    whole = conversion(
        click(), pixel(2, HOUR, **lead), postback(3, HOUR + SECOND, **order("A"), **lead), goal=5
    )
    assert whole.absorbs == (bare.conversion_id,)


def test_38_a_goal_of_another_offer_is_never_taken_for_this_ones() -> None:
    other = Goal(id=8, name="hat", payout=Price(fixed=Decimal(3)), currency="USD")
    hats = msgspec.structs.replace(CATALOG.offers[1], goals=(SALE, other))
    catalog = msgspec.structs.replace(CATALOG, offers=(CATALOG.offers[0], hats))
    found = conversions(click(), postback(2, goal="hat", goal_id=8), goal=8, catalogs=(catalog,))
    assert [(one.status, one.reason, one.payout) for one in found] == [("rejected", Reason.UNKNOWN_GOAL, 0)]
