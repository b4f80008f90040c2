"""What a catalog must keep to besides its shape: network, advertisers, affiliates, links.

A rule is a generator of findings; catalog_check runs them all. Offers and goals: catalog_offer_rules.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from ipaddress import ip_network
from typing import Final, Literal
from zoneinfo import ZoneInfo

from schemas import catalog_secrets, macros, money
from schemas.catalog import Catalog, PartnerCall
from schemas.catalog_complaints import Place, written_place

Finding = tuple[Literal["error", "warning"], Place, str]
Rule = Callable[[Catalog], Iterator[Finding]]

# The edge's own paths (vocabulary.md, contract.md): a link there would never be asked.
OWN_PATHS: Final = frozenset(
    {"/click", "/impression", "/pixel", "/iframe", "/postback", "/adjust"}
    | {"/aff_c", "/aff_i", "/aff_l", "/aff_lsr", "/aff_goal"}
    | {"/healthz", "/readyz", "/metrics"}
)
_LINK_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+", re.ASCII)


def error(place: Place, reason: str) -> Finding:
    """A finding that keeps the file from being applied."""
    return "error", place, reason


def warning(place: Place, reason: str) -> Finding:
    """A finding about what cannot work."""
    return "warning", place, reason


def no_duplicates(entries: Iterable[tuple[Hashable, Place]], what: str) -> Iterator[Finding]:
    """No two entries have the same key."""
    first: dict[Hashable, Place] = {}
    for key, place in entries:
        if key in first:
            yield error(place, f"{what} {key} is already at {written_place(first[key])}")
        first.setdefault(key, place)


def template(text: str, place: Place) -> Iterator[Finding]:
    """The text is a URL whose macros are all known."""
    try:
        macros.compile_template(text)
    except ValueError as fault:
        yield error(place, str(fault))


def time_zone(text: str, place: Place) -> Iterator[Finding]:
    """The text is an IANA time zone."""
    try:
        ZoneInfo(text)
    except (OSError, ValueError, KeyError):  # a folder of the database, a path, an unknown name
        yield error(place, f"unknown time zone {text!r}: an IANA name such as Europe/Berlin is expected")


def currency(code: str, place: Place) -> Iterator[Finding]:
    """The code is an active ISO 4217 currency."""
    if not money.is_currency(code):
        yield error(place, f"unknown currency {code!r}: an ISO 4217 code in capitals is expected")


def network(catalog: Catalog) -> Iterator[Finding]:
    """Time zone, default URL and exchange rates."""
    place: Place = ("network",)
    yield from time_zone(catalog.network.time_zone, (*place, "time_zone"))
    if catalog.network.default_url:
        yield from template(catalog.network.default_url, (*place, "default_url"))
    rates = [(rate, (*place, "rates", n)) for n, rate in enumerate(catalog.network.rates)]
    for rate, at in rates:
        yield from currency(rate.from_, (*at, "from"))
        yield from currency(rate.to, (*at, "to"))
        if rate.from_ == rate.to:
            yield error(at, f"a rate from {rate.from_} to itself")
        if not rate.rate:
            yield error((*at, "rate"), "a rate of 0 would make money vanish")
    keys = [(f"{rate.from_} to {rate.to} since {rate.since}", at) for rate, at in rates]
    yield from no_duplicates(keys, "the rate")


def advertisers(catalog: Catalog) -> Iterator[Finding]:
    """IDs, time zones, and what their postbacks prove themselves with."""
    entries = [(one, ("advertisers", n)) for n, one in enumerate(catalog.advertisers)]
    yield from no_duplicates(((one.id, (*place, "id")) for one, place in entries), "advertiser")
    for one, place in entries:
        if one.time_zone:
            yield from time_zone(one.time_zone, (*place, "time_zone"))
        words = [(word.strip().casefold(), (*place, "status_words", word)) for word in one.status_words]
        yield from no_duplicates(words, "in any case, the word")
        keys = [(key, (*place, "postback", "keys", n)) for n, key in enumerate(one.postback.keys)]
        yield from no_duplicates(((key.id, (*at, "id")) for key, at in keys), "key")
        for key, at in keys:
            if not catalog_secrets.is_reference(key.secret):
                advice = "write where it lies, `env:NAME` or `file:PATH`: the catalog is published"
                yield error((*at, "secret"), f"a signing key must not stand in the catalog: {advice}")
        yield from _token(one.postback.token, (*place, "postback", "token"))
        for n, text in enumerate(one.postback.allow_from):
            yield from _cidr(text, (*place, "postback", "allow_from", n))


def _token(token: str, place: Place) -> Iterator[Finding]:
    if token.startswith(("env:", "file:")) and not catalog_secrets.is_reference(token):
        yield error(place, "names no place of a secret: `env:NAME` or `file:PATH`")
    elif token and not catalog_secrets.is_reference(token) and len(token) < catalog_secrets.SHORT_TOKEN:
        advice = f"{catalog_secrets.SHORT_TOKEN} random characters, or write it as `env:NAME`"
        yield warning(place, f"so short a token can be guessed from its published hash: take {advice}")


def _cidr(text: str, place: Place) -> Iterator[Finding]:
    try:
        ip_network(text)
    except ValueError as fault:
        yield error(place, f"no network such as 203.0.113.0/24: {fault}")


def affiliates(catalog: Catalog) -> Iterator[Finding]:
    """IDs, and their postbacks and pixels."""
    entries = [(one, ("affiliates", n)) for n, one in enumerate(catalog.affiliates)]
    yield from no_duplicates(((one.id, (*place, "id")) for one, place in entries), "affiliate")
    offers = {offer.id for offer in catalog.offers}
    goals = {goal.id for offer in catalog.offers for goal in offer.goals}
    for one, place in entries:
        postbacks = [(call, (*place, "postbacks", n)) for n, call in enumerate(one.postbacks)]
        yield from no_duplicates(((call.subscription, at) for call, at in postbacks), "the postback")
        calls: list[tuple[PartnerCall, Place]] = [*postbacks]
        calls += [(call, (*place, "pixels", n)) for n, call in enumerate(one.pixels)]
        for call, at in calls:
            yield from template(call.url, (*at, "url"))
            yield from _known(call.offers, offers, "offer", (*at, "offers"))
            yield from _known(call.goals, goals, "goal", (*at, "goals"))
        for postback, at in postbacks:
            if not postback.on:
                yield error((*at, "on"), "is called on nothing: name a status")


def _known(ids: Iterable[int], known: set[int], what: str, place: Place) -> Iterator[Finding]:
    for n, number in enumerate(ids):
        if number not in known:
            yield error((*place, n), f"there is no {what} {number}")


def links(catalog: Catalog) -> Iterator[Finding]:
    """Other platforms' links lead to something that is there, and hide nothing of ours."""
    entries = [(link, ("links", n)) for n, link in enumerate(catalog.links)]
    yield from no_duplicates(((link.path, (*place, "path")) for link, place in entries), "the path")
    for link, place in entries:
        if not _LINK_PATH.fullmatch(link.path):
            yield error((*place, "path"), "no path: it begins with `/` and has no query and no blank")
        if link.path in OWN_PATHS:
            yield error((*place, "path"), "this path is the collector's own")
        offer = catalog.offer(link.offer_id)
        if offer is None:
            yield error((*place, "offer_id"), f"there is no offer {link.offer_id}")
        elif link.url_id and offer.landing_page(link.url_id) is None:
            yield error((*place, "url_id"), f"offer {offer.id} has no landing page {link.url_id}")
        if catalog.affiliate(link.affiliate_id) is None:
            yield error((*place, "affiliate_id"), f"there is no affiliate {link.affiliate_id}")
        elif offer is not None and not catalog.approves(offer, link.affiliate_id):
            yield warning(place, f"affiliate {link.affiliate_id} is not approved for offer {offer.id}")


RULES: Final[tuple[Rule, ...]] = (network, advertisers, affiliates, links)
