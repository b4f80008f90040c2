"""What a person is told before a catalog is applied."""

import time
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from console.catalog_changes import MOST, changes, counted, summary
from schemas.catalog import Affiliate, Catalog, Goal, Offer, Price, Term
from schemas.money import Rate
from tests.ingest.fakes import CATALOG

replace = msgspec.structs.replace
SHOES = CATALOG.offers[0]


def with_offer(**fields: Any) -> Catalog:
    return replace(CATALOG, offers=(replace(SHOES, **fields), *CATALOG.offers[1:]))


def lines(new: Catalog, old: Catalog = CATALOG) -> list[str]:
    return [f"{change.rank}: {change.entry}: {change.told}" for change in changes(old, new)]


def test_a_pause_is_told() -> None:
    assert lines(with_offer(status="paused")) == ["status: offer 7 (Shoes & more): status active -> paused"]


def test_prices_are_told_by_goal() -> None:
    sale, lead = SHOES.goals
    new = with_offer(goals=(replace(sale, payout=Price(percent=Decimal(9))), replace(lead, status="paused")))
    assert lines(new) == [
        "status: offer 7 (Shoes & more): goal 12 status active -> paused",
        "price: offer 7 (Shoes & more): goal 0 payout percent 8 -> 9",
    ]
    more = with_offer(goals=(*SHOES.goals, Goal(id=13, name="more")))
    assert lines(more) == ["other: offer 7 (Shoes & more): goal 13 added"]
    rate = Rate(from_="EUR", to="USD", rate=Decimal("1.10"), since=date(2026, 11, 1))
    old, new = (
        replace(CATALOG, network=replace(CATALOG.network, rates=(one,)))
        for one in (rate, replace(rate, rate=Decimal("1.2")))
    )
    assert lines(new, old) == ["price: network: rate 0 rate 1.10 -> 1.2"]
    assert lines(new) == ["price: network: rate 0 added"]


def test_a_term_is_told_by_its_place() -> None:
    terms = [(Term(affiliate=(42,), payout=Price(percent=Decimal(n))),) for n in (8, 9)]
    old, new = (with_offer(goals=(replace(SHOES.goals[0], terms=each), SHOES.goals[1])) for each in terms)
    assert lines(new, old) == ["price: offer 7 (Shoes & more): goal 0 term 0 payout percent 8 -> 9"]


def test_what_comes_and_goes_is_told_and_the_weightiest_is_first() -> None:
    new = replace(
        CATALOG,
        offers=(replace(SHOES, name="Boots"), CATALOG.offers[2], replace(CATALOG.offers[1], id=10)),
        affiliates=(replace(CATALOG.affiliates[0], status="blocked"), *CATALOG.affiliates[1:]),
        links=(),
    )
    assert lines(new) == [
        "status: affiliate 42 (Running Blog): status active -> blocked",
        "removed: offer 8 (Old): removed",
        "removed: link /ABC123/2CTPL: removed",
        "added: offer 10 (Old): added, paused",
        "other: offer 7 (Boots): name Shoes & more -> Boots",
    ]


def test_a_secret_is_not_shown() -> None:
    advertiser = CATALOG.advertisers[0]
    postback = replace(advertiser.postback, token="sha256:" + "0" * 64)
    new = replace(CATALOG, advertisers=(replace(advertiser, postback=postback), *CATALOG.advertisers[1:]))
    assert lines(new) == ["other: advertiser 1 (Shoe Shop): postback token changed"]


def test_the_summary_is_bounded_and_the_same_again_changes_nothing() -> None:
    many = tuple(Affiliate(id=n, name=str(n)) for n in range(100, 100 + MOST + 5))
    told = summary(CATALOG, replace(CATALOG, affiliates=(*CATALOG.affiliates, *many)))
    assert (told[0], len(told), told[-1]) == (
        f"{MOST + 5} changes: {MOST + 5} added",
        MOST + 2,
        "… and 5 more",
    )
    assert summary(CATALOG, replace(CATALOG)) == []
    assert counted([]) == "0 changes"
    assert summary(None, CATALOG) == ["the first catalog: 3 offers, 3 affiliates, 2 advertisers, 1 link"]


def test_ten_thousand_offers_are_compared_in_a_moment() -> None:
    one = Offer(id=1, advertiser_id=1, name="one", url="https://a.example/")
    old, new = (
        replace(CATALOG, offers=tuple(replace(one, id=n) for n in range(1, 10_001))) for _ in range(2)
    )
    began = time.process_time()
    assert changes(old, new) == []
    assert time.process_time() - began < 1.0
