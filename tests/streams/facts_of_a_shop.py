"""Valid examples to start from: a catalog, a transaction's facts; a test changes what it is about."""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from schemas import times
from schemas.catalog import Advertiser, Affiliate, Catalog, Goal, Network, Offer, PartnerPostback, Price, Term
from schemas.catalog_versions import CatalogVersion, History
from schemas.decisions import Conversion
from schemas.facts import Adjustment, AnyFact, Click, Impression, Pixel, Postback
from schemas.money import Rate
from streams.rules.decide import Decision, decide_transaction

TRANSACTION = "06cv0000000000000000000000000000"
EPOCH = "06cv0000000000000000000"
CLICKED_MS = times.to_ms("2026-11-01T12:00:00.000Z")
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

SALE = Goal(
    id=0,
    name="sale",
    aliases=("purchase",),
    payout=Price(percent=Decimal(8)),
    revenue=Price(percent=Decimal(10)),
    currency="USD",
)
LEAD = Goal(id=5, name="lead", payout=Price(fixed=Decimal(2)), currency="USD", repeat="many")
BLOG = Affiliate(
    id=42,
    name="Running Blog",
    tier="gold",
    postbacks=(PartnerPostback(url="https://tracker.example/cb?cid={aff_click_id}&sum={payout}"),),
)
SHOP = Advertiser(
    id=1,
    name="Shoe Shop",
    ref="SH-1",
    status_words={"ok": "approved", "cancelled": "rejected", "open": "pending"},
)
SHOES = Offer(id=7, advertiser_id=1, name="Shoes", url="https://shop.example/", goals=(SALE, LEAD))
CATALOG = Catalog(
    network=Network(rates=(Rate(from_="EUR", to="USD", rate=Decimal("1.10"), since=date(2026, 11, 1)),)),
    advertisers=(SHOP,),
    affiliates=(BLOG, Affiliate(id=43, name="Other Blog")),
    offers=(SHOES, Offer(id=8, advertiser_id=1, name="Hats", url="https://shop.example/", goals=(SALE,))),
)


def at(offset_ms: int) -> str:
    return times.from_ms(CLICKED_MS + offset_ms)


def _common(number: int, offset_ms: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "receipt_id": f"{EPOCH}-{number}",
        "transaction_id": TRANSACTION,
        "received_at": at(offset_ms),
        "occurred_at": at(offset_ms),
        "edge": "edge-1",
        "catalog_version": 1,
        **fields,
    }


def click(number: int = 1, offset_ms: int = 0, **fields: Any) -> Click:
    given = {"offer_id": 7, "affiliate_id": 42, "advertiser_id": 1, "aff_click_id": "abc", **fields}
    return Click(**_common(number, offset_ms, given))


def impression(number: int = 1, offset_ms: int = 0, **fields: Any) -> Impression:
    given = {"offer_id": 7, "affiliate_id": 42, "advertiser_id": 1, **fields}
    return Impression(**_common(number, offset_ms, given))


def pixel(number: int, offset_ms: int = HOUR, **fields: Any) -> Pixel:
    return Pixel(kind="pixel", **_common(number, offset_ms, fields))


def iframe(number: int, offset_ms: int = HOUR, **fields: Any) -> Pixel:
    return Pixel(kind="iframe", **_common(number, offset_ms, fields))


def postback(number: int, offset_ms: int = HOUR, **fields: Any) -> Postback:
    return Postback(kind="postback", **_common(number, offset_ms, fields))


def adjustment(number: int, offset_ms: int = DAY, **fields: Any) -> Adjustment:
    return Adjustment(kind="adjustment", **_common(number, offset_ms, {"stated_by": "Anna", **fields}))


def amount(text: str, currency: str = "USD") -> dict[str, Any]:
    return {"sale_amount": Decimal(text), "sale_currency": currency}


def history(*catalogs: Catalog) -> History:
    """These catalogs as versions 1, 2, …"""
    return History(
        CatalogVersion(version=number, applied_at=at(0), applied_by="test", catalog=catalog)
        for number, catalog in enumerate(catalogs or (CATALOG,), start=1)
    )


def with_offer(**fields: Any) -> Catalog:
    """The catalog with the offer 7 changed."""
    changed = msgspec.structs.replace(SHOES, **fields)
    return msgspec.structs.replace(CATALOG, offers=(changed, *CATALOG.offers[1:]))


def with_goal(goal: Goal = SALE, **fields: Any) -> Catalog:
    """The catalog with one goal of the offer 7 changed."""
    changed = msgspec.structs.replace(goal, **fields)
    return with_offer(goals=tuple(changed if one.id == goal.id else one for one in SHOES.goals))


def with_blog(**fields: Any) -> Catalog:
    """The catalog with the affiliate 42 changed."""
    changed = msgspec.structs.replace(BLOG, **fields)
    return msgspec.structs.replace(CATALOG, affiliates=(changed, *CATALOG.affiliates[1:]))


def term(**fields: Any) -> Term:
    return Term(payout=Price(percent=Decimal(9)), **fields)


def decide(*facts: AnyFact, catalogs: tuple[Catalog, ...] = ()) -> Decision:
    return decide_transaction(facts, history(*catalogs))


def conversions(*facts: AnyFact, goal: int = 0, catalogs: tuple[Catalog, ...] = ()) -> tuple[Conversion, ...]:
    """The conversions of a goal."""
    return decide(*facts, catalogs=catalogs).cases.get(goal, ())


def conversion(*facts: AnyFact, goal: int = 0, catalogs: tuple[Catalog, ...] = ()) -> Conversion:
    """The one conversion of a goal."""
    (only,) = conversions(*facts, goal=goal, catalogs=catalogs)
    return only
