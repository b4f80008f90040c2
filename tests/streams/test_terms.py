"""Rule 5, money. The number in a test's name is the clause's in docs/rules.md."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.catalog import Price, Term
from schemas.reasons import Reason
from tests.streams.facts_of_a_shop import (
    DAY,
    adjustment,
    amount,
    click,
    conversion,
    conversions,
    pixel,
    postback,
    with_blog,
    with_goal,
)

NINE = Price(percent=Decimal(9))


def price(fixed: str = "0", percent: str = "0") -> Price:
    return Price(fixed=Decimal(fixed), percent=Decimal(percent))


@pytest.mark.parametrize(
    ("prices", "payout"),
    [
        (price(fixed="2.00"), "2.00"),
        (price(percent="8"), "4.00"),
        (price(fixed="2.00", percent="8"), "6.00"),
        (price(), "0"),
    ],
)
def test_5_1_a_price_is_fixed_or_a_percentage_of_the_sale_or_both(prices: Price, payout: str):
    found = conversion(click(), postback(2, **amount("50")), catalogs=(with_goal(payout=prices),))
    assert found.payout == Decimal(payout)
    assert (found.payout_rule, found.payout_currency) == ("goal", "USD")
    assert (found.revenue, found.revenue_rule, found.revenue_currency) == (Decimal(5), "goal", "USD")


def test_5_2_a_percentage_of_an_amount_that_nobody_stated_is_nothing():
    found = conversion(click(), postback(2), catalogs=(with_goal(payout=price("2", "8")),))
    assert (found.status, found.payout, found.revenue) == ("approved", Decimal(2), Decimal(0))
    assert (found.sale_amount, found.sale_currency) == (Decimal(0), "")


HOLDING: list[dict[str, Any]] = [
    {"affiliate": (41, 42)},
    {"tier": ("gold",)},
    {"country": ("AT", "DE")},
    {"device": ("mobile",)},
    {"source": ("mail",)},
    {"tier": ("gold",), "country": ("DE",)},
]
NOT_HOLDING: list[dict[str, Any]] = [
    {"affiliate": (43,)},
    {"tier": ("silver",)},
    {"country": ("FR",)},
    {"device": ("desktop",)},
    {"source": ("search",)},
    {"tier": ("gold",), "country": ("FR",)},
]
VISIT = {"country_code": "DE", "device_type": "mobile", "source": "mail"}


@pytest.mark.parametrize("conditions", HOLDING)
def test_5_3_a_term_whose_conditions_all_hold_overrides_the_price(conditions: dict[str, Any]):
    catalog = with_goal(terms=(Term(payout=NINE, **conditions),))
    found = conversion(click(**VISIT), postback(2, **amount("50")), catalogs=(catalog,))
    assert (found.payout, found.payout_rule) == (Decimal("4.50"), "terms[0]")


@pytest.mark.parametrize("conditions", NOT_HOLDING)
def test_5_3_a_term_with_a_condition_that_does_not_hold_does_not(conditions: dict[str, Any]):
    catalog = with_goal(terms=(Term(payout=NINE, **conditions),))
    found = conversion(click(**VISIT), postback(2, **amount("50")), catalogs=(catalog,))
    assert (found.payout, found.payout_rule) == (Decimal(4), "goal")


def test_5_4_the_first_term_that_holds_wins_and_what_it_does_not_price_stays_the_goals():
    terms = (
        Term(affiliate=(43,), payout=price(percent="1")),
        Term(payout=price(percent="2")),
        Term(payout=price(percent="3"), revenue=price(percent="4")),
    )
    found = conversion(click(), postback(2, **amount("50")), catalogs=(with_goal(terms=terms),))
    assert (found.payout, found.payout_rule) == (Decimal(1), "terms[1]")
    assert (found.revenue, found.revenue_rule) == (Decimal(5), "goal")
    found = conversion(click(), postback(2, **amount("50")), catalogs=(with_goal(terms=terms[2:]),))
    assert (found.revenue, found.revenue_rule) == (Decimal(2), "terms[0]")


@pytest.mark.parametrize(("clicked", "first", "later", "payout"), [(1, 1, 2, 4), (1, 2, 1, 5), (2, 1, 1, 5)])
def test_5_5_the_later_catalog_of_click_and_first_observation_counts(
    clicked: int, first: int, later: int, payout: int
):
    catalogs = (with_goal(), with_goal(payout=price(percent="10")))
    found = conversion(
        click(catalog_version=clicked),
        postback(2, catalog_version=first, **amount("50")),
        postback(3, DAY, catalog_version=later),
        catalogs=catalogs,
    )
    assert (found.payout, found.catalog_version) == (Decimal(payout), max(clicked, first))


def test_5_5_many_each_conversion_has_the_prices_of_its_own_first_observation():
    catalogs = (with_goal(repeat="many"), with_goal(repeat="many", payout=price(percent="10")))
    old, new = (
        postback(2, conversion_unique_id="A", **amount("50")),
        postback(3, DAY, conversion_unique_id="B", catalog_version=2, **amount("50")),
    )
    assert [one.payout for one in conversions(click(), old, new, catalogs=catalogs)] == [4, 5]


def test_5_5_the_tier_is_that_of_the_same_catalog():
    catalogs = tuple(
        msgspec.structs.replace(
            with_goal(terms=(Term(tier=("gold",), payout=NINE),)), affiliates=with_blog(tier=tier).affiliates
        )
        for tier in ("gold", "silver")
    )
    for version, payout in ((1, "4.50"), (2, "4.00")):
        facts = (click(), postback(2, catalog_version=version, **amount("50")))
        assert conversion(*facts, catalogs=catalogs).payout == Decimal(payout)


def test_5_6_a_sale_in_another_currency_is_converted_at_the_rate_of_its_day():
    found = conversion(click(), postback(2, **amount("50", "EUR")))
    assert (found.payout, found.payout_currency, found.payout_rate) == (
        Decimal("4.40"),
        "USD",
        Decimal("1.10"),
    )
    assert (found.sale_amount, found.sale_currency) == (Decimal(50), "EUR")
    same = conversion(click(), postback(2, **amount("50")))
    assert (same.payout_rate, same.revenue_rate) == (1, 1)


def test_5_6_payout_and_revenue_may_have_different_currencies():
    catalog = with_goal(payout_currency="USD", revenue_currency="EUR")
    found = conversion(click(), postback(2, **amount("50", "EUR")), catalogs=(catalog,))
    assert (found.payout, found.payout_currency, found.payout_rate) == (
        Decimal("4.40"),
        "USD",
        Decimal("1.10"),
    )
    assert (found.revenue, found.revenue_currency, found.revenue_rate) == (Decimal(5), "EUR", 1)


def test_5_7_without_a_rate_the_conversion_is_pending():
    for facts in (
        (click(), postback(2, **amount("50", "GBP"))),
        (click(), postback(2, **amount("50", "EUR"), occurred_at="2026-10-31T23:59:59.999Z")),
    ):
        found = conversion(*facts)
        assert (found.status, found.reason) == ("pending", Reason.NO_EXCHANGE_RATE)
        assert (found.payout, found.payout_nominal, found.payout_rate) == (0, 0, 1)
    assert found.reason_detail == "no exchange rate from EUR to USD on 2026-10-31"


def test_5_7_where_only_the_revenue_lacks_a_rate_too():
    catalog = with_goal(payout_currency="EUR", revenue_currency="GBP")
    found = conversion(click(), postback(2, **amount("50", "EUR")), catalogs=(catalog,))
    assert (found.reason, found.payout_nominal) == (Reason.NO_EXCHANGE_RATE, 4)


def test_5_7_a_fixed_price_and_an_amount_of_nothing_need_no_rate():
    fixed = with_goal(payout=price("2"), revenue=price("3"))
    found = conversion(click(), postback(2, **amount("50", "GBP")), catalogs=(fixed,))
    assert (found.status, found.payout) == ("approved", 2)
    assert conversion(click(), postback(2, **amount("0", "GBP"))).status == "approved"


@pytest.mark.parametrize(
    ("sale", "percent", "payout"),
    [("31.25", "2", "0.62"), ("31.75", "2", "0.64"), ("0.0625", "8", "0.00"), ("33.33", "8", "2.67")],
)
def test_5_8_it_is_rounded_once_half_even_to_the_minor_unit(sale: str, percent: str, payout: str):
    catalog = with_goal(payout=price(percent=percent))
    assert conversion(click(), postback(2, **amount(sale)), catalogs=(catalog,)).payout == Decimal(payout)


def test_5_8_nothing_is_rounded_on_the_way():
    """To six places first, the percentage would be 0.005000 and half-even would make 0.02 of the sum."""
    catalog = with_goal(payout=price("0.01", "0.000001"))
    found = conversion(click(), postback(2, **amount("499999.99999")), catalogs=(catalog,))
    assert found.payout == Decimal("0.01")


@pytest.mark.parametrize(("currency", "payout"), [("JPY", "8"), ("USD", "8.00"), ("TND", "8.000")])
def test_5_8_each_currency_has_its_own_minor_unit(currency: str, payout: str):
    catalog = with_goal(currency=currency)
    found = conversion(click(), postback(2, **amount("100", currency)), catalogs=(catalog,))
    assert str(found.payout) == payout


@pytest.mark.parametrize(("status", "owed"), [("ok", 4), ("open", 0), ("cancelled", 0)])
def test_5_9_only_what_is_approved_is_owed_and_the_terms_are_shown(status: str, owed: int):
    found = conversion(click(), postback(2, status=status, **amount("50")))
    assert (found.payout, found.revenue > 0) == (owed, owed > 0)
    assert (found.payout_nominal, found.revenue_nominal) == (4, 5)


def test_5_10_the_network_states_what_is_owed():
    facts = (click(), postback(2, **amount("50")))
    found = conversion(*facts, adjustment(3, payout=Decimal("7.005"), revenue=Decimal(9)))
    assert (found.status, found.payout, found.revenue) == ("approved", Decimal("7.00"), Decimal(9))
    assert (found.payout_nominal, found.payout_rule, found.revenue_rule) == (4, "adjustment", "adjustment")
    last = conversion(*facts, adjustment(3, payout=Decimal(7)), adjustment(4, 2 * DAY, payout=Decimal(0)))
    assert (last.payout, last.revenue, last.revenue_rule) == (0, 5, "goal")


def test_5_10_what_the_network_states_needs_no_rate_and_is_not_owed_unless_approved():
    stated = adjustment(3, payout=Decimal(7), revenue=Decimal(9))
    facts = (click(), postback(2, **amount("50", "GBP")), stated)
    assert (conversion(*facts).status, conversion(*facts).payout) == ("approved", 7)
    assert conversion(*facts, postback(4, status="cancelled")).payout == 0


def test_5_11_an_amount_beyond_what_is_kept_is_pending():
    catalog = with_goal(payout=price(percent="100"))
    huge = conversion(click(), postback(2, **amount("999999999999", "EUR")), catalogs=(catalog,))
    assert (huge.status, huge.reason, huge.payout) == ("pending", Reason.OVER_LIMIT, 0)
    assert huge.reason_detail == "1099999999998.9000 USD: more than 12 digits before the point"
    stated = adjustment(3, payout=Decimal("999999999999.999"))
    assert conversion(click(), postback(2), stated).reason == Reason.OVER_LIMIT


def test_5_12_a_sale_without_a_currency_is_in_the_payouts():
    catalog = with_goal(payout_currency="EUR", revenue_currency="USD")
    found = conversion(click(), pixel(2, sale_amount=Decimal(50)), catalogs=(catalog,))
    assert (found.sale_currency, found.payout, found.revenue) == ("EUR", Decimal(4), Decimal("5.50"))


def test_5_13_a_goal_without_prices_needs_no_currency():
    catalog = with_goal(payout=price(), revenue=price(), currency="")
    found = conversion(click(), postback(2, **amount("50")), catalogs=(catalog,))
    assert (found.status, found.payout, found.payout_currency) == ("approved", 0, "")
    stated = conversion(click(), postback(2), adjustment(3, payout=Decimal(5)), catalogs=(catalog,))
    assert (stated.status, stated.reason) == ("pending", Reason.NO_EXCHANGE_RATE)
