"""The naive reading against outcomes that a person worked out from the rules, one rule a test."""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from proof.expected import Expected, Statement, Visit, at_the_edge, expect
from proof.truth import Truth, truth
from schemas.catalog import Advertiser, Affiliate, Catalog, Goal, Network, Offer, Permission, Price, Term
from schemas.money import Rate

MINUTE_MS = 60_000
T0 = 1_795_000_000_000

SALE = Goal(id=0, name="sale", aliases=("purchase",), payout=Price(percent=Decimal(8)), currency="USD")
OFFER = Offer(id=7, advertiser_id=1, name="Shoes", url="https://shop.example/", goals=(SALE,))
CLICK = Visit(
    kind="click",
    receipt="c1",
    received_ms=T0,
    occurred_ms=T0,
    catalog_version=1,
    offer_id=7,
    affiliate_id=42,
)
BLOG = Affiliate(id=42, name="Blog")


def catalog(goal: dict[str, Any] | None = None, **offer: Any) -> dict[int, Catalog]:
    """Version 1, with one goal and one offer that differ from the example in what is stated."""
    goals = (msgspec.structs.replace(SALE, **(goal or {})),)
    return {
        1: Catalog(
            network=Network(
                rates=(Rate(from_="EUR", to="USD", rate=Decimal("1.10"), since=date(2026, 1, 1)),)
            ),
            advertisers=(Advertiser(id=1, name="Shop", status_words={"ok": "approved"}),),
            affiliates=(BLOG, Affiliate(id=43, name="Blocked", status="blocked")),
            offers=(msgspec.structs.replace(OFFER, goals=goals, **offer),),
        )
    }


def said(kind: Any = "postback", after_ms: int = MINUTE_MS, **stated: Any) -> Statement:
    at_ms = T0 + after_ms
    whole = {"receipt": f"r{after_ms:09d}", "received_ms": at_ms, "occurred_ms": at_ms, "catalog_version": 1}
    if "goal" in stated:
        stated["goal_id"] = at_the_edge(catalog()[1], stated.get("offer_id", 0), stated["goal"])
    return Statement(**{"kind": kind, "amount": Decimal(100), **whole, **stated})


def one(statements: list[Statement], catalogs: dict[int, Catalog] | None = None, **click: Any) -> Expected:
    (found,) = expect([msgspec.structs.replace(CLICK, **click)], statements, catalogs or catalog())
    return found


def outcomes(statements: list[Statement], **goal: Any) -> list[tuple[str, str, int, int]]:
    found = expect([CLICK], statements, catalog(goal))
    return sorted((each.number, each.status, each.reason, each.observations) for each in found)


def test_a_sale_is_approved_and_paid() -> None:
    assert truth("06cv", one([said(number="A")]), 0) == Truth(
        transaction_id="06cv",
        goal_id=0,
        conversion_unique_id="A",
        status="approved",
        reason=0,
        affiliate_id=42,
        payout=Decimal("8.00"),
        revenue=Decimal(0),
        payout_currency="USD",
        revenue_currency="USD",
        observations=1,
        kinds=("postback",),
    )


# Rule 1: identity.


def test_one_number_is_one_conversion_whatever_told_of_it() -> None:
    told = [said("pixel", 1, number="A"), said("iframe", 2, number="A"), said(after_ms=3, number="A")]
    assert outcomes(told) == [("A", "approved", 0, 3)]


def test_on_a_once_goal_what_has_no_number_belongs_to_what_counts() -> None:
    assert outcomes([said("pixel", 1), said(after_ms=99 * MINUTE_MS, number="A")]) == [
        ("A", "approved", 0, 2)
    ]


def test_on_a_once_goal_the_most_trusted_number_counts_then_the_first() -> None:
    told = [said("pixel", 1, number="A"), said(after_ms=2, number="B"), said(after_ms=3, number="C")]
    assert outcomes(told) == [("A", "rejected", 12, 1), ("B", "approved", 0, 1), ("C", "rejected", 12, 1)]


def test_on_a_repeating_goal_each_number_is_a_conversion() -> None:
    told = [said(after_ms=1, number="A"), said(after_ms=2, number="B")]
    assert outcomes(told, repeat="many") == [("A", "approved", 0, 1), ("B", "approved", 0, 1)]


