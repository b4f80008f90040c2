"""What offers and goals must keep to besides their shape, and what of them cannot work."""

import re
from collections.abc import Iterator
from typing import Final

from schemas import durations
from schemas.catalog import Catalog, Derived, Goal, Offer, Price
from schemas.catalog_complaints import Place
from schemas.catalog_rules import Finding, Rule, currency, error, no_duplicates, template, warning
from schemas.catalog_secrets import is_reference
from schemas.topics import CLICK_WINDOW_DAYS, DAY_MS, VIEW_WINDOW_DAYS

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.ASCII)
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)


def ids(catalog: Catalog) -> Iterator[Finding]:
    """Offers have IDs of their own; so have goals over the whole catalog, but for each offer's goal 0."""
    yield from no_duplicates(
        ((offer.id, ("offers", n, "id")) for n, offer in enumerate(catalog.offers)), "offer"
    )
    goals = [
        (goal, ("offers", n, "goals", m))
        for n, o in enumerate(catalog.offers)
        for m, goal in enumerate(o.goals)
    ]
    yield from no_duplicates(((goal.id, (*place, "id")) for goal, place in goals if goal.id), "goal")
    for n, offer in enumerate(catalog.offers):
        zeros = [(0, ("offers", n, "goals", m, "id")) for m, goal in enumerate(offer.goals) if not goal.id]
        yield from no_duplicates(zeros, "the offer's default goal")


def offers(catalog: Catalog) -> Iterator[Finding]:
    """Each offer by itself: URLs, hosts, affiliates, times, proof."""
    for n, offer in enumerate(catalog.offers):
        place: Place = ("offers", n)
        if catalog.advertiser(offer.advertiser_id) is None:
            yield error((*place, "advertiser_id"), f"there is no advertiser {offer.advertiser_id}")
        yield from _urls(offer, place)
        yield from _permissions(catalog, offer, place)
        yield from _duration(offer.click_window, (*place, "click_window"), CLICK_WINDOW_DAYS)
        yield from _duration(offer.view_window, (*place, "view_window"), VIEW_WINDOW_DAYS)
        yield from _duration(offer.min_time, (*place, "min_time"))
        yield from _proof(catalog, offer, place)


def _urls(offer: Offer, place: Place) -> Iterator[Finding]:
    yield from template(offer.url, (*place, "url"))
    if offer.fallback_url:
        yield from template(offer.fallback_url, (*place, "fallback_url"))
    pages = [(page, (*place, "landing_pages", n)) for n, page in enumerate(offer.landing_pages)]
    yield from no_duplicates(((page.id, (*at, "id")) for page, at in pages), "landing page")
    for page, at in pages:
        yield from template(page.url, (*at, "url"))
    for n, host in enumerate(offer.hosts):
        if not _HOST.fullmatch(host):
            advice = (
                "a name in small letters, alone or below `*.`, without scheme, port and path, is expected"
            )
            yield error((*place, "hosts", n), f"no host {host[:80]!r}: {advice}")


def _permissions(catalog: Catalog, offer: Offer, place: Place) -> Iterator[Finding]:
    if offer.affiliates == "all":
        return
    entries = [(one, (*place, "affiliates", n, "id")) for n, one in enumerate(offer.affiliates)]
    yield from no_duplicates(((one.id, at) for one, at in entries), "affiliate")
    for one, at in entries:
        if catalog.affiliate(one.id) is None:
            yield error(at, f"there is no affiliate {one.id}")


def _duration(text: str, place: Place, kept_days: int | None = None) -> Iterator[Finding]:
    """A duration; of a window, none that outlasts the visits that it looks back to."""
    try:
        ms = durations.to_ms(text)
    except ValueError as fault:
        yield error(place, str(fault))
        return
    if kept_days is not None and ms > kept_days * DAY_MS:
        reason = f"longer than {kept_days}d, which is how long a visit is kept: nothing later is credited"
        yield error(place, reason)


def _proof(catalog: Catalog, offer: Offer, place: Place) -> Iterator[Finding]:
    advertiser = catalog.advertiser(offer.advertiser_id)
    if advertiser is None or offer.proof in ("", "none"):
        return
    field = {"signature": "keys", "token": "token", "allow_from": "allow_from"}[offer.proof]
    if not getattr(advertiser.postback, field):
        reason = f"advertiser {advertiser.id} has no postback.{field}, so no postback could prove itself"
        yield error((*place, "proof"), reason)


