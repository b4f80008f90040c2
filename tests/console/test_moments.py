"""How times are read, and how a zone's wall clock is worked out."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import moments
from console.moments import Offsets, Span
from service.errors import Usage

NOW = datetime(2026, 11, 23, 14, 30, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("", "", ("2026-11-16T23:00+00:00", "2026-11-23T14:30:05+00:00")),
        ("2026-11-01", "2026-11-02", ("2026-10-31T23:00+00:00", "2026-11-02T23:00+00:00")),
        ("2026-11-01T10:00", "2026-11-01T12:00Z", ("2026-11-01T09:00+00:00", "2026-11-01T12:00+00:00")),
        ("yesterday", "yesterday", ("2026-11-21T23:00+00:00", "2026-11-22T23:00+00:00")),
        ("today", "", ("2026-11-22T23:00+00:00", "2026-11-23T14:30:05+00:00")),
        ("", "2026-10-25", ("2026-10-18T22:00+00:00", "2026-10-25T23:00+00:00")),
    ],
)
def test_a_day_is_the_zones_own_whole_day_and_a_time_is_that_moment(
    start: str, end: str, expected: tuple[str, str]
) -> None:
    assert moments.span(start, end, BERLIN, NOW) == Span(*map(at, expected))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("x", ""),
        ("2026-13-01", ""),
        ("2026-11-24", ""),
        ("2026-11-02", "2026-11-01"),
        ("9999-12-31", "9999-12-31"),
        ("0001-01-01", "0001-01-01"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(start: str, end: str) -> None:
    with pytest.raises(Usage):
        moments.span(start, end, BERLIN, NOW)


ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/New_York",
    "Asia/Tehran",
]


def offset_s(offsets: Offsets, unix_s: int) -> int:
    """As ClickHouse works it out."""
    return offsets.first_s + sum(
        change for moment, change in zip(offsets.moments, offsets.changes_s, strict=True) if unix_s >= moment
    )


@given(st.sampled_from(ZONES), st.integers(0, 2_000_000_000), st.integers(1, 900), st.floats(0, 1))
def test_the_offsets_of_a_span_are_the_zones_at_every_moment(
    name: str, start_s: int, days: int, part: float
) -> None:
    zone, start = ZoneInfo(name), datetime.fromtimestamp(start_s, UTC)
    span = Span(start, start + timedelta(days=days))
    asked = int(start_s + part * (days * 86_400 - 1))
    expected = datetime.fromtimestamp(asked, UTC).astimezone(zone).utcoffset()
    assert expected is not None
    assert offset_s(moments.offsets(span, zone), asked) == expected.total_seconds()


def test_a_clock_set_back_is_found_to_the_second() -> None:
    span = Span(at("2026-10-24T00:00Z"), at("2026-10-27T00:00Z"))
    change = int(at("2026-10-25T01:00Z").timestamp())
    assert moments.offsets(span, BERLIN) == Offsets(7200, [change], [-3600])


@pytest.mark.parametrize(
    ("unit", "expected"), [("hour", "2026-10-25 02:00-03:30"), ("day", "2026-10-25"), ("month", "2026-10")]
)
def test_a_wall_clock_is_written_for_people(unit: str, expected: str) -> None:
    assert moments.wall_text(int(at("2026-10-25T02:00Z").timestamp()), -12_600, unit) == expected
