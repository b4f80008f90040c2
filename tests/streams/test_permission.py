"""Rule 3, permission. The number in a test's name is the clause's in docs/rules.md."""

from typing import Any

import msgspec
import pytest

from schemas.catalog import Catalog, Key, Permission, PostbackProofs
from schemas.reasons import Reason
from tests.streams.facts_of_a_shop import (
    CATALOG,
    DAY,
    HOUR,
    SALE,
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
    with_blog,
    with_goal,
    with_offer,
)

BY_POSTBACK = with_offer(tracking=("postback",))


def test_3_1_an_offer_says_which_kinds_of_request_may_make_a_conversion():
    found = conversion(click(), pixel(2, **amount("50")), catalogs=(BY_POSTBACK,))
    assert (found.status, found.reason, found.payout) == ("rejected", Reason.WRONG_PROTOCOL, 0)
    assert found.reason_detail == "offer 7 tracks by postback, this came by pixel"
    by_two = (with_offer(tracking=("postback", "iframe")),)
    found = conversion(click(), pixel(2), catalogs=by_two)
    assert found.reason_detail == "offer 7 tracks by postback, iframe, this came by pixel"


def test_3_2_a_request_that_names_another_offer_makes_none():
    found = conversion(click(), postback(2, offer_id=8, **amount("50")))
    assert (found.status, found.reason, found.offer_id) == ("rejected", Reason.OFFERS_DIFFER, 7)
    assert found.reason_detail == "the request names offer 8, the click was for 7"
    assert conversion(click(), postback(2, offer_id=7)).status == "approved"


def test_3_3_beside_what_has_permission_it_is_shown_and_has_no_say():
    found = conversion(
        click(),
        pixel(2, HOUR, **amount("5000"), adv_sub="pixel", status="rejected"),
        postback(3, 2 * HOUR, **amount("50")),
        catalogs=(BY_POSTBACK,),
    )
    assert (found.status, found.payout, found.adv_sub) == ("approved", 4, "")
    assert (found.observations, found.observed_by) == (2, ("pixel", "postback"))
    assert found.received_at == "2026-11-01T14:00:00.000Z"


@pytest.mark.parametrize(("pixels", "postbacks"), [("", ""), ("A", "A"), ("A", ""), ("", "A")])
def test_3_3_once_it_is_shown_with_its_number_else_with_what_counts(pixels: str, postbacks: str):
    facts = (pixel(2, conversion_unique_id=pixels), postback(3, DAY, conversion_unique_id=postbacks))
    found = conversion(click(), *facts, catalogs=(BY_POSTBACK,))
    assert (found.conversion_unique_id, found.observations) == (postbacks, 2)


def test_3_3_many_it_is_shown_with_its_number_else_with_what_is_near():
    catalogs = (with_offer(tracking=("postback",)),)
    server = postback(3, HOUR, conversion_unique_id="A", goal_id=5)
    for shown in (pixel(2, DAY, conversion_unique_id="A", goal_id=5), pixel(2, HOUR + 1, goal_id=5)):
        assert conversion(click(), server, shown, goal=5, catalogs=catalogs).observations == 2


def test_3_4_an_order_that_only_such_requests_name_is_rejected_with_their_reason():
    facts = (pixel(2, conversion_unique_id="B"), postback(3, DAY, conversion_unique_id="A"))
    counts, other = conversions(click(), *facts, catalogs=(BY_POSTBACK,))
    assert (counts.conversion_unique_id, counts.status) == ("A", "approved")
    assert (other.conversion_unique_id, other.reason) == ("B", Reason.WRONG_PROTOCOL)


def test_3_4_many_too_and_what_is_near_nothing():
    server = postback(3, DAY, conversion_unique_id="A", goal_id=5)
    for alone in (pixel(2, DAY, conversion_unique_id="B", goal_id=5), pixel(2, HOUR, goal_id=5)):
        found = conversions(click(), server, alone, goal=5, catalogs=(BY_POSTBACK,))
        assert [one.reason for one in found] == [Reason.NONE, Reason.WRONG_PROTOCOL]


def test_3_5_where_nothing_has_permission_the_most_trusted_request_gives_the_reason():
    facts = (pixel(2, HOUR), postback(3, 2 * HOUR, offer_id=8))
    found = conversion(click(), *facts, catalogs=(BY_POSTBACK,))
    assert (found.status, found.reason, found.observations) == ("rejected", Reason.OFFERS_DIFFER, 2)


