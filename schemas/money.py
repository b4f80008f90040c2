"""Money: exact decimals of at most twelve digits before the point and six after it, never a float.

The arithmetic is exact: a product keeps every digit, and the caller rounds once, at the end, with `rounded`.
"""

import re
from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import Final

import msgspec

from schemas.currencies import MINOR_DECIMALS

INTEGER_DIGITS: Final = 12  # with six decimals: ClickHouse's Decimal(18, 6)
LIMIT: Final = Decimal(10) ** INTEGER_DIGITS
DECIMALS: Final = 6
SIX_PLACES: Final = Decimal(1).scaleb(-DECIMALS)

# Amount, percentage and rate have at most 18 digits each; their product and sum never come near this.
_EXACT: Final = Context(prec=100, rounding=ROUND_HALF_EVEN, traps=[Inexact])
_ROUNDING: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)
_MINOR_UNITS: Final = {code: Decimal(1).scaleb(-decimals) for code, decimals in MINOR_DECIMALS.items()}
# Callers that compute in floats send 19.989999999999998: read as the six places that are kept.
_AMOUNT: Final = re.compile(r"(\d{0,12})(?:[.,](\d{1,30}))?", re.ASCII).fullmatch
_MAY_BE_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2},\d{3}", re.ASCII).fullmatch
_UNAMBIGUOUS: Final = "write decimals with a point, thousands without a sign"
_WRITTEN: Final = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII).fullmatch


class Rate(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """From the day `since` (UTC) on, one unit of `from` is `rate` units of `to`, until its next rate."""

    from_: str
    to: str
    rate: Decimal
    since: date


class Rates:
    """The rates of one catalog, by pair and day.

    Only what is written counts: neither the inverse of a rate nor a chain over a third currency is guessed.
    The inverse is not exact in decimals, and a network that pays at it states it.
    """

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._newest_first: dict[tuple[str, str], list[tuple[str, Decimal]]] = {}
        for rate in sorted(rates, key=lambda rate: rate.since, reverse=True):
            pair = self._newest_first.setdefault((rate.from_, rate.to), [])
            pair.append((rate.since.isoformat(), rate.rate))

    def at(self, source: str, target: str, day: str) -> Decimal | None:
        """The rate in force on a UTC day, `YYYY-MM-DD` (a time's first ten letters); None where none is."""
        if source == target:
            return Decimal(1)
        for since, rate in self._newest_first.get((source, target), ()):
            if since <= day:
                return rate
        return None


def parse(text: str) -> Decimal:
    """An amount as a caller sends it, `.` or `,` before the decimals; ValueError tells what is wrong with it.

    `1,234` is refused (a thousand or one and a bit?), and so is any other sign of thousands. Decimals beyond
    the six that are kept are rounded half-even. Blanks around it are ignored.
    """
    text = text.strip()
    found = _AMOUNT(text)
    if found is None or not (found[1] or found[2]):
        raise ValueError(_fault(text))
    if _MAY_BE_THOUSANDS(text):
        raise ValueError(f"ambiguous amount {text!r}: {_UNAMBIGUOUS}")
    amount = Decimal(f"{found[1] or 0}.{found[2] or ''}")
    if len(found[2] or "") > DECIMALS:
        amount = _ROUNDING.quantize(amount, SIX_PLACES)
    if amount >= LIMIT:
        raise ValueError(f"amount of more than {INTEGER_DIGITS} digits before the point {text!r}")
    return amount


def written(text: str) -> Decimal:
    """A number of the catalog or of an adjustment: digits, a point, at most six decimals; else ValueError."""
    if _WRITTEN(text) is None:
        raise ValueError(f'not a decimal number such as "8" or "2.50": {text[:40]!r}')
    return Decimal(text)


def is_currency(code: str) -> bool:
    """Whether ISO 4217 has this code, in capitals."""
    return code in _MINOR_UNITS


def product(*factors: Decimal) -> Decimal:
    """The exact product, for amount times rate."""
    result = Decimal(1)
    for factor in factors:
        result = _EXACT.multiply(result, factor)
    return result


def percent_of(amount: Decimal, percent: Decimal) -> Decimal:
    """The exact share of an amount."""
    return _EXACT.scaleb(_EXACT.multiply(amount, percent), -2)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount in whole minor units, half-even; KeyError for no currency, ValueError beyond 12 digits."""
    result = _ROUNDING.quantize(amount, _MINOR_UNITS[currency])
    if abs(result) >= LIMIT:
        raise ValueError(f"more than {INTEGER_DIGITS} digits before the point")
    return result


def _fault(text: str) -> str:
    shown = repr(text[:40])
    if text.startswith("-"):
        return f"negative amount {shown}"
    if len(re.findall("[.,' ]", text)) > 1:
        return f"ambiguous amount {shown}: {_UNAMBIGUOUS}"
    if re.fullmatch(r"\d{13,}([.,]\d*)?", text, re.ASCII):
        return f"amount of more than {INTEGER_DIGITS} digits before the point {shown}"
    return f"no amount: {shown}"
