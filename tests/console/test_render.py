"""How rows are written."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import render


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("1.500000", "1.50"),
        ("0.004000", "0.004"),
        ("1E+3", "1000.00"),
        ("123456789012.123456", "123456789012.123456"),
        ("-2.5", "-2.50"),
    ],
)
def test_money_is_exact(amount: str, text: str) -> None:
    assert render.exact(Decimal(amount)) == text


def test_a_table_is_aligned_with_numbers_to_the_right() -> None:
    assert (
        render.table(("name", "n"), [("a", 1), ("bb", 100)]) == "name    n\n----  ---\na       1\nbb    100\n"
    )


def test_a_table_without_rows_still_names_its_columns() -> None:
    assert render.table(("a", "b"), []) == "a  b\n-  -\n"


def test_a_strangers_text_cannot_steer_the_terminal_nor_break_a_line() -> None:
    drawn = render.table(("a",), [("\x1b[2J\nforged",), ("x" * 500,)])
    assert "\x1b" not in drawn
    assert len(drawn.splitlines()) == 4
    assert max(map(len, drawn.splitlines())) == 60


@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0")),
        min_size=1,
        max_size=4,
    )
)
def test_csv_gives_every_value_back_whole(values: list[str]) -> None:
    written = render.as_csv(["c"] * len(values), [values])
    assert list(csv.reader(io.StringIO(written)))[1] == values


def test_json_has_exact_money_and_utc_times() -> None:
    value = {
        "a": Decimal("1.100000"),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "m": {"EUR": Decimal(2)},
        "n": None,
        "l": (1, True),
    }
    assert msgspec.json.decode(render.as_json(value)) == {
        "a": "1.10",
        "at": "2026-01-02T03:04:05.678Z",
        "m": {"EUR": "2.00"},
        "n": None,
        "l": [1, True],
    }