def test_3_5_the_network_can_approve_what_was_rejected():
    facts = (pixel(2, **amount("50")), adjustment(3, status="approved"))
    found = conversion(click(), *facts, catalogs=(BY_POSTBACK,))
    assert (found.status, found.payout) == ("approved", 4)


def test_3_6_an_offer_paused_at_the_click_gives_none():
    found = conversion(click(), postback(2), catalogs=(with_offer(status="paused"),))
    assert (found.status, found.reason) == ("rejected", Reason.OFFER_PAUSED)
    assert found.reason_detail == "offer 7 was paused at the click"
    assert found.affiliate_id == 42


def test_3_6_after_a_pause_earlier_clicks_still_count():
    catalogs = (CATALOG, with_offer(status="paused"))
    assert conversion(click(), postback(2, catalog_version=2), catalogs=catalogs).status == "approved"
    late = conversion(click(catalog_version=2), postback(2, catalog_version=2), catalogs=catalogs)
    assert late.reason == Reason.OFFER_PAUSED


def test_3_7_a_goal_is_judged_in_the_same_way():
    paused = with_goal(SALE, status="paused")
    found = conversion(click(), postback(2), catalogs=(paused,))
    assert (found.reason, found.reason_detail) == (Reason.OFFER_PAUSED, "goal 0 was paused at the click")
    assert (
        conversion(click(), postback(2, catalog_version=2), catalogs=(CATALOG, paused)).status == "approved"
    )
    assert conversion(click(), postback(2, goal_id=5), goal=5, catalogs=(paused,)).status == "approved"


@pytest.mark.parametrize(
    "catalog",
    [
        with_blog(status="blocked"),
        with_blog(status="pending"),
        with_offer(affiliates=(Permission(id=43),)),
        with_offer(affiliates=(Permission(id=42, status="pending"),)),
    ],
)
def test_3_8_the_affiliate_must_be_active_and_approved_at_the_click(catalog: Catalog):
    found = conversion(click(), postback(2), catalogs=(catalog,))
    assert (found.status, found.reason) == ("rejected", Reason.AFFILIATE_NOT_APPROVED)
    assert found.reason_detail == "affiliate 42 was not approved for offer 7 at the click"
    assert (
        conversion(click(), postback(2, catalog_version=2), catalogs=(CATALOG, catalog)).status == "approved"
    )


def test_3_8_an_affiliate_that_nobody_knows_is_not_approved():
    assert conversion(click(affiliate_id=0), postback(2)).reason == Reason.AFFILIATE_NOT_APPROVED


def test_3_9_a_click_that_was_sent_elsewhere_was_judged_then():
    found = conversion(click(redirect_reason=Reason.AFFILIATE_NOT_APPROVED), postback(2))
    assert (found.status, found.reason) == ("rejected", Reason.AFFILIATE_NOT_APPROVED)
    assert found.reason_detail == (
        "the click was not sent to the offer: the affiliate was not approved for the offer at the click"
    )
    unheard_of = conversion(click(redirect_reason=999), postback(2))
    assert (unheard_of.status, unheard_of.reason) == ("rejected", 999)
    assert unheard_of.reason_detail == "the click was not sent to the offer: reason 999"


def test_3_10_an_offer_that_the_catalog_does_not_have_gives_none():
    found = conversion(click(offer_id=9), postback(2))
    assert (found.status, found.reason) == ("rejected", Reason.UNKNOWN_OFFER)
    assert found.reason_detail == "there was no offer 9 at the click"


def test_3_10_nor_one_that_it_does_not_have_any_more():
    catalogs = (CATALOG, Catalog(advertisers=CATALOG.advertisers, affiliates=CATALOG.affiliates))
    found = conversion(click(), postback(2, catalog_version=2), catalogs=catalogs)
    assert (found.status, found.reason, found.reason_detail) == (
        "rejected",
        Reason.UNKNOWN_OFFER,
        "the catalog has no offer 7 any more",
    )


def test_3_11_an_impression_is_judged_like_a_click():
    found = conversion(impression(), postback(2), catalogs=(with_offer(status="paused"),))
    assert found.reason_detail == "offer 7 was paused at the impression"


