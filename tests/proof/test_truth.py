"""The comparison names each difference, and only differences."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proof import truth
from proof.truth import Count, Sent, Truth, Writer
from service.errors import Usage

LINE = Truth(
    transaction_id="t1",
    goal_id=0,
    conversion_unique_id="A1",
    status="approved",
    reason=0,
    affiliate_id=42,
    payout=Decimal("3.00"),
    revenue=Decimal("3.33"),
    payout_currency="USD",
    revenue_currency="USD",
    observations=2,
    kinds=("pixel", "postback"),
)


def row(line: Truth, **other: Any) -> dict[str, Any]:
    """As ClickHouse has it."""
    found = msgspec.structs.asdict(line)
    return {**found, "kinds": list(line.kinds), "payout": Decimal("3.000000"), **other}


def told(lines: list[Truth], rows: list[dict[str, Any]]) -> list[str]:
    return list(truth.differences(lines, rows))


def test_equal_is_equal_whatever_the_decimals_and_lists() -> None:
    assert told([LINE], [row(LINE)]) == []


def test_a_missing_conversion_is_named() -> None:
    assert told([LINE], []) == ["missing: t1 goal 0 order A1, approved, reason 0"]


def test_an_unexpected_conversion_is_named() -> None:
    assert told([], [row(LINE)]) == ["unexpected: t1 goal 0 order A1, approved, reason 0"]


def test_a_conversion_that_is_there_twice_is_unexpected_once() -> None:
    assert told([LINE], [row(LINE), row(LINE)]) == ["unexpected: t1 goal 0 order A1, approved, reason 0"]


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("status", "rejected", "status rejected, expected approved"),
        ("reason", 12, "reason 12, expected 0"),
        ("affiliate_id", 43, "affiliate_id 43, expected 42"),
        ("payout", Decimal("6.00"), "payout 6.00, expected 3.00"),
        ("revenue", Decimal(0), "revenue 0, expected 3.33"),
        ("payout_currency", "EUR", "payout_currency EUR, expected USD"),
        ("revenue_currency", "EUR", "revenue_currency EUR, expected USD"),
        ("observations", 3, "observations 3, expected 2"),
        ("kinds", ["pixel"], "kinds pixel, expected pixel+postback"),
    ],
)
def test_each_field_that_differs_is_named(field: str, value: Any, shown: str) -> None:
    assert told([LINE], [row(LINE, **{field: value})]) == [f"differs: t1 goal 0 order A1: {shown}"]


def test_a_test_and_a_sale_with_one_number_are_two() -> None:
    tested = msgspec.structs.replace(LINE, test=True, status="rejected", reason=22)
    assert told([LINE, tested], [row(tested), row(LINE)]) == []


def test_conversions_without_number_are_matched_by_what_they_are() -> None:
    one = msgspec.structs.replace(LINE, conversion_unique_id="")
    two = msgspec.structs.replace(one, observations=1, kinds=("pixel",))
    assert told([one, two], [row(two), row(one)]) == []


def test_lost_answers_leave_only_the_observations_open() -> None:
    line = msgspec.structs.replace(LINE, observations_at_most=3)
    assert told([line], [row(line, observations=3)]) == []
    assert told([line], [row(line, observations=4)]) == [
        "differs: t1 goal 0 order A1: observations 4, expected 2 to 3"
    ]


def test_a_file_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    sent = Sent(tag="x", seed=1, uncertain=["t9"])
    sent.facts["click"] = Count(accepted=5, lost=1)
    writer = Writer(path)
    writer.write([LINE])
    writer.close(sent)
    assert truth.read(path) == [LINE]
    assert truth.read_sent(path) == sent


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text("{}\n", "utf-8")
    with pytest.raises(Usage, match=r"truth\.jsonl:1: no line of a truth file"):
        truth.read(path)


def test_a_file_that_is_not_there_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="roundtrip simulate"):
        truth.read(tmp_path / "none")