def goals(catalog: Catalog) -> Iterator[Finding]:
    """Each goal by itself: names, prices, currencies, terms."""
    tiers = {affiliate.tier for affiliate in catalog.affiliates}
    for n, offer in enumerate(catalog.offers):
        yield from _goal_names(offer, ("offers", n, "goals"))
        for m, goal in enumerate(offer.goals):
            place: Place = ("offers", n, "goals", m)
            yield from _duration(goal.dedupe_window, (*place, "dedupe_window"))
            yield from _prices(goal, place)
            yield from _currencies(catalog, goal, place)
            yield from _terms(catalog, goal, tiers, place)


def _goal_names(offer: Offer, place: Place) -> Iterator[Finding]:
    """No word means two goals: what `goal_id=…` names must be one goal or none."""
    words: list[tuple[str, int, Place]] = []
    for n, goal in enumerate(offer.goals):
        words.append((str(goal.id), goal.id, (*place, n, "id")))
        words.append((goal.name.strip().casefold(), goal.id, (*place, n, "name")))
        words += [
            (a.strip().casefold(), goal.id, (*place, n, "aliases", m)) for m, a in enumerate(goal.aliases)
        ]
    meant: dict[str, int] = {}
    for word, goal_id, at in words:
        if meant.setdefault(word, goal_id) != goal_id:
            yield error(at, f"`{word}` names goal {meant[word]} of this offer as well")


def _prices(goal: Goal, place: Place) -> Iterator[Finding]:
    prices: list[tuple[Price | None, Place]]
    prices = [(goal.payout, (*place, "payout")), (goal.revenue, (*place, "revenue"))]
    for n, term in enumerate(goal.terms):
        prices += [
            (term.payout, (*place, "terms", n, "payout")),
            (term.revenue, (*place, "terms", n, "revenue")),
        ]
    for price, at in prices:
        if price is not None and price.percent > 100:  # noqa: PLR2004  more than the whole
            yield warning((*at, "percent"), f"{price.percent} percent is more than the sale")


def _currencies(catalog: Catalog, goal: Goal, place: Place) -> Iterator[Finding]:
    for name in ("currency", "payout_currency", "revenue_currency"):
        if code := getattr(goal, name):
            yield from currency(code, (*place, name))
    stated = {goal.currency, goal.payout_currency, goal.revenue_currency} - {""}
    known = {(rate.from_, rate.to) for rate in catalog.network.rates}
    for name, target in (("payout", goal.paid_in), ("revenue", goal.billed_in)):
        prices = _all_prices(goal, name)
        if any(price.fixed or price.percent for price in prices) and not target:
            yield error(place, f"a {name} needs `currency` or `{name}_currency`")
        if target and any(price.percent for price in prices):
            for source in sorted(stated - {target}):
                if (source, target) not in known:
                    reason = f"a sale in {source} has no {name} in {target}: network.rates has no such rate"
                    yield warning(place, reason)


def _all_prices(goal: Goal, name: str) -> list[Price]:
    prices = [getattr(goal, name), *(getattr(term, name) for term in goal.terms)]
    return [price for price in prices if price is not None]


def _terms(catalog: Catalog, goal: Goal, tiers: set[str], place: Place) -> Iterator[Finding]:
    for n, term in enumerate(goal.terms):
        at: Place = (*place, "terms", n)
        if term.payout is None and term.revenue is None:
            yield error(at, "overrides nothing: give payout, revenue or both")
        conditions = (term.affiliate, term.tier, term.country, term.device, term.source)
        if not any(conditions) and n < len(goal.terms) - 1:
            yield warning(at, "has no condition, so the terms after it never apply")
        for m, number in enumerate(term.affiliate):
            if catalog.affiliate(number) is None:
                yield warning((*at, "affiliate", m), f"there is no affiliate {number}, so it never applies")
        for m, code in enumerate(term.country):
            if not _COUNTRY.fullmatch(code):
                yield error((*at, "country", m), f"no ISO 3166 code of two capitals: {code[:20]!r}")
        for tier in term.tier:
            if tier not in tiers:
                yield warning((*at, "tier"), f"no affiliate has the tier {tier!r}")


