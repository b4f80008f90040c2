"""What a fetch may not do: fill a hole, serve a partition that is gone, pass the fence, overtake another."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from faust.types import TP

from schemas.reasons import Reason
from schemas.topics import FACTS
from service.errors import RecordsRefused, Unavailable, Unreachable
from service.settings import Settings
from streams import outbox
from streams.kafka import logs, ties
from streams.kafka.fetch import Fetch, Slice
from streams.kafka.logs import Logs
from streams.state import layout
from streams.state.layout import Position
from tests.streams.joining import NOON_MS, cases, click, postback, quarantines, record, version
from tests.streams.rig import ASSIGNED, LOGS, Rig, fetch

CLICKS, POSTBACKS = TP("clicks", 0), TP("postbacks", 0)

_Given = TypeVar("_Given")


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(ties, "RETRY_S", 0.0)
    return Rig(tmp_path)


# Holes


async def test_what_begins_behind_what_kafka_deleted_is_a_hole_all_the_same(
    rig: Rig, caplog: pytest.LogCaptureFixture
):
    """Kafka deleted up to 5, and the slice begins at 7: 5 and 6 are still to be read."""
    joiner = await rig.started()
    rig.logs = LOGS._replace(start={**LOGS.start, ("clicks", 0): 5})
    await joiner.handle(fetch(record(click(), 7)))
    assert rig.kafka.commits == {}
    assert "records 0 to 4 were deleted" in caplog.text
    await joiner.handle(fetch(record(click(), 5), record(click("t2", 3), 7)))
    assert rig.kafka.commits == {CLICKS: 8}


async def test_a_fetch_of_a_partition_that_was_taken_away_is_passed_over_and_ends_nothing(rig: Rig):
    joiner = await rig.started()
    await joiner.released(frozenset({CLICKS, POSTBACKS}))
    await joiner.handle(fetch(record(postback())))
    assert (rig.kafka.commits, rig.failures) == ({}, [])


async def test_a_slice_without_anything_new_keeps_by_what_the_log_is_known_again(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click())))
    positions = joiner.assignment.open[0].positions
    last = layout.digest(record(click()).value)
    await joiner.handle(fetch(record(click())))  # read before
    await joiner.handle(Fetch((Slice("clicks", 0, 1, 1, []),)))
    assert positions["clicks"] == Position(1, "cluster:clicks", NOON_MS, last)
    await joiner.handle(Fetch((Slice("clicks", 0, 1, 3, []),)))  # compaction left nothing to know it by
    assert positions["clicks"] == Position(3, "cluster:clicks", NOON_MS)


async def test_of_another_log_nothing_is_known_by_the_record_of_the_first(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click())))
    rig.logs = LOGS._replace(identity=LOGS.identity | {"clicks": "cluster:another"})
    await joiner.start_at(ASSIGNED)
    await joiner.handle(Fetch((Slice("clicks", 0, 0, 1, []),)))
    assert joiner.assignment.open[0].positions["clicks"] == Position(1, "cluster:another", NOON_MS)


@pytest.mark.parametrize("log", ["other:clicks", "cluster:other"])
def test_another_cluster_and_another_topic_are_each_another_log(log: str):
    known = Position(40, log)
    assert logs.begin(LOGS, ("clicks", 0), known)[0] == 0
    assert logs.last_read(LOGS, {("clicks", 0): Position(40, log, last=b"x")}) == {}


async def test_a_record_without_a_value_or_a_key_goes_to_quarantine_and_the_next_goes_on(rig: Rig):
    joiner = await rig.started()
    empty = SimpleNamespace(partition=0, offset=0, timestamp=NOON_MS, key=None, value=None)
    whole = SimpleNamespace(**record(postback(), 1)._asdict(), timestamp=NOON_MS)
    await joiner.handle(Fetch((Slice("postbacks", 0, 0, 2, [empty, whole]),)))
    (kept,) = quarantines(rig.kafka.sent)
    assert (kept.reason, kept.key, kept.value) == (Reason.MALFORMED_EVENT, "", "")
    assert len(cases(rig.kafka.sent)) == 1
    assert rig.kafka.commits == {POSTBACKS: 2}


async def test_a_long_key_is_cut_in_quarantine(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(postback())._replace(key=b"k" * 10_000)))
    (kept,) = quarantines(rig.kafka.sent)
    assert len(kept.key) == 500


# Sending


async def test_what_kafka_never_takes_holds_up_nothing_beside_it(rig: Rig):
    joiner = await rig.started()
    rig.kafka.answers = [RecordsRefused({0: "too large"})]
    await joiner.handle(fetch(record(click()), record(postback())))
    assert rig.kafka.asked == [["conversions"], ["quarantine"], ["notices"]]
    assert rig.kafka.commits == {CLICKS: 1, POSTBACKS: 1}


async def test_a_stop_waits_for_what_kafka_is_about_to_acknowledge(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox, "LAST_SEND_S", 60.0)
    joiner = await rig.started()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        joiner.stop()
        loop.call_later(0.05, rig.kafka.there.set)

    rig.kafka.there.clear()
    rig.kafka.on_send = stop
    await asyncio.wait_for(joiner.handle(fetch(record(postback()))), 60)
    assert (rig.kafka.commits, rig.failures) == ({POSTBACKS: 1}, [])


async def test_where_others_have_the_partitions_nothing_more_is_written_sent_or_committed(rig: Rig):
    """They got them while this fetch was in work: what it had not written by then is theirs."""
    joiner = await rig.started()
    writes: list[int] = []

    def noted(number: int, apply: Callable[[Any], None], changes: Any) -> None:
        apply(changes)
        writes.append(number)
        joiner.ties.fence.lost()

    for number, state in joiner.assignment.open.items():
        state.apply = partial(noted, number, state.apply)  # type: ignore[method-assign]
    elsewhere = record(click(), partition=1)
    both = Fetch(fetch(record(postback())).slices + fetch(elsewhere).slices)
    await joiner.handle(both)
    assert writes == [0]
    assert (rig.kafka.asked, rig.kafka.commits, rig.failures) == ([], {}, [])


# Kafka is away


async def test_whatever_is_asked_of_a_kafka_that_is_away_is_asked_again(rig: Rig):
    answers: list[Exception] = [Unreachable("no"), Unavailable("not now")]
    asked: list[Logs] = []

    def read(_: Settings) -> Logs:
        if answers:
            raise answers.pop()
        asked.append(LOGS)
        return LOGS

    joiner = rig.joiner()
    joiner.ties._ask = joiner.ties._ask._replace(logs=read)
    assert await asyncio.wait_for(joiner.start_at(ASSIGNED), 60) is not None
    assert (len(asked), answers, rig.failures) == (1, [], [])


async def test_a_stop_ends_the_asking(rig: Rig):
    joiner = rig.joiner()

    def never(_: Settings) -> Logs:
        joiner.stop()
        raise Unreachable("no")

    joiner.ties._ask = joiner.ties._ask._replace(logs=never)
    assert await asyncio.wait_for(joiner.start_at(ASSIGNED), 60) is None
    assert rig.failures == []


# One after another


async def test_whoever_uses_a_state_has_the_turn(rig: Rig):
    """Facts that come, what waits, what expires, an assignment, a closing: two at once would contradict."""
    joiner = await rig.started()
    had: dict[str, bool] = {}

    def noting(name: str, work: Callable[..., _Given]) -> Callable[..., _Given]:
        def noted(*given: Any, **more: Any) -> _Given:
            had[name] = joiner.ties.turn.locked()
            return work(*given, **more)

        return noted

    for name, part, method in (
        ("a fetch", joiner._storing, "absorb"),
        ("what waits", joiner._storing, "resume"),
        ("what expires", joiner._expirer, "take"),
        ("a closing", joiner.assignment, "_close"),
        ("an opening", joiner.assignment.store, "open"),
    ):
        setattr(part, method, noting(name, getattr(part, method)))
    rig.logs = LOGS._replace(end=dict.fromkeys(LOGS.end, 0))
    await joiner.start_at(ASSIGNED)
    await joiner.handle(fetch(record(click())))
    await joiner.resume()
    await joiner.expire()
    await joiner.released(frozenset(TP(topic, 1) for topic in FACTS))
    assert had.pop("a closing")
    await joiner.start_at(ASSIGNED)
    await joiner.close()
    assert had == dict.fromkeys(["a fetch", "what waits", "what expires", "a closing", "an opening"], True)


async def test_after_a_failure_nothing_expires(rig: Rig):
    """What could not be written is not known to be lost: nothing may be built on it."""
    rig.logs = LOGS._replace(end=dict.fromkeys(LOGS.end, 0))
    joiner = await rig.started()
    await joiner.handle(fetch(record(click())))
    with joiner._ending_the_process():
        raise OSError("the disk fails")
    before = joiner.assignment.open[0].expired
    await joiner.expire()
    assert joiner.assignment.open[0].expired == before
    assert len(rig.failures) == 1


async def test_what_expires_leaves_at_once_however_many_pieces_it_has(rig: Rig):
    rig.logs = LOGS._replace(end=dict.fromkeys(LOGS.end, 0))
    joiner = await rig.started()
    await joiner.handle(fetch(record(click())))
    pieces = [True, True, False]
    joiner._expirer.take = lambda *_: SimpleNamespace(  # type: ignore[method-assign, assignment]
        impressions=0, clicks=0, statements=0, more=pieces.pop(0)
    )
    await joiner.expire()
    assert pieces == []


# What is known comes again


async def test_while_a_transaction_waits_a_known_fact_lets_its_case_be_sent_again_as_it_is(rig: Rig):
    joiner = await rig.started()
    first = record(postback())
    await joiner.handle(fetch(first))
    await joiner.handle(fetch(record(postback(sequence=3, catalog_version=2), 1)))
    rig.kafka.sent.clear()
    another = record(postback(sequence=4, catalog_version=2), 3)
    await joiner.handle(fetch(first._replace(offset=2), another))
    assert [case.version for case in cases(rig.kafka.sent)] == [version(1)]


async def test_each_fact_counts_in_the_version_of_its_case(rig: Rig):
    """Not only one more than before: who knows more facts has the greater version, whoever sent last."""
    joiner = await rig.started()
    await joiner.handle(fetch(record(postback())))
    more = [record(postback(sequence=at, sale_amount=20 + at), at) for at in (3, 4, 5)]
    await joiner.handle(fetch(*more, start=1))
    assert [case.version for case in cases(rig.kafka.sent)] == [version(1), version(4)]
