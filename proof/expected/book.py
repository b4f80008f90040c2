"""What the catalog says, read plainly: offers, goals, words, windows, rates; versions are asked by number."""

from collections.abc import Mapping
from decimal import Decimal

from proof.expected.words import UNRESOLVED, Statement, Visit
from schemas.catalog import Advertiser, Affiliate, Catalog, Goal, Offer

Catalogs = Mapping[int, Catalog]


def in_force(catalogs: Catalogs, visit: Visit | None, said: Statement) -> tuple[int, Catalog]:
    """Rule 5: the greater of the versions that a visit and a statement name."""
    version = max(visit.catalog_version if visit else 0, said.catalog_version)
    return version, catalogs[version]


def offer_in(catalog: Catalog, offer_id: int) -> Offer | None:
    """The offer with this ID."""
    return next((one for one in catalog.offers if one.id == offer_id), None)


def goal_in(offer: Offer | None, goal_id: int) -> Goal | None:
    """The offer's goal with this ID."""
    return next((one for one in offer.goals if one.id == goal_id), None) if offer else None


def advertiser_in(catalog: Catalog, advertiser_id: int) -> Advertiser | None:
    """The advertiser with this ID."""
    return next((one for one in catalog.advertisers if one.id == advertiser_id), None)


def affiliate_in(catalog: Catalog, affiliate_id: int) -> Affiliate | None:
    """The affiliate with this ID."""
    return next((one for one in catalog.affiliates if one.id == affiliate_id), None)


def at_the_edge(catalog: Catalog, offer_id: int, word: str) -> int:
    """The goal that the edge takes a word for: it knows the offer that is stated, and no other."""
    word = word.strip()
    if not word:
        return 0
    if word.isascii() and word.isdigit():
        return int(word)
    goal = named_goal(offer_in(catalog, offer_id), word)
    return goal.id if goal else UNRESOLVED


def named_goal(offer: Offer | None, word: str) -> Goal | None:
    """The goal that a word means in any case: a name comes before an alias."""
    word = word.strip().casefold()
    goals = offer.goals if offer else ()
    for goal in goals:
        if word == goal.name.strip().casefold():
            return goal
    aliases = ((goal, alias.strip().casefold()) for goal in goals for alias in goal.aliases)
    return next((goal for goal, alias in aliases if word == alias), None)


def meaning(catalog: Catalog, offer: Offer | None, word: str) -> str | None:
    """The status that the advertiser's word means; None for a word that nobody knows."""
    word = word.strip().casefold()
    advertiser = advertiser_in(catalog, offer.advertiser_id) if offer else None
    for own, status in (advertiser.status_words if advertiser else {}).items():
        if own.strip().casefold() == word:
            return status
    return word if word in {"approved", "pending", "rejected"} else None


def currency_of(goal: Goal | None, side: str) -> str:
    """The goal's currency of payout or revenue."""
    if goal is None:
        return ""
    return (goal.payout_currency if side == "payout" else goal.revenue_currency) or goal.currency


def rate_on(catalog: Catalog, source: str, target: str, day: str) -> Decimal | None:
    """The rate in force on that day; None where the catalog has none."""
    if source == target:
        return Decimal(1)
    known = [rate for rate in catalog.network.rates if (rate.from_, rate.to) == (source, target)]
    past = [rate for rate in known if rate.since.isoformat() <= day]
    return max(past, key=lambda rate: rate.since).rate if past else None
