"""What a conversion is worth: rule 5 of streams.rules.decide."""

from decimal import Context, Decimal, Inexact
from typing import Final

import msgspec

from schemas import money
from schemas.catalog import Catalog, Goal, Price, Term
from schemas.facts import Click, Impression
from schemas.reasons import Reason
from streams.rules.permission import Objection

ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)


# The default context would round a second time, at 28 digits.
_EXACT: Final = Context(prec=100, traps=[Inexact])


class Sale(msgspec.Struct, frozen=True):
    """What was stated of the order.

    amount: its total, None where nobody stated one. currency: the amount's. day: `YYYY-MM-DD`, UTC.
    payout, revenue: what the network states is owed, None where it leaves that to the terms.
    """

    amount: Decimal | None
    currency: str
    day: str
    payout: Decimal | None = None
    revenue: Decimal | None = None


class Side(msgspec.Struct, frozen=True):
    """What one side gets or pays.

    nominal: what the terms give, in whole minor units. owed: what an approved conversion owes.
    rule: which price that is: `goal`, `terms[N]`, or `adjustment` where the network stated it.
    rate: from the sale's currency to this one, 1 where nothing was converted.
    fault: why it cannot be told; it is then 0.
    """

    nominal: Decimal
    owed: Decimal
    currency: str
    rule: str
    rate: Decimal = ONE
    fault: Objection | None = None


class Quote(msgspec.Struct, frozen=True):
    """What a conversion is worth: the payout to the affiliate and the revenue from the advertiser."""

    payout: Side
    revenue: Side

    @property
    def fault(self) -> Objection | None:
        """Why one of the two cannot be told."""
        return self.payout.fault or self.revenue.fault


class _Untold(ValueError):
    """An amount that cannot be told, and why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.objection = Objection(reason, detail)


def quote(goal: Goal, visit: Click | Impression, sale: Sale, catalog: Catalog) -> Quote:
    """The prices of the first term whose conditions all hold, and the goal's where it has none of its own."""
    payout, payout_rule, revenue, revenue_rule = goal.payout, "goal", goal.revenue, "goal"
    found = _term(goal, visit, catalog)
    if found is not None:
        term, rule = goal.terms[found], f"terms[{found}]"
        if term.payout:
            payout, payout_rule = term.payout, rule
        if term.revenue:
            revenue, revenue_rule = term.revenue, rule
    return Quote(
        _side(payout, payout_rule, goal.paid_in, sale, sale.payout, catalog),
        _side(revenue, revenue_rule, goal.billed_in, sale, sale.revenue, catalog),
    )


def _term(goal: Goal, visit: Click | Impression, catalog: Catalog) -> int | None:
    if not goal.terms:
        return None
    affiliate = catalog.affiliate(visit.affiliate_id)
    tier = affiliate.tier if affiliate else ""
    return next((n for n, term in enumerate(goal.terms) if _holds(term, visit, tier)), None)


def _holds(term: Term, visit: Click | Impression, tier: str) -> bool:
    """Whether every condition that the term gives holds for this visit."""
    return (
        (not term.affiliate or visit.affiliate_id in term.affiliate)
        and (not term.tier or tier in term.tier)
        and (not term.country or visit.country_code in term.country)
        and (not term.device or visit.device_type in term.device)
        and (not term.source or visit.source in term.source)
    )


def _side(
    price: Price, rule: str, currency: str, sale: Sale, stated: Decimal | None, catalog: Catalog
) -> Side:
    rate = ONE
    try:
        worth = price.fixed
        if price.percent and sale.amount:  # of an amount that nobody stated a percentage is 0
            rate = _rate(currency, sale, catalog)
            amount = sale.amount if rate is ONE else money.product(sale.amount, rate)
            worth = _EXACT.add(worth, money.percent_of(amount, price.percent))
        nominal = _in_minor_units(worth, currency)
        side = Side(nominal, nominal, currency, rule, rate)
    except _Untold as untold:
        side = Side(ZERO, ZERO, currency, rule, fault=untold.objection)
    return side if stated is None else _as_stated(side, stated)


def _as_stated(side: Side, stated: Decimal) -> Side:
    """The network's word needs neither terms nor rates."""
    try:
        owed = _in_minor_units(stated, side.currency)
    except _Untold as untold:
        return msgspec.structs.replace(side, owed=ZERO, fault=untold.objection)
    return msgspec.structs.replace(side, owed=owed, rule="adjustment", fault=None)


def _rate(currency: str, sale: Sale, catalog: Catalog) -> Decimal:
    """The rate of the sale's day; 1 within one currency."""
    if sale.currency == currency:
        return ONE
    rate = catalog.rates.at(sale.currency, currency, sale.day)
    if rate is None:
        detail = f"no exchange rate from {sale.currency} to {currency} on {sale.day}"
        raise _Untold(Reason.NO_EXCHANGE_RATE, detail)
    return rate


def _in_minor_units(amount: Decimal, currency: str) -> Decimal:
    """The amount, rounded: the only place where an amount is."""
    if not amount:
        return ZERO  # the catalog wants no currency of a goal without prices
    try:
        return money.rounded(amount, currency)
    except KeyError as error:
        detail = f"the goal has no currency in which {amount} could be owed"
        raise _Untold(Reason.NO_EXCHANGE_RATE, detail) from error
    except ValueError as error:
        raise _Untold(Reason.OVER_LIMIT, f"{amount:f} {currency}: {error}") from error
