"""Which questions reports take, and what of them is data."""

from datetime import UTC, datetime

import pytest

from console import report, reports
from console.report import Asked
from service.errors import Usage

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(name="nothing"),
        Asked(name="offers", by=("shoe",)),
        Asked(name="offers", by=("status",)),
        Asked(name="conversions", by=("offer",)),
        Asked(name="offers", where=("offer",)),
        Asked(name="offers", where=("offer=x",)),
        Asked(name="offers", where=("offer=-1",)),
        Asked(name="offers", where=("offer=99999999999",)),
        Asked(name="offers", where=("status=approved",)),
        Asked(name="offers", where=("hour=1",)),
        Asked(name="offers", where=("1=1 OR x=1",)),
        Asked(name="offers", tz="Nowhere"),
        Asked(name="offers", start="soon"),
    ],
)
def test_a_wrong_question_is_wrong_usage(asked: Asked) -> None:
    with pytest.raises(Usage):
        report.checked(asked, NOW)


@pytest.mark.parametrize("name", reports.REPORTS)
def test_what_a_person_writes_is_never_part_of_the_sql(name: str) -> None:
    evil = "x') OR 1=1 --"
    asked = Asked(name=name, where=(f"source={evil}", f"aff_sub={evil}", "offer=4711"), start="2026-11-01")
    asking = reports.query(report.checked(asked, NOW))
    assert evil not in asking.sql
    assert "4711" not in asking.sql
    assert asking.parameters["where0"] == [evil]


def test_the_same_name_twice_means_either_value() -> None:
    asking = reports.query(report.checked(Asked(name="offers", where=("offer=1", "offer_id=2")), NOW))
    assert asking.parameters["where0"] == [1, 2]


@pytest.mark.parametrize("name", [name for name, one in reports.REPORTS.items() if not one.by])
def test_a_list_says_the_same_in_the_same_order_each_time(name: str) -> None:
    """A click may have several conversions: without a last word their order was another each time."""
    sql = reports.query(report.checked(Asked(name=name), NOW)).sql
    (order,) = [line for line in sql.splitlines() if line.startswith("ORDER BY")]
    assert order.endswith(", conversion_id")


def test_the_listing_names_every_report() -> None:
    listed = report.listing()
    assert all(name in listed for name in reports.REPORTS)
