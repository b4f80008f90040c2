"""Rule 5: what the terms give, what the network stated instead, and what cannot be told."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from proof.expected.book import affiliate_in, currency_of, rate_on
from proof.expected.merge import last_of
from proof.expected.words import Heard, Visit
from schemas import times
from schemas.catalog import Catalog, Goal, Price
from schemas.money import rounded
from schemas.reasons import Reason

ZERO, ONE = Decimal(0), Decimal(1)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """Payout or revenue: what is owed once approved, what the terms give, by which price and rate."""

    owed: Decimal = ZERO
    nominal: Decimal = ZERO
    currency: str = ""
    rule: str = ""
    rate: Decimal = Decimal(0)
    lacking: int = 0


def side_of(
    side: str, speaking: Sequence[Heard], made_by: Heard, goal: Goal | None, catalog: Catalog
) -> Side:
    """What is owed on one side. Nothing without a visit or a goal."""
    visit = made_by.visit
    if visit is None or goal is None:
        return Side()
    stated = last_of(speaking, side)
    found = _by_terms(side, speaking, made_by, visit, goal, catalog)
    if isinstance(stated, Decimal):
        owed = rounded(stated, found.currency) if found.currency else stated
        return msgspec.structs.replace(found, owed=owed, rule="adjustment", lacking=0)
    return found


def _by_terms(
    side: str, speaking: Sequence[Heard], made_by: Heard, visit: Visit, goal: Goal, catalog: Catalog
) -> Side:
    rule, price = _price(catalog, goal, side, visit)
    currency = currency_of(goal, side)
    amount, source = sale(speaking, goal)
    rate: Decimal | None = ONE
    if price.percent and amount:
        day = times.from_ms(made_by.said.occurred_ms)[:10]
        rate = rate_on(catalog, source, currency, day)
    if rate is None:
        return Side(currency=currency, rule=rule, rate=ONE, lacking=Reason.NO_EXCHANGE_RATE)
    exact = price.fixed + (amount or ZERO) * price.percent * rate / 100
    try:
        nominal = rounded(exact, currency) if exact else ZERO
    except ValueError:
        return Side(currency=currency, rule=rule, rate=ONE, lacking=Reason.OVER_LIMIT)
    return Side(owed=nominal, nominal=nominal, currency=currency, rule=rule, rate=rate)


def sale(speaking: Sequence[Heard], goal: Goal | None) -> tuple[Decimal | None, str]:
    """The order's total and its currency, the payout's where none was stated."""
    amount = last_of(speaking, "amount")
    by_server = any(one.said.kind == "postback" and one.said.amount is not None for one in speaking)
    currencies = [one for one in speaking if not by_server or one.said.kind not in {"pixel", "iframe"}]
    currency = str(last_of(currencies, "currency") or "").upper()
    if not isinstance(amount, Decimal):
        return None, currency
    return amount, currency or currency_of(goal, "payout")


def _price(catalog: Catalog, goal: Goal, side: str, visit: Visit) -> tuple[str, Price]:
    """That of the first term whose conditions all hold; what this one leaves out, the goal's."""
    affiliate = affiliate_in(catalog, visit.affiliate_id)
    own: Price = getattr(goal, side)
    for number, term in enumerate(goal.terms):
        asked = [
            (term.affiliate, visit.affiliate_id),
            (term.tier, affiliate.tier if affiliate else ""),
            (term.country, visit.country),
            (term.device, visit.device),
            (term.source, visit.source),
        ]
        if all(not wanted or is_ in wanted for wanted, is_ in asked):
            price: Price | None = getattr(term, side)
            return ("goal", own) if price is None else (f"terms[{number}]", price)
    return "goal", own
