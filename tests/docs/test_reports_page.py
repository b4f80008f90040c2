"""docs/reports.md names every report, dimension and verdict, as the code has them."""

from pathlib import Path
from typing import get_args

from console import lag, reports

PAGE = (Path(__file__).parents[2] / "docs/reports.md").read_text("utf-8")


def test_every_report_is_named_and_no_other() -> None:
    table = PAGE.split("## Which there are")[1].split("##")[0]
    assert [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")] == list(
        reports.REPORTS
    )


def test_every_dimension_is_named() -> None:
    assert [each.name for each in reports._DIMENSIONS if f"`{each.name}`" not in PAGE] == []


def test_every_verdict_is_named() -> None:
    assert [each for each in get_args(lag.Verdict) if f"| `{each}` |" not in PAGE] == []
