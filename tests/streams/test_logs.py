"""Where reading begins: whether a log is still the one that was read, and what Kafka no longer has."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from faust.types import TP

from schemas import times
from schemas.topics import DAY_MS, TOPICS
from service.errors import Problem
from service.kafka import Description, Record
from streams.kafka import logs, topics
from streams.kafka.logs import Logs
from streams.kafka.topics import EMITTED, READ
from streams.restoring import losses
from streams.state import layout
from streams.state.layout import Position
from tests.streams.joining import NOON_MS, click, record
from tests.streams.rig import ASSIGNED, LOGS, Rig, fetch

PLACE = "clicks", 0
READ_LAST = record(click(), 39)
KNOWN = Position(40, "cluster:clicks", last=layout.digest(READ_LAST.value))
STORED = {"clicks": KNOWN}


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def there(*records: Record) -> dict[tuple[str, int], Record | None]:
    return dict.fromkeys([PLACE], None) | {(each.topic, each.partition): each for each in records}


def begun(found: Mapping[tuple[str, int], Record | None]) -> int:
    assert logs.last_read(LOGS, {PLACE: KNOWN}) == {PLACE: 39}
    return logs.begin(logs.compared(LOGS, {PLACE: KNOWN}, found), PLACE, KNOWN)[0]


def test_a_log_that_holds_what_was_read_goes_on():
    assert begun(there(READ_LAST)) == 40


def test_a_log_whose_end_was_lost_and_filled_by_others_is_read_from_its_start():
    assert begun(there(record(click("t9", 9), 39))) == 0


def test_what_compaction_or_retention_took_says_nothing():
    assert begun(there(record(click("t9", 9), 41))) == 40
    assert begun(there()) == 40


@pytest.mark.parametrize("known", [Position(40, "cluster:clicks"), Position(40, "old", last=b"x")])
def test_only_what_can_be_compared_is_asked_for(known: Position):
    assert logs.last_read(LOGS, {PLACE: known}) == {}


def test_what_was_committed_in_the_lost_end_did_not_take_effect():
    committed = LOGS._replace(committed={PLACE: 60})
    assert committed.effective(PLACE) == 60
    assert committed._replace(replaced=frozenset([PLACE])).effective(PLACE) == 0


async def test_a_joiner_compares_what_it_reads_last(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click())))
    await joiner.close()
    asked: dict[tuple[str, int], int] = {}

    def another(places: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], Record | None]:
        asked.update(places)
        return {place: record(click("t9", 9), offset) for place, offset in places.items()}

    rig.read_back = another
    again = rig.joiner()
    offsets = await again.start_at(ASSIGNED)
    assert asked == {PLACE: 0}
    assert offsets is not None
    assert offsets[TP(*PLACE)] == 0
    await again.handle(fetch(record(click("t9", 9))))
    assert len(again.assignment.open[0].facts("t9")) == 1
    await again.close()


async def test_a_log_made_anew_under_a_running_joiner_is_looked_for(rig: Rig):
    joiner = await rig.started()
    await joiner.look_at_logs()
    assert rig.kafka.events == []
    rig.logs = LOGS._replace(identity={**LOGS.identity, "clicks": "cluster:other"})
    await joiner.look_at_logs()
    assert rig.kafka.events == ["looked again"]
    await joiner.close()


# What is gone


def gone(positions: Mapping[str, Position], start: int, oldest: Record | None = None) -> list[str]:
    found = LOGS._replace(start=LOGS.start | {PLACE: start}, committed={PLACE: 60})
    places = losses.young(found, 0, positions)
    return losses.gone(found, 0, positions, dict.fromkeys(places, oldest), NOON_MS + 40 * DAY_MS)


def aged(days: float) -> Record:
    return record(click(), 50)._replace(timestamp_ms=NOON_MS + int((40 - days) * DAY_MS))


def test_what_a_stale_state_still_had_to_read_and_is_gone_is_told():
    assert gone(STORED, 50) == ["clicks/0: records 40 to 49 were deleted before they were read"]
    assert gone(STORED, 40) == []


def test_what_a_new_state_lacks_is_told_where_it_may_be_younger_than_what_is_kept():
    (line,) = gone({}, 50, aged(36))
    day = times.from_ms(NOON_MS + 4 * DAY_MS)
    expected = f"the first 50 records are gone from Kafka; the oldest left is of {day}, a state holds"
    assert line == f"clicks/0: {expected} those of 44 days"
    assert gone({}, 50, aged(45)) == [], "what is gone was too old"
    assert gone({}, 0, aged(1)) == [], "nothing is gone"
    assert gone({}, 50) == ["clicks/0: all 100 records are gone from Kafka"]


CUT = LOGS._replace(start=LOGS.start | {PLACE: 20})  # retention took what was first


@pytest.mark.parametrize(
    ("found", "positions"),
    [
        (CUT, {}),
        (CUT._replace(committed={PLACE: 60, (EMITTED, 0): 0}), {}),
        (CUT._replace(committed={PLACE: 60}, end=LOGS.end | {(EMITTED, 1): 1}), {}),
        (CUT._replace(committed={PLACE: 60}), STORED),
        (LOGS._replace(committed={PLACE: 60}), {}),
    ],
    ids=[
        "first start",
        "nothing was ever sent",
        "conversions holds some",
        "a state tells it",
        "all is there",
    ],
)
def test_a_state_is_restored_where_what_was_sent_is_known(found: Logs, positions: Mapping[str, Position]):
    losses.check(found, 0, positions)


def test_no_state_is_made_of_facts_alone_whose_cases_are_lost():
    with pytest.raises(Problem, match="conversions is empty although the group has committed facts"):
        losses.check(CUT._replace(committed={PLACE: 60}), 0, {})


async def test_such_a_joiner_ends_and_says_so(rig: Rig):
    rig.logs = CUT._replace(committed={PLACE: 60})
    joiner = rig.joiner()
    assert await joiner.start_at(ASSIGNED) is None
    assert "what was sent is not known" in str(rig.failures[0])
    await joiner.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"retention.ms": "-1"}, ""),
        ({"retention.ms": str(45 * DAY_MS)}, ""),
        ({"max.message.bytes": "9999999"}, ""),
        ({"retention.ms": str(7 * DAY_MS)}, "topic clicks has retention.ms 604800000, not 3801600000"),
        ({"retention.bytes": "1000"}, "topic clicks has retention.bytes 1000, not -1"),
        ({"cleanup.policy": "compact"}, "topic clicks has cleanup.policy compact, not delete"),
    ],
)
def test_a_topic_that_keeps_less_than_a_lost_state_needs_is_told(changed: dict[str, str], said: str):
    found = {name: Description(1, "id", TOPICS[name].config) for name in READ}
    found["clicks"] = Description(1, "id", TOPICS["clicks"].config | changed)
    assert "; ".join(topics.kept_too_short(found)) == said
