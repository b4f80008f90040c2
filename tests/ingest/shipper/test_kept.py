"""What is kept: acknowledged segments, so long and so many; nothing else is ever removed."""

import pytest

from ingest.journal import kept, segments
from ingest.journal.kept import Kept, Limits, surplus
from ingest.journal.segments import Position
from ingest.shipping import carrier as carrier_module
from tests.ingest.shipper.fakes import OWN, Edge, FakeKafka, until

NONE = Limits(0, 0)
HOUR_MS = 3_600_000
THREE = [Kept(1, 100, HOUR_MS), Kept(2, 50, 2 * HOUR_MS), Kept(3, 50, 3 * HOUR_MS)]


@pytest.mark.parametrize(
    ("limits", "now_h", "gone"),
    [
        (Limits(HOUR_MS, 200), 2, 0),  # one hour old and 200 bytes: both limits just kept
        (Limits(HOUR_MS, 200), 2.1, 1),
        (Limits(HOUR_MS, 200), 3.5, 2),
        (Limits(HOUR_MS, 200), 5, 3),
        (Limits(9 * HOUR_MS, 199), 3, 1),
        (Limits(9 * HOUR_MS, 99), 3, 2),
        (Limits(9 * HOUR_MS, 0), 3, 3),
        (Limits(0, 200), 3, 2),
    ],
)
def test_the_limit_that_is_reached_first_ends_the_keeping_oldest_first(
    limits: Limits, now_h: float, gone: int
) -> None:
    assert surplus(THREE, limits, int(now_h * HOUR_MS)) == gone


def test_a_younger_one_is_never_removed_before_an_older_one() -> None:
    """A clock that was wrong: the second seems older than the first."""
    assert surplus([Kept(1, 1, 5 * HOUR_MS), Kept(2, 1, HOUR_MS)], Limits(HOUR_MS, 9), 5 * HOUR_MS) == 0


@pytest.fixture
def edge(kafka: FakeKafka) -> Edge:
    """Five segments of about three events each."""
    made = Edge(kafka, segment_bytes=300)
    for _ in range(5):
        made.accept(3)
    return made


def numbers(edge: Edge) -> list[int]:
    return segments.numbers(edge.disk, OWN)


def test_only_what_lies_wholly_before_the_position_is_removed(edge: Edge) -> None:
    there = numbers(edge)
    assert len(there) == 5
    for index, number in enumerate(there):
        kept.tidy(edge.disk, OWN, Position(number, 50), NONE, edge.now_ms + HOUR_MS)
        assert numbers(edge) == there[index:]
        kept.tidy(edge.disk, OWN, Position(number, 10_000), NONE, edge.now_ms + HOUR_MS)
        assert numbers(edge) == there[index:]


def test_a_position_in_no_segment_proves_nothing(edge: Edge) -> None:
    there = numbers(edge)
    for position in (Position(), Position(99, 0)):
        assert kept.tidy(edge.disk, OWN, position, NONE, edge.now_ms + HOUR_MS) == 0
    assert numbers(edge) == there


def test_a_damaged_header_ends_no_keeping(edge: Edge) -> None:
    """It tells no time: what it follows is as old as its own beginning."""
    second = edge.disk.files[OWN / segments.name(2)]
    second.content[8:40] = bytes(32)
    found = kept.acknowledged(edge.disk, OWN, Position(3, 50))
    assert [each.number for each in found] == [1, 2]
    assert min(each.closed_ms for each in found) == edge.now_ms


def test_a_clock_that_was_set_back_for_a_while_makes_nothing_older(kafka: FakeKafka) -> None:
    """Guard: what was begun under the wrong clock, and the one before it, were removed after minutes."""
    edge = Edge(kafka, segment_bytes=300)
    edge.accept(3)
    edge.now_ms -= 30 * HOUR_MS
    for _ in range(3):
        edge.accept(3)
    edge.now_ms += 30 * HOUR_MS
    edge.accept(3)
    there, limits = numbers(edge), Limits(24 * HOUR_MS, 1 << 30)
    assert len(there) == 5
    for number in there:
        kept.tidy(edge.disk, OWN, Position(number, 50), limits, edge.now_ms + HOUR_MS)
    assert numbers(edge) == there
    kept.tidy(edge.disk, OWN, Position(there[-1], 50), limits, edge.now_ms + 25 * HOUR_MS)
    assert numbers(edge) == there[-1:]


async def test_a_carrier_removes_what_is_too_old_and_says_what_is_kept(edge: Edge, kafka: FakeKafka) -> None:
    async with edge.carrying() as carrier:
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        assert len(numbers(edge)) == 5
        edge.seconds += carrier_module.TIDY_S
        await until(lambda: carrier.kept_bytes > 1_000)
        edge.now_ms += 25 * HOUR_MS
        edge.seconds += carrier_module.TIDY_S
        await until(lambda: len(numbers(edge)) == 1)
        await until(lambda: carrier.kept_bytes == 0)
        edge.accept(3)
        await until(lambda: len(kafka.receipts) == 18)
    edge.reopen()
    edge.accept(1)
    await edge.ship_all()
    assert set(kafka.receipts) == set(edge.receipts)


async def test_what_is_kept_gives_way_before_the_disk_is_full(edge: Edge, kafka: FakeKafka) -> None:
    """Guard: a disk smaller than what may be kept would fill with what Kafka has, and take no more events."""
    edge.limits = kept.Limits(24 * HOUR_MS, 1 << 30, room=10_000)
    async with edge.carrying() as carrier:
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        edge.disk.free_bytes = 10_000
        edge.seconds += carrier_module.SAVE_S
        await edge.turns()
        assert len(numbers(edge)) == 5
        edge.disk.free_bytes -= 1
        edge.seconds += carrier_module.SAVE_S
        await until(lambda: len(numbers(edge)) == 4)
        edge.disk.free_bytes = 0
        edge.seconds += carrier_module.SAVE_S
        await until(lambda: len(numbers(edge)) == 1)
        edge.accept(3)
        edge.seconds += carrier_module.SAVE_S
        await until(lambda: len(kafka.receipts) == 18)
    assert set(kafka.receipts) == set(edge.receipts)


async def test_what_is_not_acknowledged_stays_whatever_its_age_and_size(
    edge: Edge, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier_module, "TIDY_S", 0)
    edge.limits = NONE
    kafka.hold = True
    edge.now_ms += 1_000 * HOUR_MS
    async with edge.carrying():
        await edge.turns(20)
        assert len(numbers(edge)) == 5