def test_3_12_each_observation_is_judged_by_the_later_catalog_of_its_visit_and_its_own():
    catalogs = (CATALOG, BY_POSTBACK)
    before, after = pixel(2, HOUR), pixel(3, 2 * HOUR, catalog_version=2)
    assert conversion(click(), before, catalogs=catalogs).reason == Reason.NONE
    assert conversion(click(), after, catalogs=catalogs).reason == Reason.WRONG_PROTOCOL
    assert conversion(click(catalog_version=2), before, catalogs=catalogs).reason == Reason.WRONG_PROTOCOL


def test_3_12_before_the_click_nothing_speaks_against_an_observation():
    found = conversion(pixel(2, offer_id=8), catalogs=(BY_POSTBACK,))
    assert (found.status, found.reason) == ("pending", Reason.AWAITING_CLICK)


def shop_with(**proofs: Any) -> Catalog:
    shop = msgspec.structs.replace(SHOP, postback=PostbackProofs(**proofs))
    return msgspec.structs.replace(CATALOG, advertisers=(shop,))


TOKEN = {"token": "sha256:" + "0" * 64}
ALLOWED = {"allow_from": ("203.0.113.0/24",)}
KEYED = {"keys": (Key(id="k1", secret="env:K"),)}  # noqa: S106  only where it lies


@pytest.mark.parametrize(
    ("proofs", "proven_by", "reason"),
    [
        ({}, "", 0),
        (TOKEN, "", 19),
        (TOKEN, "allow_from", 19),
        (TOKEN, "token", 0),
        (TOKEN, "signature:k1", 0),
        (KEYED, "token", 19),
        (KEYED, "signature:k1", 0),
        (ALLOWED, "", 14),
        (ALLOWED, "allow_from", 0),
        ({**KEYED, **TOKEN, **ALLOWED}, "token", 19),
    ],
)
def test_3_13_a_postback_must_prove_the_strongest_that_its_advertiser_has(
    proofs: dict[str, Any], proven_by: str, reason: int
):
    found = conversion(click(), postback(2, proven_by=proven_by), catalogs=(shop_with(**proofs),))
    assert (found.status, found.reason) == ("rejected" if reason else "approved", reason)


def test_3_13_or_what_the_offer_says():
    keyed = shop_with(**KEYED)
    lenient = msgspec.structs.replace(keyed, offers=with_offer(proof="none").offers)
    assert conversion(click(), postback(2), catalogs=(lenient,)).status == "approved"
    found = conversion(click(), postback(2, proven_by="allow_from"), catalogs=(keyed,))
    assert found.reason_detail == "offer 7 wants a signature, this proved an allowed address"


@pytest.mark.parametrize(
    ("proofs", "said", "detail"),
    [
        (TOKEN, {"ip": "198.51.100.7"}, "the security token, this proved nothing"),
        (
            ALLOWED,
            {"ip": "198.51.100.7"},
            "an allowed address, this came from 198.51.100.7 and proved nothing",
        ),
        (ALLOWED, {}, "an allowed address, this proved nothing"),
        (
            KEYED,
            {"proven_by": "signature:k1", "proven_for": (2,)},
            "a signature, this proved a signature, and that of another advertiser",
        ),
    ],
)
def test_3_13_what_was_wanted_and_what_was_proved_is_told(
    proofs: dict[str, Any], said: dict[str, Any], detail: str
):
    found = conversion(click(), postback(2, **said), catalogs=(shop_with(**proofs),))
    assert found.reason_detail == f"offer 7 wants {detail}"


def test_3_13_a_browser_is_not_asked():
    for said in (pixel(2), iframe(2)):
        assert conversion(click(), said, catalogs=(shop_with(**TOKEN),)).status == "approved"


def test_3_13_what_proves_nothing_has_no_say_beside_a_pixel():
    forged = postback(3, DAY, **amount("9999"), status="approved")
    found = conversion(click(), pixel(2, HOUR, **amount("50")), forged, catalogs=(shop_with(**TOKEN),))
    assert (found.payout, found.observations) == (4, 2)


def test_3_14_another_advertisers_proof_proves_nothing():
    theirs = postback(2, proven_by="token", proven_for=(2, 3))
    found = conversion(click(), theirs, catalogs=(shop_with(**TOKEN),))
    assert (found.reason, found.reason_detail) == (
        Reason.INVALID_TOKEN,
        "offer 7 wants the security token, this proved the security token, and that of another advertiser",
    )
    ours = msgspec.structs.replace(theirs, proven_for=(1, 2))
    assert conversion(click(), ours, catalogs=(shop_with(**TOKEN),)).status == "approved"