def workable(catalog: Catalog) -> Iterator[Finding]:
    """What an active offer lacks to bring one paid conversion."""
    active = {one.id for one in catalog.affiliates if one.status == "active"}
    if not catalog.offers:
        yield warning((), "has no offers: every click is refused")
    for n, offer in enumerate(catalog.offers):
        if not offer.is_active:
            continue
        place: Place = ("offers", n)
        if not any(goal.status == "active" for goal in offer.goals):
            yield warning(place, "is active but has no active goal: nothing can be converted")
        elif offer.goal(0) is None:
            yield warning((*place, "goals"), "has no goal 0: a conversion that names no goal is rejected")
        admitted = (
            active if offer.affiliates == "all" else {o.id for o in offer.affiliates if offer.admits(o.id)}
        )
        if not admitted & active:
            yield warning((*place, "affiliates"), "is active but no active affiliate is approved for it")
        yield from _tracking(offer, place)
        proof = catalog.required_proof(offer)
        if not offer.proof and proof == "none" and "postback" in offer.tracking:
            reason = "its advertiser has no key, token or network, so anyone's postback counts"
            yield warning((*place, "proof"), f'{reason}; write proof = "none" if that is meant')


def _tracking(offer: Offer, place: Place) -> Iterator[Finding]:
    if "postback" not in offer.tracking:
        for n, goal in enumerate(offer.goals):
            if goal.confirm == "postback":
                yield warning(
                    (*place, "goals", n, "confirm"), "waits for postbacks, which the offer does not track"
                )
    for url, at in _urls_of(offer, place):
        if offer.tracking == ("postback",) and offer.identifier == "random" and "{transaction_id}" not in url:
            yield warning(at, "has no {transaction_id}, so the shop has none to post back")


def pixels(catalog: Catalog) -> Iterator[Finding]:
    """An affiliate's pixel shows inside our iframe only: it cannot fire for offers that track without one."""
    for n, affiliate in enumerate(catalog.affiliates):
        for m, pixel in enumerate(affiliate.pixels):
            run = [
                o
                for o in catalog.offers
                if o.admits(affiliate.id) and (not pixel.offers or o.id in pixel.offers)
            ]
            without = [offer.id for offer in run if "iframe" not in offer.tracking]
            if without and (pixel.offers or len(without) == len(run)):
                named = ", ".join(map(str, without[:10]))
                reason = f"cannot fire for what tracks without an iframe (offer {named}): use a postback"
                yield warning(("affiliates", n, "pixels", m), reason)


def derived(catalog: Catalog) -> Iterator[Finding]:
    """No variable is named twice, no key stands in the file, and no URL asks for what is not kept."""
    for n, offer in enumerate(catalog.offers):
        if not isinstance(offer.identifier, Derived):
            continue
        at: Place = ("offers", n, "identifier")
        names = offer.identifier.derived
        yield from no_duplicates(((name, (*at, "derived", m)) for m, name in enumerate(names)), "variable")
        if offer.identifier.key and not is_reference(offer.identifier.key):
            advice = "write where it lies, `env:NAME` or `file:PATH`: the catalog is published"
            yield error((*at, "key"), f"the key must not stand in the catalog: {advice}")
        yield from _addresses(offer, ("offers", n))


def _addresses(offer: Offer, place: Place) -> Iterator[Finding]:
    """Where the address identifies the customer it is kept nowhere, and no URL that is kept holds it."""
    if isinstance(offer.identifier, Derived) and "ip" in offer.identifier.derived:
        for url, at in _urls_of(offer, place):
            if "{ip}" in url or "{session_ip}" in url:
                yield warning(
                    at, "{ip} stays empty: the address is this offer's identifier, and kept nowhere"
                )


def _urls_of(offer: Offer, place: Place) -> list[tuple[str, Place]]:
    urls: list[tuple[str, Place]] = [(offer.url, (*place, "url"))]
    return urls + [
        (page.url, (*place, "landing_pages", n, "url")) for n, page in enumerate(offer.landing_pages)
    ]


RULES: Final[tuple[Rule, ...]] = (ids, offers, goals, derived, workable, pixels)
