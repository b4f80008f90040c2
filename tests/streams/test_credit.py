"""Rule 4, credit. The number in a test's name is the clause's in docs/rules.md."""

import pytest

from schemas.reasons import Reason
from streams.rules.credit import span, spans
from tests.streams.facts_of_a_shop import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    amount,
    at,
    click,
    conversion,
    conversions,
    decide,
    impression,
    pixel,
    postback,
    with_offer,
)

A_CLICKS = {"aff_sub": "s", "source": "mail", "country_code": "DE", "url_id": 3}


def test_4_1_the_transactions_own_click_gets_the_conversion_with_all_it_stated():
    found = conversion(click(**A_CLICKS), postback(2))
    assert (found.credited_by, found.affiliate_id, found.offer_id, found.advertiser_id) == ("click", 42, 7, 1)
    assert (found.click_receipt_id, found.clicked_at) == ("06cv0000000000000000000-1", at(0))
    assert {name: getattr(found, name) for name in A_CLICKS} == A_CLICKS


def test_4_2_until_the_end_of_the_click_window():
    assert conversion(click(), postback(2, 30 * DAY)).status == "approved"
    found = conversion(click(), postback(2, 30 * DAY + 26 * HOUR, **amount("50")))
    assert (found.status, found.reason, found.payout) == ("rejected", Reason.OUTSIDE_CLICK_WINDOW, 0)
    assert found.reason_detail == "after the click window: 31 d 2 h, allowed 30 d"
    assert (found.affiliate_id, found.credited_by) == (42, "click")


def test_4_2_the_offer_says_how_long_it_is():
    catalogs = (with_offer(click_window="1h"),)
    assert conversion(click(), postback(2, HOUR), catalogs=catalogs).status == "approved"
    assert conversion(click(), postback(2, HOUR + 1), catalogs=catalogs).reason_detail == (
        "after the click window: 1 h 1 ms, allowed 1 h"
    )


def test_4_2_the_time_that_counts_is_when_it_occurred():
    late = postback(2, 31 * DAY, occurred_at=at(29 * DAY))
    assert conversion(click(), late).status == "approved"
    kept_back = conversion(click(1, DAY, occurred_at=at(0)), late)
    assert (kept_back.clicked_at, kept_back.occurred_at) == (at(0), at(29 * DAY))
    assert conversion(click(occurred_at=at(-2 * DAY)), late).reason == Reason.OUTSIDE_CLICK_WINDOW


def test_4_2_what_is_over_never_reads_as_what_is_allowed():
    catalogs = (with_offer(click_window="26h"),)
    assert conversion(click(), postback(2, 26 * HOUR + 1), catalogs=catalogs).reason_detail == (
        "after the click window: 1 d 2 h 1 ms, allowed 1 d 2 h"
    )
    assert spans(31 * DAY + 2 * HOUR + MINUTE, 30 * DAY) == ("31 d 2 h", "30 d")
    length = DAY + HOUR + MINUTE + SECOND
    assert spans(length + 1, length) == ("1 d 1 h 1 min 1 s 1 ms", "1 d 1 h 1 min 1 s")


def test_4_3_without_a_click_its_own_impression_within_the_view_window():
    found = conversion(impression(), postback(2, DAY))
    assert (found.status, found.credited_by, found.affiliate_id) == ("approved", "impression", 42)
    assert found.click_receipt_id == "06cv0000000000000000000-1"
    late = conversion(impression(), postback(2, DAY + MINUTE))
    assert (late.status, late.reason) == ("rejected", Reason.OUTSIDE_VIEW_WINDOW)
    assert late.reason_detail == "after the view window: 1 d 1 min, allowed 1 d"


def test_4_4_with_both_the_click_gets_it_unless_only_the_impression_is_within_its_window():
    both = (click(1), impression(2, aff_click_id="view"))
    assert conversion(*both, postback(3)).credited_by == "click"
    catalogs = (with_offer(click_window="1h"),)
    assert conversion(*both, postback(3, 2 * HOUR), catalogs=catalogs).credited_by == "impression"
    neither = conversion(*both, postback(3, 2 * DAY), catalogs=catalogs)
    assert (neither.credited_by, neither.reason) == ("click", Reason.OUTSIDE_CLICK_WINDOW)


