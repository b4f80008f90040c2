"""Catalogs drawn by chance: every setting that a rule reads, most of them as a network would leave them."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from schemas.catalog import (
    Advertiser,
    Affiliate,
    Catalog,
    Goal,
    Key,
    Network,
    Offer,
    PartnerPostback,
    Permission,
    PostbackProofs,
    Price,
    Term,
)
from schemas.money import Rate

SHOES, HATS = 7, 8  # the offer of the visits, and another
SALE, LEAD = 0, 5

CHANGED: Final = 0.12  # of the settings, in the second version
MANY: Final = 0.15  # of the catalogs: the goal repeats; with the chance above about a quarter
STRICT: Final = 0.02  # of the catalogs: a sale may come too late and too soon
USUAL: Final = 0.85  # of the settings are as a network would leave them

_PERCENT: Final = Price(percent=Decimal(8))
_BOTH: Final = Price(fixed=Decimal("0.15"), percent=Decimal("3.3333"))
_TERMS: Final = (
    (),
    (Term(affiliate=(43,), payout=_BOTH),),
    (Term(tier=("gold",), payout=Price(percent=Decimal(10))), Term(country=("DE",), revenue=_BOTH)),
    (
        Term(device=("mobile",), country=("DE", "AT"), payout=_BOTH, revenue=Price(fixed=Decimal(2))),
        Term(source=("blog",), payout=Price()),
    ),
)

# What may be set, the usual value first.
GOAL: Final[Mapping[str, Sequence[Any]]] = {
    "status": ("active", "paused"),
    "payout": (_PERCENT, Price(), Price(fixed=Decimal("2.00")), _BOTH, Price(percent=Decimal(100_000))),
    "revenue": (Price(percent=Decimal(10)), Price(), Price(fixed=Decimal("1.005"))),
    "payout_currency": ("", "EUR", "JPY"),
    "revenue_currency": ("", "EUR"),
    "terms": _TERMS,
    "repeat": ("once", "many", "many"),
    "dedupe_window": ("10m", "1m", "0s"),
    "approval": ("auto", "manual"),
    "confirm": ("any", "postback"),
}
OFFER: Final[Mapping[str, Sequence[Any]]] = {
    "status": ("active", "paused"),
    "tracking": (("postback", "iframe", "pixel"), ("postback",), ("pixel", "iframe"), ("postback", "pixel")),
    "proof": ("none", "", "allow_from", "token", "signature"),
    "click_window": ("30d", "7d", "1h"),
    "view_window": ("24h", "1h"),
    "min_time": ("0s", "1m", "2h"),
    "bots": ("pending", "count"),
    "affiliates": (
        "all",
        (Permission(id=42), Permission(id=43, status="pending")),
        (Permission(id=42, status="rejected"), Permission(id=43)),
    ),
}
_PROOFS: Final = (
    PostbackProofs(),
    PostbackProofs(keys=(Key(id="k1", secret="env:KEY"),), token="t"),  # noqa: S106  no secret: names of secrets
    PostbackProofs(token="t", allow_from=("203.0.113.0/24",)),  # noqa: S106
    PostbackProofs(allow_from=("203.0.113.0/24",)),
)
ADVERTISER: Final[Mapping[str, Sequence[Any]]] = {
    "status_words": (
        {"ok": "approved", "Cancelled": "rejected", "open": "pending"},
        {"ok": "pending", "approved": "rejected"},
        {},
    ),
    "postback": _PROOFS,
}
AFFILIATE: Final[Mapping[str, Sequence[Any]]] = {
    "status": ("active", "pending", "blocked"),
    "tier": ("gold", ""),
}
RATES: Final[Mapping[str, Sequence[Any]]] = {
    "rates": (
        (("EUR", "USD", "1.10", 1), ("EUR", "USD", "1.2345", 20), ("USD", "EUR", "0.909091", 1)),
        (("EUR", "USD", "1.10", 20),),
        (),
    )
}
THERE: Final[Mapping[str, Sequence[Any]]] = {"there": (True, True, True, True, False)}

Drawn = dict[str, Any]
Settings = dict[str, Drawn]

_TABLES: Final[Mapping[str, Mapping[str, Sequence[Any]]]] = {
    "sale": GOAL,
    "lead": GOAL,
    "offer": OFFER,
    "advertiser": ADVERTISER,
    "affiliate": AFFILIATE,
    "network": RATES,
    "sale itself": THERE,
    "lead itself": THERE,
    "offer itself": THERE,
}


def settings(chance: random.Random) -> tuple[Settings, Settings]:
    """What two versions of a catalog say; the later differs in some."""
    first = {
        table: {name: _drawn(chance, values) for name, values in rows.items()}
        for table, rows in _TABLES.items()
    }
    if chance.random() < MANY:
        first["sale"]["repeat"] = "many"
    if chance.random() < STRICT:
        first["offer"] |= {"click_window": "1h", "min_time": "2h"}
    later = {
        table: {
            name: chance.choice(values) if chance.random() < CHANGED else first[table][name]
            for name, values in rows.items()
        }
        for table, rows in _TABLES.items()
    }
    return first, later


def count(counts: Counter[str], drawn: Settings) -> None:
    """Each setting that came up is counted, by name and value."""
    for table, rows in drawn.items():
        for name, value in rows.items():
            counts[f"{table}.{name} = {_TABLES[table][name].index(value)}"] += 1


def every_setting() -> set[str]:
    """The names by which they are counted."""
    return {
        f"{table}.{name} = {values.index(value)}"
        for table, rows in _TABLES.items()
        for name, values in rows.items()
        for value in values
    }


def _drawn(chance: random.Random, values: Sequence[Any]) -> Any:
    return values[0] if chance.random() < USUAL else chance.choice(values)


def catalog(drawn: Settings, identifier: Any) -> Catalog:
    """The catalog that says so; its main offer has this kind of identifier."""
    goals = [
        Goal(id=number, name=name, aliases=aliases, currency="USD", **drawn[name])
        for number, name, aliases in ((SALE, "sale", ("purchase",)), (LEAD, "lead", ("sign up",)))
        if drawn[f"{name} itself"]["there"]
    ]
    offer = {"advertiser_id": 1, "url": "https://shop.example/", "identifier": identifier}
    shoes = Offer(id=SHOES, name="Shoes", goals=tuple(goals), **offer, **drawn["offer"])
    hats = Offer(
        id=HATS, advertiser_id=2, name="Hats", url="https://hats.example/",
        goals=(Goal(id=SALE, name="hat", aliases=("sale",)), Goal(id=6, name="lead")),
    )  # fmt: skip
    call = PartnerPostback(url="https://tracker.example/cb?cid={aff_click_id}", on=("approved", "rejected"))
    return Catalog(
        network=Network(rates=tuple(_rate(*each) for each in drawn["network"]["rates"])),
        advertisers=(
            Advertiser(id=1, name="Shoe Shop", **drawn["advertiser"]),
            Advertiser(id=2, name="Hatter", status_words={"fine": "approved"}),
        ),
        affiliates=(
            Affiliate(id=42, name="Running Blog", postbacks=(call,), **drawn["affiliate"]),
            Affiliate(id=43, name="Price Radar"),
        ),
        offers=(*((shoes,) if drawn["offer itself"]["there"] else ()), hats),
    )


def _rate(source: str, target: str, rate: str, day: int) -> Rate:
    return Rate(from_=source, to=target, rate=Decimal(rate), since=date(2026, 11, day))
