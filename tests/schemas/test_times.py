"""Times: strict both ways, and text order is time order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import durations, times

MOMENTS = st.integers(times.to_ms("0001-01-01T00:00:00.000Z"), times.to_ms("9999-12-31T23:59:59.999Z"))


def test_a_known_moment_reads_as_its_unix_time():
    assert times.to_ms("2026-11-23T02:55:00.123Z") == 1_795_402_500_123
    assert times.from_ms(1_795_402_500_123) == "2026-11-23T02:55:00.123Z"


@given(MOMENTS)
def test_every_moment_comes_back_from_its_24_characters(ms: int):
    text = times.from_ms(ms)
    assert (len(text), times.to_ms(text)) == (24, ms)


@given(MOMENTS, MOMENTS)
def test_text_order_is_time_order(one: int, other: int):
    assert (times.from_ms(one) < times.from_ms(other)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T02:55:00Z",
        "2026-11-23T02:55:00.1234Z",
        "2026-11-23T02:55:00.123z",
        "2026-11-23 02:55:00.123Z",
        "2026-11-23T02:55:00,123Z",
        "2026-11-23T02:55:00.123+",
        "2026-11-23T02:55:00.123Z\n",
        "2026-02-29T02:55:00.123Z",
        "2026-13-01T02:55:00.123Z",
        "2026-11-23T24:00:00.000Z",
        "2026-11-23T02:55:60.000Z",
        "2026-W48-1T02:55:00.123Z",
        "0000-01-01T00:00:00.000Z",
        "٢٠٢٦-11-23T02:55:00.123Z",
    ],
)
def test_any_other_form_and_any_day_that_never_was_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  the kind is the contract, the sentence is not
        times.to_ms(text)


@pytest.mark.parametrize("ms", [10**15, -(10**15)])
def test_a_moment_outside_of_four_digit_years_is_refused(ms: int):
    with pytest.raises(ValueError, match="between the years 1 and 9999"):
        times.from_ms(ms)


def test_durations_are_whole_numbers_with_a_unit():
    assert [durations.to_ms(text) for text in ("30d", "24h", "90m", "0s")] == [
        2_592_000_000,
        86_400_000,
        5_400_000,
        0,
    ]


@pytest.mark.parametrize("text", ["", "30", "d", "1.5h", "-1h", "1 h", "1H", "1w", "3651d", "٣d", "1h\n"])
def test_any_other_duration_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  the kind is the contract
        durations.to_ms(text)
