"""When a joiner looks for what is too old: a partition's time, from how far its topics are read."""

from pathlib import Path

import pytest

from schemas import times
from schemas.topics import FACTS
from service.kafka import Record
from streams.joiner import Joiner
from streams.kafka.fetch import Fetch
from streams.kafka.logs import Logs
from streams.state.bundles import Bundle
from tests.streams.joining import NOON_MS, click, postback, quarantines, record
from tests.streams.rig import Rig
from tests.streams.rig import fetch as slices_of

DAY = 86_400_000
EMPTY = Logs(
    {topic: f"cluster:{topic}" for topic in FACTS} | {"conversions": "cluster:conversions"},
    {(topic, number): 0 for topic in (*FACTS, "conversions") for number in (0, 1)},
    {(topic, number): 0 for topic in (*FACTS, "conversions") for number in (0, 1)},
    {},
)


@pytest.fixture
async def joiner(tmp_path: Path) -> Joiner:
    return await started(Rig(tmp_path))


async def started(rig: Rig, **ends: int) -> Joiner:
    """A joiner whose topics are empty, but for those that are said to have an end."""
    rig.logs = EMPTY._replace(end=EMPTY.end | {(topic, 0): end for topic, end in ends.items()})
    return await rig.started()


def moved(day: float) -> dict[str, str]:
    moment = times.from_ms(NOON_MS + int(day * DAY))
    return {"received_at": moment, "occurred_at": moment}


def click_of(day: float, offset: int, transaction: str = "t1") -> Record:
    appended_ms = NOON_MS + int(day * DAY)
    made = click(transaction, 100 + offset, **moved(day))
    return record(made, offset)._replace(timestamp_ms=appended_ms)


def statement_of(day: float, offset: int, transaction: str = "t1") -> Record:
    appended_ms = NOON_MS + int(day * DAY)
    made = postback(transaction, 200 + offset, **moved(day))
    return record(made, offset)._replace(timestamp_ms=appended_ms)


def fetched(*records: Record, log_end: int = 0) -> Fetch:
    """Slices of logs that end where the slice does, or there."""
    found = slices_of(*records)
    return Fetch(tuple(each._replace(log_end=log_end or each.end) for each in found.slices))


def facts_of(joiner: Joiner, transaction: str = "t1") -> int:
    return len(joiner.assignment.open[0].facts(transaction))


async def test_what_is_too_old_leaves_also_where_nothing_new_comes(joiner: Joiner):
    await joiner.handle(fetched(click_of(0, 0)))
    await joiner.handle(fetched(statement_of(45, 0, "t2")))
    assert facts_of(joiner) == 1
    await joiner.expire()
    assert (facts_of(joiner), facts_of(joiner, "t2")) == (0, 1)


async def test_a_topic_that_is_not_read_to_its_end_holds_time_back(tmp_path: Path):
    joiner = await started(Rig(tmp_path), clicks=2)
    await joiner.handle(fetched(click_of(0, 0), log_end=2))
    await joiner.handle(fetched(statement_of(45, 0, "t2")))
    await joiner.expire()
    assert facts_of(joiner) == 1
    await joiner.handle(fetched(click_of(1, 1, "t3")))
    await joiner.expire()
    assert facts_of(joiner) == 0


@pytest.mark.parametrize("topic", [topic for topic in FACTS if topic != "clicks"])
async def test_so_does_one_that_was_never_read(tmp_path: Path, topic: str):
    joiner = await started(Rig(tmp_path), **{topic: 1})
    await joiner.handle(fetched(click_of(0, 0)))
    await joiner.handle(fetched(click_of(45, 1)))
    await joiner.expire()
    assert facts_of(joiner) == 2


async def test_a_log_that_grew_since_the_assignment_holds_time_back(joiner: Joiner):
    await joiner.handle(fetched(click_of(0, 0)))
    await joiner.handle(fetched(click_of(1, 1, "t3"), log_end=9))
    await joiner.handle(fetched(statement_of(60, 0, "t2")))
    await joiner.expire()
    assert facts_of(joiner) == 1


async def test_a_collector_whose_clock_is_ahead_moves_nobodys_time(joiner: Joiner):
    ahead = click_of(365, 1, "t9")._replace(timestamp_ms=NOON_MS)
    await joiner.handle(fetched(click_of(0, 0), ahead))
    await joiner.expire()
    assert facts_of(joiner) == 1


async def test_a_statement_after_expiry_is_in_quarantine_and_changes_no_row(tmp_path: Path):
    rig = Rig(tmp_path)
    joiner = await started(rig)
    await joiner.handle(fetched(statement_of(0, 0)))
    await joiner.handle(fetched(click_of(128, 0, "t2")))
    await joiner.expire()
    assert joiner.assignment.open[0].cases(Bundle("t1")) == {}
    rig.kafka.sent.clear()
    await joiner.handle(fetched(statement_of(128, 1)))
    assert [each.topic for each in rig.kafka.sent] == ["quarantine"]
    assert [each.reason for each in quarantines(rig.kafka.sent)] == [205]


async def test_a_visit_older_than_what_is_kept_does_not_enter(joiner: Joiner):
    await joiner.handle(fetched(click_of(45, 0)))
    await joiner.expire()
    await joiner.handle(fetched(click_of(0, 1, "t2")))
    assert facts_of(joiner, "t2") == 0


async def test_clocks_outlive_a_restart(tmp_path: Path):
    rig = Rig(tmp_path)
    joiner = await started(rig)
    await joiner.handle(fetched(click_of(0, 0)))
    await joiner.handle(fetched(statement_of(45, 0, "t2")))
    await joiner.close()
    again = await started(rig, clicks=1, postbacks=1)
    await again.expire()
    assert facts_of(again) == 0
