"""What is kept, and until when: each rule of streams/expiry.py."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import times
from schemas.topics import FACTS, TOPICS
from streams.expiry import Clock, TopicTime, oldest_kept_ms, time_of, too_late

NOON_MS = times.to_ms("2026-11-23T12:00:00.000Z")
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
IN_2099_MS = times.to_ms("2099-01-01T00:00:00.000Z")


def told(*records: tuple[int, int]) -> int:
    """A topic's clock after records (received_at, LogAppendTime)."""
    clock = Clock()
    for received_ms, appended_ms in records:
        clock.tell(times.from_ms(received_ms), appended_ms)
    return clock.ms


def test_1_a_record_tells_no_later_moment_than_the_brokers_clock():
    assert told((IN_2099_MS, NOON_MS)) == NOON_MS
    assert told((NOON_MS, NOON_MS + SECOND)) == NOON_MS


def test_1_a_broker_that_dates_nothing_tells_nothing():
    assert told((NOON_MS, -1)) == 0
    assert told() == 0


def test_1_nor_does_a_broker_whose_clock_is_mad_break_anything():
    assert told((NOON_MS, 1 << 62)) == NOON_MS


def test_2_the_latest_moment_counts_whoever_else_is_behind():
    behind = (NOON_MS - 10 * DAY, NOON_MS)
    assert told(behind, (NOON_MS, NOON_MS), behind) == NOON_MS


@given(st.lists(st.tuples(st.integers(0, IN_2099_MS), st.integers(0, IN_2099_MS))))
def test_2_the_clock_is_the_greatest_of_the_least_whatever_the_order(records: list[tuple[int, int]]):
    assert told(*records) == max((min(record) for record in records), default=0)


MONDAY, TUESDAY = TopicTime(NOON_MS, at_end=False), TopicTime(NOON_MS + DAY, at_end=False)


@pytest.mark.parametrize(
    ("topics", "time_ms"),
    [
        ([], 0),
        ([MONDAY], NOON_MS),
        ([MONDAY, TUESDAY], NOON_MS),
        ([MONDAY._replace(at_end=True), TUESDAY], NOON_MS + DAY),
        ([MONDAY, TUESDAY._replace(at_end=True)], NOON_MS),
        ([MONDAY._replace(at_end=True), TUESDAY._replace(at_end=True)], NOON_MS + DAY),
        ([TopicTime(0, at_end=False), TUESDAY], 0),
        ([TopicTime(0, at_end=True), TUESDAY], NOON_MS + DAY),
    ],
)
def test_3_the_least_clock_counts_but_for_what_is_read_to_its_end(topics: list[TopicTime], time_ms: int):
    assert {time_of(each) for each in permutations(topics)} == {time_ms}


def test_4_and_5_what_is_kept_is_told_by_the_time_of_receipt():
    assert [(NOON_MS - oldest_kept_ms(topic, NOON_MS)) // DAY for topic in FACTS] == [44, 15, 127, 127, 127]


def test_4_and_5_no_topic_forgets_what_a_state_still_keeps():
    for name in FACTS:
        kept_days = TOPICS[name].kept_days
        assert kept_days is not None
        assert kept_days * DAY >= NOON_MS - oldest_kept_ms(name, NOON_MS)


@pytest.mark.parametrize(
    ("after_ms", "why"),
    [
        (0, ""),
        (120 * DAY, ""),
        (
            120 * DAY + HOUR,
            "received 120 d 1 h after the first statement about it, allowed 120 d",
        ),
        (-5 * DAY, ""),
    ],
)
def test_6_a_statement_after_the_correction_window_is_too_late(after_ms: int, why: str):
    assert too_late(NOON_MS + after_ms, NOON_MS, NOON_MS + after_ms) == why


def test_6_so_is_one_that_comes_when_the_others_are_no_longer_kept():
    assert too_late(NOON_MS, NOON_MS, NOON_MS + 127 * DAY) == ""
    why = "came 127 d 2 min after the first statement about it was received, allowed 127 d"
    assert too_late(NOON_MS, NOON_MS, NOON_MS + 127 * DAY + 2 * MINUTE) == why


@given(
    received_ms=st.integers(NOON_MS - 400 * DAY, NOON_MS + 400 * DAY),
    born_ms=st.integers(NOON_MS - 400 * DAY, NOON_MS + 400 * DAY),
    late_ms=st.integers(0, 7 * DAY),
)
def test_6_of_what_comes_within_the_allowance_no_partitions_time_decides(
    received_ms: int, born_ms: int, late_ms: int
):
    """Then it is a function of the facts: how far a partition has come changes nothing."""
    at_once = too_late(received_ms, min(born_ms, received_ms), received_ms)
    assert bool(too_late(received_ms, min(born_ms, received_ms), received_ms + late_ms)) == bool(at_once)