def test_4_4_what_goes_to_the_impression_is_of_the_impressions_offer():
    catalogs = (with_offer(click_window="1h"),)
    facts = (click(1), impression(2, offer_id=8), postback(3, 2 * HOUR, **amount("50")))
    found = conversion(*facts, catalogs=catalogs)
    assert (found.credited_by, found.offer_id, found.payout) == ("impression", 8, 4)


def test_4_5_of_several_clicks_the_last_before_the_conversion():
    facts = (click(2, MINUTE, aff_sub="second"), click(3, 0, aff_sub="first"), click(5, DAY, aff_sub="later"))
    assert conversion(*facts, postback(4)).aff_sub == "second"
    assert conversion(*facts, postback(4, -MINUTE)).aff_sub == "first"
    same_time = (click(10, aff_sub="tenth"), click(9, aff_sub="ninth"), postback(11))
    assert conversion(*same_time).aff_sub == "tenth"


def test_4_5_so_with_impressions():
    facts = (impression(2, 0, aff_sub="first"), impression(3, HOUR, aff_sub="second"))
    assert conversion(*facts, postback(4, DAY + HOUR)).aff_sub == "second"


def test_4_6_a_conversion_that_the_clocks_put_before_its_click_counts_and_is_flagged():
    found = conversion(click(), postback(2, -10 * SECOND))
    assert (found.status, found.flags) == ("approved", ("before_click",))
    assert conversion(click(), postback(2, 0)).flags == ()


def test_4_7_before_its_click_a_conversion_waits_without_affiliate_money_or_notice():
    decision = decide(postback(2, offer_id=7, **amount("50")))
    (found,) = decision.cases[0]
    assert (found.status, found.reason) == ("pending", Reason.AWAITING_CLICK)
    assert (found.affiliate_id, found.payout, found.payout_nominal, found.credited_by) == (0, 0, 0, "")
    assert (found.clicked_at, found.sale_amount) == (None, 50)
    assert (decision.visits, decision.notices) == ({postback(2).receipt_id: []}, [])


@pytest.mark.parametrize(
    ("stated", "offer_id", "advertiser_id"),
    [
        ({"offer_id": 7}, 7, 1),
        ({"advertiser_id": 3}, 0, 3),
        ({"offer_id": 7, "advertiser_id": 3}, 7, 3),
        ({}, 0, 0),
    ],
)
def test_4_8_waiting_it_is_of_the_stated_offer_and_advertiser(
    stated: dict[str, int], offer_id: int, advertiser_id: int
):
    found = conversion(postback(2, **stated))
    assert (found.offer_id, found.advertiser_id) == (offer_id, advertiser_id)


def test_4_9_it_is_credited_when_the_click_arrives():
    early = postback(2, HOUR, **amount("50"))
    found = decide(early, click(9, 0, received_at=at(20 * DAY)))
    (only,) = found.cases[0]
    assert (only.status, only.affiliate_id, only.payout) == ("approved", 42, 4)
    assert [visit.receipt_id for visit in found.visits[early.receipt_id]] == ["06cv0000000000000000000-9"]


def test_4_10_without_any_observation_there_is_no_case():
    assert decide(click()).cases == decide(impression()).cases == {}


SHARED = [{"transaction_id": kind + "0" * 31} for kind in "da"]
ORDER = {"conversion_unique_id": "A"}


@pytest.mark.parametrize("shared", SHARED)
def test_4_11_where_many_clicks_share_an_identifier_the_last_before_it_gets_the_conversion(
    shared: dict[str, str],
):
    clicks = [
        click(number, day * DAY, aff_sub=f"day {day}", **shared) for number, day in enumerate((0, 2), 1)
    ]
    found = [conversion(*clicks, postback(3, day * DAY + HOUR, **ORDER, **shared)) for day in (0, 1, 2)]
    assert [(one.status, one.aff_sub) for one in found] == [
        ("approved", "day 0"),
        ("approved", "day 0"),
        ("approved", "day 2"),
    ]


