"""Money: what is ambiguous is refused, what is computed is exact, what is rounded is rounded once."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import money
from schemas.currencies import MINOR_DECIMALS
from schemas.money import Rate, Rates

AMOUNTS = st.decimals(min_value=0, max_value=Decimal("999999999999.999999"), places=6)
SHARES = st.decimals(min_value=0, max_value=100, places=6)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12.50", "12.50"),
        ("12,50", "12.50"),
        ("1,5", "1.5"),
        (".5", "0.5"),
        ("0", "0"),
        ("007", "7"),
        ("1.234", "1.234"),  # a program's decimal point, three decimals
        ("0,123", "0.123"),  # no thousand begins with 0
        ("1234,567", "1234.567"),  # nor with four digits
        (" 12.50\n", "12.50"),
        ("999999999999.999999", "999999999999.999999"),
        ("19.989999999999998", "19.99"),  # a caller's float
        ("0.0000005", "0"),
        ("0.0000015", "0.000002"),
    ],
)
def test_an_amount_is_read_with_point_or_comma(text: str, amount: str):
    assert money.parse(text) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1,234", "ambiguous"),
        ("12,345", "ambiguous"),
        ("1,234.56", "ambiguous"),
        ("1.234,56", "ambiguous"),
        ("1 234", "no amount"),
        ("1.2.3", "ambiguous"),
        ("-1", "negative"),
        ("1234567890123", "more than 12 digits"),
        ("999999999999.9999999", "more than 12 digits"),
        ("", "no amount"),
        (".", "no amount"),
        ("5.", "no amount"),
        ("+5", "no amount"),
        ("NaN", "no amount"),
        ("Infinity", "no amount"),
        ("1e5", "no amount"),
        ("1_000", "no amount"),
        ("٣", "no amount"),
        ("12 EUR", "no amount"),
        ("0." + "1" * 31, "no amount"),
    ],
)
def test_what_is_ambiguous_or_no_amount_is_refused_with_its_reason(text: str, why: str):
    with pytest.raises(ValueError, match=why):
        money.parse(text)


@given(AMOUNTS)
def test_every_amount_of_six_places_is_read_exactly_with_a_point(amount: Decimal):
    assert money.parse(f"{amount:f}") == amount


@given(st.text(max_size=30))
def test_no_text_raises_anything_but_valueerror_or_leaves_the_bounds(text: str):
    try:
        amount = money.parse(text)
    except ValueError:
        return
    assert 0 <= amount < money.LIMIT
    assert -amount.as_tuple().exponent <= money.DECIMALS


@pytest.mark.parametrize("text", ["8,5", " 8", "8.", ".8", "1e2", "-8", "1.1234567", "1234567890123", ""])
def test_the_catalogs_numbers_are_written_in_one_way_only(text: str):
    with pytest.raises(ValueError, match="not a decimal number"):
        money.written(text)


@given(AMOUNTS, SHARES)
def test_a_percentage_is_exact(amount: Decimal, percent: Decimal):
    assert Fraction(money.percent_of(amount, percent)) == Fraction(amount) * Fraction(percent) / 100


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_product_is_exact(one: Decimal, other: Decimal, third: Decimal):
    assert Fraction(money.product(one, other, third)) == Fraction(one) * Fraction(other) * Fraction(third)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("2.675", "USD", "2.68"),
        ("2.665", "USD", "2.66"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("1.2345", "KWD", "1.234"),
        ("1.23455", "CLF", "1.2346"),
    ],
)
def test_rounding_is_half_even_to_the_currencys_minor_unit(amount: str, currency: str, expected: str):
    assert str(money.rounded(Decimal(amount), currency)) == expected


def test_rounding_beyond_the_bound_is_refused():
    with pytest.raises(ValueError, match="more than 12 digits"):
        money.rounded(Decimal("999999999999.999"), "USD")


def test_currencies_are_iso_4217s_active_ones_in_capitals():
    assert [money.is_currency(code) for code in ("EUR", "XCG", "eur", "EURO", "BGN", "XXX", "XAU", "")] == [
        *(True, True),
        *(False, False, False, False, False, False),
    ]
    assert all(len(code) == 3 and code.isupper() for code in MINOR_DECIMALS)
    assert len(MINOR_DECIMALS) == 165


RATES = Rates(
    [
        Rate(from_="EUR", to="USD", rate=Decimal("1.10"), since=date(2026, 11, 1)),
        Rate(from_="EUR", to="USD", rate=Decimal("1.20"), since=date(2026, 11, 15)),
        Rate(from_="USD", to="GBP", rate=Decimal("0.80"), since=date(2026, 1, 1)),
    ]
)


@pytest.mark.parametrize(
    ("day", "rate"),
    [("2026-10-31", None), ("2026-11-01", "1.10"), ("2026-11-14", "1.10"), ("2027-01-01", "1.20")],
)
def test_the_newest_rate_since_the_day_or_before_counts(day: str, rate: str | None):
    assert RATES.at("EUR", "USD", day) == (Decimal(rate) if rate else None)


def test_neither_an_inverse_nor_a_chain_of_rates_is_guessed():
    assert (RATES.at("USD", "EUR", "2026-12-01"), RATES.at("EUR", "GBP", "2026-12-01")) == (None, None)


def test_a_currency_is_itself_without_a_rate():
    assert RATES.at("JPY", "JPY", "1999-01-01") == 1