def test_on_a_repeating_goal_kinds_pair_up_inside_the_dedupe_window() -> None:
    told = [said("pixel", 1), said("pixel", 2), said(after_ms=3), said(after_ms=4)]
    assert outcomes(told, repeat="many") == [("", "approved", 0, 2), ("", "approved", 0, 2)]


def test_on_a_repeating_goal_kinds_far_apart_are_two_conversions() -> None:
    told = [said("pixel", 0), said(after_ms=11 * MINUTE_MS)]
    assert outcomes(told, repeat="many") == [("", "approved", 0, 1), ("", "approved", 0, 1)]


def test_a_test_stands_beside_the_sale() -> None:
    found = expect(
        [CLICK], [said(after_ms=1, number="A", test=True), said(after_ms=2, number="A")], catalog()
    )
    assert [(each.test, each.status, each.reason, each.payout) for each in found] == [
        (False, "approved", 0, Decimal("8.00")),
        (True, "rejected", 22, Decimal(0)),
    ]


# Rule 2: merge.


def test_the_latest_word_of_the_most_trusted_kind_is_the_status() -> None:
    told = [
        said(after_ms=1, number="A", status="rejected"),
        said(after_ms=2, number="A", status="ok"),
        said("pixel", 3, number="A", status="rejected"),
    ]
    assert outcomes(told) == [("A", "approved", 0, 3)]


def test_proof_is_more_trusted_than_time() -> None:
    told = [
        said(after_ms=1, number="A", status="rejected", proven_by="token", proven_for=(1,)),
        said(after_ms=2, number="A", status="approved"),
    ]
    assert outcomes(told) == [("A", "rejected", 221, 2)]


def test_an_unknown_word_is_pending() -> None:
    assert outcomes([said(number="A", status="shipped")]) == [("A", "pending", 222, 1)]


def test_a_pixel_never_changes_a_servers_amount() -> None:
    found = one([said(after_ms=1, number="A"), said("pixel", 2, number="A", amount=Decimal(500))])
    assert found.payout == Decimal("8.00")


def test_the_last_amount_of_the_server_counts() -> None:
    found = one([said(after_ms=1, number="A"), said(after_ms=2, number="A", amount=Decimal(50))])
    assert found.payout == Decimal("4.00")


# Rule 3: permission, and the state at the click.


def test_a_kind_that_is_not_tracked_is_rejected() -> None:
    found = one([said("pixel")], catalog(tracking=("postback",)))
    assert (found.status, found.reason, found.payout) == ("rejected", 15, 0)


def test_a_kind_that_is_not_tracked_takes_no_part_beside_one_that_is() -> None:
    told = [said("pixel", 1, number="A", status="rejected"), said(after_ms=2, number="A")]
    found = one(told, catalog(tracking=("postback",)))
    assert (found.status, found.observations, found.kinds) == ("approved", 2, ("pixel", "postback"))


def test_another_offer_is_rejected() -> None:
    assert one([said(offer_id=8)]).reason == 214


@pytest.mark.parametrize(
    ("catalogs", "click", "reason"),
    [
        (catalog(status="paused"), {}, 212),
        (catalog({"status": "paused"}), {}, 212),
        (catalog(), {"affiliate_id": 43}, 213),
        (catalog(), {"affiliate_id": 99}, 213),
        (catalog(affiliates=(Permission(id=42, status="pending"),)), {}, 213),
        (catalog(), {"redirect_reason": 217}, 217),
    ],
)
def test_what_was_not_allowed_at_the_click_is_rejected(
    catalogs: dict[int, Catalog], click: dict[str, Any], reason: int
) -> None:
    found = one([said()], catalogs, **click)
    assert (found.status, found.reason) == ("rejected", reason)


def test_after_a_pause_earlier_clicks_still_count() -> None:
    catalogs = catalog() | {2: catalog(status="paused")[1]}
    assert one([said(catalog_version=2)], catalogs).status == "approved"


# Rule 4: credit.


def test_without_a_click_it_waits_for_nobody() -> None:
    (found,) = expect([], [said()], catalog())
    assert (found.status, found.reason, found.affiliate_id, found.payout) == ("pending", 200, 0, 0)


def test_a_sale_before_its_click_counts() -> None:
    assert one([said(after_ms=1, occurred_ms=T0 - 99 * MINUTE_MS)]).status == "approved"


def test_outside_the_click_window_it_is_rejected() -> None:
    catalogs = catalog(click_window="2m")
    assert one([said(after_ms=2 * MINUTE_MS)], catalogs).reason == 0
    assert one([said(after_ms=2 * MINUTE_MS + 1)], catalogs).reason == 207


