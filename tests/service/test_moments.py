"""What people write for times."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from service import moments
from service.errors import Usage

NOW = datetime(2026, 11, 23, 14, 30, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("written", "whole_day", "expected"),
    [
        ("today", False, "2026-11-22T23:00+00:00"),
        ("today", True, "2026-11-23T23:00+00:00"),
        ("2026-11-01", True, "2026-11-01T23:00+00:00"),
        ("2026-11-01T10:00", True, "2026-11-01T09:00+00:00"),
        ("2026-11-01 10:00:00.5Z", False, "2026-11-01T10:00:00.500+00:00"),
    ],
)
def test_a_day_is_its_first_moment_or_the_first_after_it(
    written: str, *, whole_day: bool, expected: str
) -> None:
    found = moments.moment("--from", written, BERLIN, NOW, whole_day=whole_day)
    assert found == datetime.fromisoformat(expected)


@pytest.mark.parametrize("written", ["x", "", "2026-13-01", "9999-12-31", "tomorrow"])
def test_what_names_no_moment_is_wrong_usage_and_named(written: str) -> None:
    with pytest.raises(Usage, match="--to"):
        moments.moment("--to", written, BERLIN, NOW, whole_day=True)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "\0"])
def test_an_unknown_zone_is_wrong_usage(name: str) -> None:
    with pytest.raises(Usage):
        moments.zone(name)
