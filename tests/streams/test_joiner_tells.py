"""What a joiner tells of itself, what others sent, and assignments that are not the usual ones."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from faust.types import TP

from schemas import decisions, times
from schemas.decisions import Case
from schemas.topics import DAY_MS, FACTS
from service.errors import RecordsRefused
from service.kafka import Outgoing, Record
from streams import assignment
from streams.joiner import Joiner
from streams.kafka import ties
from streams.kafka.topics import EMITTED
from streams.state.changes import Changes
from streams.state.layout import Position
from streams.state.store import Busy, Store
from tests.streams.joining import NOON_MS, cases, click, postback, quarantines, record, version
from tests.streams.rig import ASSIGNED, LOGS, Rig, fetch

FIRST = frozenset(TP(topic, 0) for topic in FACTS)
ALL = FIRST | {TP(EMITTED, 0)}


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(ties, "RETRY_S", 0.0)
    return Rig(tmp_path)


def number(joiner: Joiner, name: str, ending: str = "") -> float:
    """What /metrics says of one of them, all its labels together."""
    (metric,) = getattr(joiner._metrics, name).collect()
    return sum(each.value for each in metric.samples if each.name.endswith(metric.name + ending))


def another(sent: Iterable[Outgoing], higher: int, **changed: object) -> Record:
    """The last case, as another worker might have sent it."""
    mine = [each for each in sent if each.topic == EMITTED][-1]
    case = msgspec.json.decode(mine.value, type=Case)
    case = msgspec.structs.replace(case, **{"version": case.version + higher, **changed})
    return Record(EMITTED, 0, 0, NOON_MS, mine.key, decisions.encode(case))


# Of itself


async def test_since_when_a_fetch_is_in_work_is_told_and_ends_with_it(rig: Rig):
    joiner = await rig.started()
    assert joiner.busy_since == 0.0
    seen: list[float] = []
    rig.kafka.on_send = lambda: seen.append(joiner.busy_since)
    await joiner.handle(fetch(record(postback())))
    assert seen[0] > 0.0
    assert joiner.busy_since == 0.0


async def test_the_metrics_move(rig: Rig):
    rig.logs = LOGS._replace(end=dict.fromkeys(LOGS.end, 0))
    joiner = await rig.started()
    held: list[float] = []
    rig.kafka.on_send = lambda: held.append(number(joiner, "outbox"))
    await joiner.handle(fetch(record(click()), record(postback())))
    await joiner.handle(fetch(record(postback("t2", 3, catalog_version=2), 1)))
    assert await joiner.resume() == 1
    assert (held, number(joiner, "outbox"), number(joiner, "waiting")) == ([2.0, 2.0], 0.0, 1.0)
    assert (number(joiner, "partitions"), number(joiner, "positions")) == (2.0, 3.0)
    assert number(joiner, "decided", "_count") == 2.0
    assert 0.0 < number(joiner, "decided", "_sum") < 3_600.0
    old = click("t3", 4, received_at=times.from_ms(NOON_MS + 45 * DAY_MS))
    await joiner.handle(fetch(record(old, 1)._replace(timestamp_ms=NOON_MS + 45 * DAY_MS)))
    await joiner.expire()
    assert number(joiner, "_gone", "_total") == 1.0
    assert number(joiner, "times") == NOON_MS / 1000 + 45 * 86_400
    await joiner.close()
    assert number(joiner, "partitions") == 0.0


async def test_what_lacks_facts_is_told_until_they_are_here(rig: Rig, caplog: pytest.LogCaptureFixture):
    joiner = await rig.started()
    await joiner.handle(fetch(record(postback())))
    named = another(rig.kafka.sent, 1)
    await joiner.close()
    rig.directory /= "empty"
    joiner = rig.joiner()
    await joiner.start_at(ALL)
    await joiner.handle(fetch(named))
    await joiner.handle(fetch(record(postback(sequence=3))))
    assert "1 transactions stay as they were sent: the state lacks statements" in caplog.text
    assert (await joiner.resume(), joiner.lacking, joiner.aside) == (0, True, False)
    await joiner.handle(fetch(record(postback(), 1)))
    assert (await joiner.resume(), joiner.lacking) == (0, False)
    await joiner.close()


async def test_after_a_stop_nothing_more_is_taken(rig: Rig):
    joiner = await rig.started()
    joiner.stop()
    await joiner.handle(fetch(record(postback())))
    assert (rig.kafka.asked, joiner.assignment.open[0].positions) == ([], {})


async def test_the_disk_has_back_what_expired_while_fetches_go_on(rig: Rig):
    rig.logs = LOGS._replace(end=dict.fromkeys(LOGS.end, 0))
    joiner = await rig.started()
    await joiner.handle(fetch(record(click())))
    turns: list[bool] = []
    joiner._expirer.reclaim = lambda _: turns.append(joiner.ties.turn.locked())  # type: ignore[method-assign]
    await joiner.expire()
    assert turns == [False]


async def test_what_kafka_refuses_is_said_to_lie_where_it_was_to_go(rig: Rig):
    joiner = await rig.started()
    refused = [Outgoing("conversions", b"k", b"{}", 3), Outgoing("notices", b"t1", b"{}")]
    await joiner._outbox._send_refused(refused, RecordsRefused({0: "too large", 1: "too large"}))
    assert [(each.topic, each.partition) for each in quarantines(rig.kafka.sent)] == [
        ("conversions", 3),
        ("notices", 0),
    ]


# Of others


async def test_what_another_sent_is_taken_back_with_the_fetch_that_brings_it(rig: Rig):
    joiner = rig.joiner()
    await joiner.start_at(ALL)
    await joiner.handle(fetch(record(click()), record(postback())))
    phantom = another(rig.kafka.sent, 5, conversions=())
    rig.kafka.sent.clear()
    await joiner.handle(fetch(phantom))
    (right,) = cases(rig.kafka.sent)
    assert (right.version, len(right.conversions)) == (version(2) + 6, 1)


async def test_it_is_known_before_the_facts_of_the_same_fetch_are_decided(rig: Rig):
    joiner = rig.joiner()
    await joiner.start_at(ALL)
    await joiner.handle(fetch(record(click()), record(postback())))
    phantom = another(rig.kafka.sent, 5, conversions=())
    rig.kafka.sent.clear()
    await joiner.handle(fetch(record(postback(sequence=3, sale_amount=50), 1), phantom))
    assert [case.version for case in cases(rig.kafka.sent)] == [version(2) + 6]


# Assignments


async def test_what_a_new_assignment_does_not_name_is_closed(rig: Rig):
    joiner = await rig.started()
    await joiner.start_at(FIRST)
    assert joiner.partitions == [0]
    Store(rig.directory / "joiner").open(1).close()


async def test_a_revocation_while_an_assignment_begins_makes_it_none(rig: Rig):
    """Reading would begin where nothing is open any more."""
    joiner = rig.joiner()
    revoked: list[asyncio.Task[None]] = []

    async def hold(_: Iterable[TP]) -> None:
        revoked.append(asyncio.create_task(joiner.released(ASSIGNED)))
        await asyncio.sleep(0)  # it says so at once, and closes when the assignment is over

    rig.kafka.hold = hold  # type: ignore[method-assign]
    assert await joiner.start_at(ASSIGNED) is None
    await asyncio.gather(*revoked)
    assert (joiner.partitions, rig.failures) == ([], [])


async def test_a_directory_that_another_process_never_lets_go_ends_this_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assignment, "OPEN_S", 0.0)
    held = Store(rig.directory / "joiner").open(0)
    joiner = rig.joiner()
    assert await asyncio.wait_for(joiner.start_at(ASSIGNED), 60) is None
    assert [type(each) for each in rig.failures] == [Busy]
    held.close()


async def test_what_a_stale_state_lacks_and_kafka_no_longer_has_is_said_before_it_is_restored(
    rig: Rig, caplog: pytest.LogCaptureFixture
):
    state = Store(rig.directory / "joiner").open(0)
    state.apply(Changes(positions={"clicks": Position(40, "cluster:clicks")}))
    state.close()
    rig.logs = LOGS._replace(start={**LOGS.start, ("clicks", 0): 50}, committed={("clicks", 0): 60})
    joiner = await rig.started()
    assert "clicks/0: records 40 to 49 were deleted before they were read" in caplog.text
    assert (joiner.partitions, joiner.assignment.restorer.partitions) == ([1], 1)
    await joiner.close()
