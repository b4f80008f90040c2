"""A stated time is honoured from five minutes ahead to ninety days behind, in the advertiser's zone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import moments
from schemas import times
from tests.ingest.fakes import NOW_MS


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23T10:00:00.250+01:00", "2026-11-23T09:00:00.250Z"),
        ("2026-11-23T10:00:00 01:00", "2026-11-23T09:00:00.000Z"),  # a `+` that nobody encoded
        ("2026-11-23 10:00:00", "2026-11-23T09:00:00.000Z"),  # Berlin
        ("2026-09-23 10:00", "2026-09-23T08:00:00.000Z"),  # Berlin, summer
        ("2026-11-22", "2026-11-21T23:00:00.000Z"),
        (str(NOW_MS // 1000), "2026-11-23T12:00:00.000Z"),
        (f"{NOW_MS // 1000}.5", "2026-11-23T12:00:00.500Z"),
        (f" {NOW_MS // 1000 + 300} ", "2026-11-23T12:05:00.000Z"),
        (f"{NOW_MS // 1000 - 90 * 86_400}", "2026-08-25T12:00:00.000Z"),
    ],
)
def test_it_is_read(text: str, utc: str) -> None:
    assert times.from_ms(moments.read(text, "Europe/Berlin", NOW_MS)) == utc


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (str(NOW_MS // 1000 + 301), "ahead"),
        (str(NOW_MS), "neither"),  # milliseconds are not seconds, and are not guessed
        (str(NOW_MS // 1000 - 90 * 86_400 - 1), "90 days ago"),
        ("0", "90 days ago"),
        ("yesterday", "neither"),
        ("2026-13-01", "neither"),
        ("0001-01-01T00:00:00", "neither"),
        ("9999-12-31T23:59:59", "ahead"),
        ("", "neither"),
    ],
)
def test_it_is_not_honoured(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        moments.read(text, "Europe/Berlin", NOW_MS)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_valueerror(text: str) -> None:
    try:
        found = moments.read(text, "America/New_York", NOW_MS)
    except ValueError:
        return
    assert NOW_MS - moments.MAX_BEHIND_MS <= found <= NOW_MS + moments.MAX_AHEAD_MS