@pytest.mark.parametrize("shared", SHARED)
def test_4_12_a_click_that_clocks_put_five_seconds_later_was_before(shared: dict[str, str]):
    def credited(after_ms: int) -> str:
        clicks = click(1, aff_sub="first", **shared), click(2, HOUR + after_ms, aff_sub="second", **shared)
        return conversion(*clicks, postback(3, HOUR, **ORDER, **shared)).aff_sub

    assert [credited(ms) for ms in (0, 5 * SECOND, 5 * SECOND + 1)] == ["second", "second", "first"]


def test_4_13_there_also_the_last_impression():
    shared = SHARED[0]
    views = [
        impression(number, hour * HOUR, aff_sub=f"{hour} h", **shared) for number, hour in ((1, 0), (2, 5))
    ]
    found = conversion(*views, postback(3, 6 * HOUR, **shared))
    assert (found.credited_by, found.aff_sub) == ("impression", "5 h")
    assert conversion(click(4, **shared), *views, postback(3, 6 * HOUR, **shared)).credited_by == "click"


def test_4_14_there_what_lies_beyond_the_longest_windows_is_none():
    shared = SHARED[1]
    order = {**ORDER, **shared}
    assert conversion(click(1, **shared), postback(2, 30 * DAY, **order)).status == "approved"
    beyond = conversion(click(1, **shared), postback(2, 30 * DAY + 1, **order))
    assert (beyond.status, beyond.reason) == ("pending", Reason.AWAITING_CLICK)
    unseen = conversion(impression(1, **shared), postback(2, DAY + 1, **order))
    assert (unseen.status, unseen.reason) == ("pending", Reason.AWAITING_CLICK)
    short = (with_offer(click_window="1h"),)
    found = conversion(click(1, **shared), postback(2, 2 * HOUR, **order), catalogs=short)
    assert found.reason == Reason.OUTSIDE_CLICK_WINDOW


def test_4_15_there_permission_goes_by_the_visit_before_each_observation():
    """The second click was made under a catalog by which the offer tracks by postback only."""
    catalogs = (with_offer(), with_offer(tracking=("postback",)))
    shared = SHARED[0]
    clicks = click(1, **shared), click(2, DAY, catalog_version=2, **shared)
    before, after = pixel(3, HOUR, **shared), pixel(4, DAY + HOUR, **shared)
    assert conversion(*clicks, before, catalogs=catalogs).status == "approved"
    assert conversion(*clicks, after, catalogs=catalogs).reason == Reason.WRONG_PROTOCOL


def test_4_16_a_person_is_corrected_for_120_days_and_may_buy_again_for_ever():
    shared = SHARED[0]
    facts = [
        click(1, 0, aff_sub="old", **shared),
        postback(2, HOUR, conversion_unique_id="A", **shared),
        click(3, 200 * DAY, aff_sub="new", **shared),
        postback(4, 201 * DAY, conversion_unique_id="B", **shared),
    ]
    assert [(one.aff_sub, one.status) for one in conversions(*facts)] == [
        ("old", "approved"),
        ("new", "approved"),
    ]
    for day, status, late in ((120, "rejected", 0), (121, "approved", 1)):
        returned = postback(5, day * DAY, conversion_unique_id="A", status="cancelled", **shared)
        decided = decide(*facts, returned)
        assert (decided.cases[0][0].status, len(decided.late)) == (status, late)
        assert decided.cases[0][1].aff_sub == "new"


def test_4_16_on_a_goal_that_may_repeat_each_conversion_for_itself():
    shared = {**SHARED[0], "goal_id": 5}
    facts = [
        click(1, 0, transaction_id=SHARED[0]["transaction_id"]),
        postback(2, HOUR, conversion_unique_id="A", **shared),
    ]
    late = postback(3, 130 * DAY, conversion_unique_id="A", status="cancelled", **shared)
    found = decide(*facts, late)
    assert [one.status for one in found.cases[5]] == ["approved"]
    assert list(found.late) == [late.receipt_id]


def test_spans_are_told_in_their_two_largest_units():
    told = {0: "0 s", 5: "5 ms", 90 * SECOND: "1 min 30 s", 26 * HOUR + 61 * SECOND: "1 d 2 h"}
    assert {ms: span(ms) for ms in told} == told