def test_an_ad_that_was_seen_is_credited_inside_its_window_only() -> None:
    assert one([said()], catalog(), kind="impression").status == "approved"
    late = one([said()], catalog(view_window="30s"), kind="impression")
    assert (late.status, late.reason) == ("rejected", 208)


def test_the_catalog_is_that_of_the_credited_visit() -> None:
    """Not of the visitor's earlier click, which was too long ago and named a later version."""
    first = catalog()[1]
    later = msgspec.structs.replace(first, advertisers=(Advertiser(id=1, name="Shop"),))
    seen = msgspec.structs.replace(CLICK, kind="impression", receipt="v1", affiliate_id=42)
    clicked = msgspec.structs.replace(
        CLICK, occurred_ms=T0 - 31 * 24 * 60 * MINUTE_MS, received_ms=T0 - 9, catalog_version=2
    )
    (found,) = expect([clicked, seen], [said(status="ok")], {1: first, 2: later})
    assert (found.status, found.reason) == ("approved", 0)


def test_too_soon_after_the_click_is_rejected() -> None:
    assert one([said()], catalog(min_time="2m")).reason == 209


def test_a_bots_click_is_pending_unless_the_offer_counts_bots() -> None:
    assert one([said()], is_bot=True).reason == 223
    assert one([said()], catalog(bots="count"), is_bot=True).status == "approved"


# Goals.


def test_a_goal_may_be_called_by_number_name_or_alias() -> None:
    for goal in ("0", "sale", "SALE", "purchase"):
        assert one([said(goal=goal)]).status == "approved"


def test_an_unknown_goal_is_rejected_and_no_other() -> None:
    assert (one([said(goal="9")]).goal_id, one([said(goal="9")]).reason) == (9, 203)
    assert (one([said(goal="x")]).goal_id, one([said(goal="x")]).reason) == (-1, 203)


def test_what_only_a_browser_reported_waits_where_the_goal_wants_a_postback() -> None:
    catalogs = catalog({"confirm": "postback"})
    assert one([said("pixel")], catalogs).reason == 206
    assert one([said("pixel", 1), said(after_ms=2)], catalogs).reason == 0


def test_a_manual_goal_waits_for_a_word() -> None:
    catalogs = catalog({"approval": "manual"})
    assert (one([said()], catalogs).status, one([said()], catalogs).reason) == ("pending", 31)
    assert one([said(status="ok")], catalogs).status == "approved"


# Rule 5: money.


def test_the_sum_is_rounded_once_half_even() -> None:
    assert one([said(amount=Decimal("0.3125"))], catalog()).payout == Decimal("0.02")  # 0.025
    assert one([said(amount=Decimal("0.4375"))], catalog()).payout == Decimal("0.04")  # 0.035


def test_fixed_and_percent_add_up() -> None:
    price = Price(fixed=Decimal("0.50"), percent=Decimal(8))
    assert one([said()], catalog({"payout": price})).payout == Decimal("8.50")


def test_the_first_term_whose_conditions_hold_counts_alone() -> None:
    terms = (
        Term(affiliate=(99,), payout=Price(percent=Decimal(50))),
        Term(source=("blog",), payout=Price(percent=Decimal(9))),
        Term(affiliate=(42,), payout=Price(percent=Decimal(20)), revenue=Price(percent=Decimal(30))),
    )
    found = one([said()], catalog({"terms": terms}), source="blog")
    assert (found.payout, found.revenue) == (Decimal("9.00"), 0)


def test_another_currency_is_converted_at_the_days_rate() -> None:
    assert one([said(currency="eur")]).payout == Decimal("8.80")
    assert one([said(currency="CHF")]).reason == 204


def test_without_an_amount_a_percentage_gives_nothing() -> None:
    found = one([said(amount=None)])
    assert (found.status, found.payout) == ("approved", 0)


# The network speaks.


def test_the_networks_word_is_the_last() -> None:
    told = [
        said(after_ms=1, number="A", status="rejected"),
        said("adjustment", 2, number="A", status="approved"),
    ]
    found = one([*told[:1], msgspec.structs.replace(told[1], amount=None, payout=Decimal("1.23"))])
    assert (found.status, found.reason, found.payout) == ("approved", 52, Decimal("1.23"))
    assert found.kinds == ("adjustment", "postback")
