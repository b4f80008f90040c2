"""The console's page, without servers: what a table shows."""

from datetime import UTC, datetime
from decimal import Decimal

from console import page
from console.freshness import Freshness
from console.moments import Span
from console.report import Answer

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def shown(**row: object) -> str:
    fresh = Freshness(complete_to=NOW, waiting=0, newest=NOW, quarantined=0)
    columns, values = tuple(row), tuple(row.values())
    return page.front([Answer("offers", columns, (values,), Span(NOW, NOW), "UTC", fresh, False)], [])


def test_money_in_several_currencies_has_a_line_each() -> None:
    """On one line it pushed revenue out of sight."""
    text = shown(payout={"USD": Decimal("577.10"), "EUR": Decimal("1048.62")})
    assert '<td class="number">1048.62 EUR\n577.10 USD</td>' in text


def test_a_value_is_escaped() -> None:
    assert "<td>&lt;b&gt;</td>" in shown(source="<b>")
