"""The commit point says what was handled, no more and no less."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from service.outage import Outage
from streams.kafka import commit
from streams.kafka.commit import CommitPoint, told

CLICKS, PIXELS = TP("clicks", 0), TP("pixels", 0)
BOTH = {CLICKS, PIXELS}


def point(now: list[float] | None = None) -> CommitPoint:
    return CommitPoint(clock=lambda: (now or [1.0])[0])


def test_what_was_handled_is_due_until_it_is_committed():
    made = point()
    made.handle({CLICKS: 3, PIXELS: 10})
    assert made.due(BOTH) == {CLICKS: 3, PIXELS: 10}
    made.committed({CLICKS: 3})
    assert made.due(BOTH) == {PIXELS: 10}


def test_an_offset_never_goes_back_within_an_assignment():
    made = point()
    made.handle({CLICKS: 3})
    made.handle({CLICKS: 2})
    assert made.due(BOTH) == {CLICKS: 3}


def test_only_what_is_assigned_is_due():
    made = point()
    made.handle({CLICKS: 3, PIXELS: 10})
    assert made.due({PIXELS}) == {PIXELS: 10}


def test_a_new_assignment_commits_where_it_starts_also_before_what_was_committed():
    """A log made anew begins lower; and a partition without new records would look behind for ever."""
    made = point()
    made.handle({CLICKS: 50})
    made.committed({CLICKS: 50})
    made.begin({CLICKS: 20, PIXELS: 0})
    assert made.due(BOTH) == {CLICKS: 20, PIXELS: 0}


def test_where_an_assignment_starts_is_uncommitted_from_its_beginning():
    made = point([4.0])
    made.begin({CLICKS: 20})
    assert made.behind_since == 4.0


def test_what_was_taken_away_is_forgotten():
    made = point()
    made.handle({CLICKS: 3})
    made.drop({CLICKS})
    assert made.due(BOTH) == {}
    assert not made.handled
    assert made.behind_since == 0.0


def test_what_is_handled_after_it_was_taken_away_and_given_again_is_due_whatever_was_committed_before():
    made = point()
    made.handle({CLICKS: 50})
    made.committed({CLICKS: 50})
    made.drop({CLICKS})
    made.handle({CLICKS: 20})
    assert made.due(BOTH) == {CLICKS: 20}


def test_of_what_an_assignment_no_longer_has_nothing_is_known():
    """Else it would look behind for ever: nobody here commits it."""
    made = point()
    made.handle({CLICKS: 50})
    made.begin({PIXELS: 0})
    made.committed({PIXELS: 0})
    assert made.handled == {PIXELS: 0}
    assert made.behind_since == 0.0


def test_how_long_something_is_uncommitted_is_told_and_ends_with_the_commit():
    now = [5.0]
    made = point(now)
    assert made.behind_since == 0.0
    made.handle({CLICKS: 3})
    now[0] = 9.0
    made.handle({CLICKS: 4})
    assert made.behind_since == 5.0
    made.committed({CLICKS: 3})
    assert made.behind_since == 9.0, "a commit that moves is no stop"
    made.committed({CLICKS: 4})
    assert made.behind_since == 0.0


@given(st.lists(st.one_of(st.tuples(st.just("handle"), st.integers(0, 9)), st.just(("commit", 0)))))
def test_kafka_never_knows_more_than_was_handled_and_in_the_end_all_of_it(steps: list[tuple[str, int]]):
    made, kafka, handled = point(), -1, -1
    for step, offset in [*steps, ("commit", 0)]:
        if step == "handle":
            handled = max(handled, offset)
            made.handle({CLICKS: offset})
        elif due := made.due({CLICKS}):
            made.committed(due)
            kafka = due[CLICKS]
        assert kafka <= handled
    assert kafka == handled


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (KafkaConnectionError("gone"), True),
        (TimeoutError(), True),
        (IllegalStateError("not mine"), False),
        (CommitFailedError("rebalanced"), False),
    ],
)
async def test_a_commit_that_kafka_does_not_take_was_none_and_ends_nothing(error: Exception, lost: bool):  # noqa: FBT001
    async def refuse(_offsets: object) -> None:
        raise error

    kafka = Outage("Kafka")
    assert await told(kafka, SimpleNamespace(commit=refuse), {CLICKS: 3}) is False
    assert bool(kafka.since) is lost


async def test_a_commit_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commit, "COMMIT_S", 0.01)

    async def never(_offsets: object) -> None:
        await asyncio.Event().wait()

    assert await told(Outage("Kafka"), SimpleNamespace(commit=never), {CLICKS: 3}) is False


async def test_a_note_is_committed_with_the_zero_that_ends_it_for_librdkafka():
    """Without it who reads it by librdkafka gets what lies behind it in memory, or a UnicodeDecodeError."""
    given: list[object] = []

    async def take(offsets: object) -> None:
        given.append(offsets)

    await told(Outage("Kafka"), SimpleNamespace(commit=take), {CLICKS: 3}, "1 of 4 partitions")
    assert given == [{CLICKS: (3, "1 of 4 partitions\0")}]


async def test_a_commit_that_is_taken_ends_the_outage():
    async def take(offsets: dict[object, int]) -> None:
        assert offsets == {CLICKS: 3}

    kafka = Outage("Kafka")
    kafka.lost("gone")
    assert await told(kafka, SimpleNamespace(commit=take), {CLICKS: 3}) is True
    assert not kafka.since
