"""What a lost or stale state lacks, how it is read, and what interrupts it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import msgspec
import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from schemas import decisions
from schemas.decisions import Case, encode
from schemas.topics import FACTS
from service.errors import Problem
from service.kafka import Record, Stretch
from streams.batch import placement
from streams.batch.batch import Batch
from streams.joiner import Joiner
from streams.kafka.fence import boot_s
from streams.kafka.topics import EMITTED, READ
from streams.metrics import Metrics
from streams.restoring import restore, restorer
from streams.restoring.progress import Progress
from streams.restoring.restore import Span
from streams.restoring.restorer import Job
from streams.state.bundles import Bundle
from streams.state.changes import Changes
from streams.state.layout import Position
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams.joining import (
    NOON_MS,
    cases,
    click,
    content,
    decide,
    last_cases,
    postback,
    record,
    version,
)
from tests.streams.rig import LOGS, Rig, fetch

KNOWN = {topic: Position(40, f"cluster:{topic}") for topic in READ}


def committed(offset: int) -> dict[tuple[str, int], int]:
    return {(topic, 0): offset for topic in FACTS}


@pytest.mark.parametrize(
    ("positions", "group", "emitted", "expected"),
    [
        ({}, {}, 0, ()),
        ({}, {}, 9, (Span(EMITTED, 0, 9),)),
        ({}, committed(60), 0, tuple(Span(topic, 0, 60) for topic in FACTS)),
        (KNOWN, committed(30), 50, ()),
        (KNOWN, committed(40), 50, ()),
        (KNOWN, committed(60), 50, (Span(EMITTED, 40, 50), *(Span(topic, 40, 60) for topic in FACTS))),
        (KNOWN, {("clicks", 0): 60}, 50, (Span(EMITTED, 40, 50), Span("clicks", 40, 60))),
        (KNOWN, committed(101), 50, ()),
        ({EMITTED: KNOWN[EMITTED]}, {}, 50, (Span(EMITTED, 40, 50),)),
    ],
    ids=[
        "a first start",
        "only the group was forgotten",
        "nothing was ever sent",
        "ahead of the commits",
        "at the commits",
        "a stale state",
        "behind in one topic",
        "committed in another log",
        "interrupted before any fact",
    ],
)
def test_what_a_state_lacks(
    positions: Mapping[str, Position],
    group: Mapping[tuple[str, int], int],
    emitted: int,
    expected: tuple[Span, ...],
):
    found = LOGS._replace(committed=group, end={**LOGS.end, (EMITTED, 0): emitted})
    assert restore.missing(found, 0, positions) == expected


class Kept:
    """Topics in memory, as service.kafka.Ranges reads them. start: the first offset still there."""

    def __init__(self, topics: Mapping[str, list[Record]], start: int = 0, at_once: int = 2) -> None:
        self.topics = topics
        self.start = start
        self.at_once = at_once
        self.asked = threading.Event()
        self.may = threading.Event()
        self.may.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read(self, topic: str, partition: int, start: int, end: int, _: int) -> Iterator[Stretch]:
        mine = [each for each in self.topics.get(topic, []) if each.partition == partition]
        at = max(start, self.start)
        if mine and start > mine[-1].offset + 1:
            at = 0
        while at < end:
            self.asked.set()
            if not self.may.wait(0.01):
                yield Stretch([], at)
                continue
            found = [each for each in mine if at <= each.offset][: self.at_once]
            if not found:
                yield Stretch([], mine[-1].offset + 1 if mine else at)
                return
            at = found[-1].offset + 1
            yield Stretch([each for each in found if each.offset < end], at)


CLICKS = [record(click(f"t{number}", number), number) for number in range(10)]


def taken(source: Any, span: Span) -> list[tuple[int, int]]:
    """(how many records, the offset after them) of each write."""
    found: list[tuple[int, int]] = []
    restore.read(
        source, 0, [span], lambda _, records, end, __: found.append((len(records), end)), lambda: False
    )
    return found


def test_a_span_is_written_with_the_offset_after_each_batch():
    assert taken(Kept({"clicks": CLICKS}), Span("clicks", 1, 6)) == [(2, 3), (2, 5), (1, 6)]


def test_what_retention_deletes_meanwhile_is_told_and_passed(caplog: pytest.LogCaptureFixture):
    assert taken(Kept({"clicks": CLICKS}, start=4), Span("clicks", 1, 6)) == [(2, 6)]
    assert "clicks/0: records 1 to 3 were deleted before they were restored" in caplog.text


def test_compaction_leaves_holes_and_may_take_the_last():
    compacted = [each._replace(topic=EMITTED) for each in CLICKS[::4]]
    assert taken(Kept({EMITTED: compacted}), Span(EMITTED, 0, 12))[-1] == (0, 12)


@pytest.mark.parametrize("log", [CLICKS[:3], CLICKS[:5]])
def test_another_log_behind_the_name_ends_it(log: list[Record]):
    with pytest.raises(Problem, match="another log"):
        taken(Kept({"clicks": log}), Span("clicks", 5, 9))


def test_another_log_that_is_as_long_ends_it_too():
    class Anew(Kept):
        def read(self, topic: str, partition: int, start: int, end: int, _: int) -> Iterator[Stretch]:  # noqa: ARG002  begins anew
            return super().read(topic, partition, 0, end, _)

    with pytest.raises(Problem, match="another log"):
        taken(Anew({"clicks": CLICKS}), Span("clicks", 5, 9))


def test_how_far_it_has_come_is_said_in_words():
    progress = Progress()
    assert progress.told(0) == ""
    progress.expect([8_000_000, 2_000_000], 100)
    progress.partition_done()
    progress.read(1_200_000)
    assert progress.told(115) == "1 of 2 partitions, 1.2 M of 10.0 M facts, 80 000/s, 110 s left"
    progress.partition_done()
    assert progress.told(116) == ""


# In the joiner


@pytest.fixture
async def decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Every key belongs where it lies."""
    monkeypatch.setattr(placement, "sorted_out", lambda records, _: (list(records), []))
    rig = Rig(tmp_path)
    yield rig
    for joiner in rig.made:
        await joiner.close()  # also where a test failed: a restore that waits would keep its thread for ever


STATED = [record(postback(f"t{number}", 100 + number), number) for number in range(10)]


def sent_as(case_records: list[Any]) -> list[Record]:
    return [Record(EMITTED, 0, offset, 0, each.key, each.value) for offset, each in enumerate(case_records)]


async def lost(rig: Rig, facts: int = 10) -> Kept:
    """All was decided by another worker whose state is gone; what Kafka holds of it."""
    joiner = await rig.started()
    await joiner.handle(fetch(*CLICKS, *STATED))
    await joiner.close()
    emitted = sent_as([each for each in rig.kafka.sent if each.topic == EMITTED])
    rig.kafka.sent.clear()
    rig.kafka.commits.clear()
    rig.directory /= "empty"
    end = LOGS.end | dict.fromkeys([("clicks", 0), ("postbacks", 0)], 10) | {(EMITTED, 0): len(emitted)}
    group = {("clicks", 0): facts, ("postbacks", 0): facts}
    rig.logs = LOGS._replace(end=end, committed=group)
    return Kept({"clicks": CLICKS, "postbacks": STATED, EMITTED: emitted})


def restoring(rig: Rig, source: Kept) -> Joiner:
    made = rig.joiner()
    made.assignment.restorer._source = lambda _: source
    return made


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  no event says so
            await asyncio.sleep(0.001)


async def whole(joiner: Joiner) -> None:
    await until(lambda: 0 in joiner.partitions)


async def test_a_restored_state_sends_nothing_and_knows_versions(decided: Rig):
    source = await lost(decided)
    joiner = restoring(decided, source)
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    offsets = await joiner.start_at(frozenset(TP(topic, 0) for topic in READ))
    assert offsets is not None
    assert offsets[TP("clicks", 0)] == 10
    await whole(joiner)
    await until(lambda: not decided.kafka.held)
    assert decided.kafka.sent == []
    kept = dict.fromkeys((TP(topic, 0) for topic in ("clicks", "postbacks", EMITTED)), 10)
    assert decided.kafka.commits == {TP(topic, 0): 0 for topic in READ} | kept
    await joiner.handle(fetch(record(postback("t3", 500), 10)))
    assert [case.version for case in cases(decided.kafka.sent)] == [version(3)]
    run.cancel()
    await joiner.close()


async def test_nothing_is_read_of_a_partition_until_it_is_whole(decided: Rig):
    source = await lost(decided)
    source.may.clear()
    joiner = restoring(decided, source)
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    await joiner.start_at(frozenset(TP(topic, number) for topic in READ for number in (0, 1)))
    await asyncio.to_thread(source.asked.wait, 60)
    assert joiner.partitions == [1]
    assert decided.kafka.held == {TP(topic, 0) for topic in READ}
    assert joiner.assignment.restorer.told().startswith("0 of 1 partitions, 0 of 30 facts")
    await joiner.handle(fetch(record(postback("t77", 500), 10)))
    assert decided.kafka.sent == []
    source.may.set()
    await whole(joiner)
    await until(lambda: not decided.kafka.held)
    run.cancel()
    await joiner.close()


async def test_a_revocation_cuts_a_restore_short_and_the_next_goes_on(decided: Rig):
    source = await lost(decided)
    joiner = restoring(decided, source)
    keep, passed = joiner.assignment._keep, threading.Event()

    def slowly(*given: Any) -> None:
        keep(*given)
        source.may.clear()
        passed.set()

    joiner.assignment.restorer._keep = slowly
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    assigned = frozenset(TP(topic, 0) for topic in READ)
    await joiner.start_at(assigned)
    await asyncio.to_thread(passed.wait, 60)
    await asyncio.wait_for(joiner.released(assigned), 60)
    state = Store(decided.directory / "joiner").open(0)
    assert state.positions[EMITTED].offset == 2
    state.close()
    joiner.assignment.restorer._keep = keep
    source.may.set()
    await joiner.start_at(assigned)
    await whole(joiner)
    assert decided.kafka.sent == []
    run.cancel()
    await joiner.close()


async def test_the_outbox_of_an_overtaken_state_is_not_sent_and_its_case_is_decided_anew(decided: Rig):
    source = await lost(decided)
    stale = decided.joiner()
    group, decided.logs = decided.logs, LOGS
    decided.kafka.there.clear()
    called = asyncio.Event()
    decided.kafka.on_send = called.set
    await stale.start_at(frozenset(TP(topic, 0) for topic in READ))
    work = asyncio.ensure_future(stale.handle(fetch(STATED[0])))  # without its click
    await asyncio.wait_for(called.wait(), 60)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await stale.close()
    decided.kafka.there.set()
    decided.logs = group
    joiner = restoring(decided, source)
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    await joiner.start_at(frozenset(TP(topic, 0) for topic in READ))
    assert decided.kafka.sent == []
    await whole(joiner)
    await until(lambda: not decided.kafka.held)
    facts = [click("t0", 0), postback("t0", 100)]
    last = last_cases(decided.kafka.sent)
    assert all(content(case).conversions == decide(facts).cases[0] for case in last.values())
    run.cancel()
    await joiner.close()


async def test_a_restored_partition_decides_at_once_what_waited_for_that(decided: Rig):
    """Here a case that another worker decided from a part of the facts."""
    source = await lost(decided)
    (right, *others) = source.topics[EMITTED]
    case = msgspec.json.decode(right.value, type=Case)
    phantom = msgspec.structs.replace(case, version=case.version + 5, conversions=())
    source.topics = {**source.topics, EMITTED: [right._replace(value=encode(phantom)), *others]}
    joiner = restoring(decided, source)
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    await joiner.start_at(frozenset(TP(topic, 0) for topic in READ))
    await whole(joiner)
    await until(lambda: not decided.kafka.held)
    (corrected,) = cases(decided.kafka.sent)
    assert (corrected.version, content(corrected)) == (case.version + 6, content(case))
    run.cancel()
    await joiner.close()


async def test_a_restored_partition_decides_nothing_while_its_group_may_have_given_it_away(decided: Rig):
    joiner = restoring(decided, await lost(decided))
    resume, decided_while_open = joiner._storing.resume, list[bool]()

    def noted(state: Partition) -> None:
        decided_while_open.append(joiner.ties.fence.is_open)
        resume(state)

    joiner._storing.resume = noted  # type: ignore[method-assign]
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    await joiner.start_at(frozenset(TP(topic, 0) for topic in READ))
    joiner.ties.fence.lost()
    joiner.ties.fence.confirmed(-1e9)
    await whole(joiner)
    await asyncio.sleep(0)
    assert decided_while_open == []
    joiner.ties.fence.confirmed(boot_s())
    await until(lambda: not decided.kafka.held)
    assert decided_while_open == [True]
    run.cancel()
    await joiner.close()


async def test_a_restored_state_is_synced_before_it_takes_part(decided: Rig, monkeypatch: pytest.MonkeyPatch):
    """What is then written is: a power cut must not leave it without what it rests on."""
    joiner = restoring(decided, await lost(decided))
    order, take_part = list[str](), joiner.assignment.restorer._whole
    monkeypatch.setattr(Partition, "sync", lambda _: order.append("synced"))

    async def noted(state: Partition) -> None:
        order.append("takes part")
        await take_part(state)

    joiner.assignment.restorer._whole = noted
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    await joiner.start_at(frozenset(TP(topic, 0) for topic in READ))
    await whole(joiner)
    assert order == ["synced", "takes part"]
    run.cancel()
    await joiner.close()


async def test_who_looks_from_outside_sees_a_long_restore_go_on(
    decided: Rig, monkeypatch: pytest.MonkeyPatch
):
    """By a note beside the committed offsets: else the worker would count as silent, and be ended."""
    monkeypatch.setattr(restorer, "TELL_S", 0.001)
    source = await lost(decided)
    source.may.clear()
    joiner = restoring(decided, source)
    run = asyncio.ensure_future(joiner.assignment.restorer.run())
    await joiner.start_at(frozenset(TP(topic, 0) for topic in READ))
    await until(lambda: any(each.startswith("0 of 1 partitions") for each in decided.kafka.events))
    source.may.set()
    await whole(joiner)
    run.cancel()
    await joiner.close()


async def test_many_partitions_that_take_little_each_are_told_of_as_well(monkeypatch: pytest.MonkeyPatch):
    """64 of 3 s take three minutes: without a word for a minute the worker would be ended as silent."""
    now, said = [0.0], list[float]()
    monkeypatch.setattr(restorer, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def say(_: str) -> None:
        said.append(now[0])

    def took() -> None:
        now[0] += 3

    async def whole(_: object) -> None:
        pass

    made = restorer.Restorer(
        None,  # type: ignore[arg-type]
        Metrics(CollectorRegistry()),
        lambda *_: None,
        whole,
        say,
        lambda _: contextlib.nullcontext(),  # type: ignore[arg-type,return-value]
    )
    run = asyncio.ensure_future(made.run())
    made.begin([Job(SimpleNamespace(number=number, sync=took), ()) for number in range(10)])  # type: ignore[arg-type]
    await until(lambda: not made.partitions)
    assert said == [12.0, 24.0]
    run.cancel()


def test_a_notice_that_an_overtaken_state_still_had_to_send_counts_as_unsent(tmp_path: Path):
    """Else it would be lost: nobody else need have sent it, and this state would think that it was told."""
    state = Store(tmp_path).open(0)
    batch = Batch(state, decide, NOON_MS)
    batch.absorb([record(click("t0", 1)), record(postback("t0", 2))])
    state.apply(batch.changes)
    assert [each.topic for each in state.unsent()] == ["conversions", "notices"]
    assert state.notices(Bundle("t0"))
    changes = Changes()
    restore.forget_unsent(state, changes)
    state.apply(changes)
    assert state.notices(Bundle("t0")) == {}
    again = Batch(state, decide, NOON_MS)
    again.resume([bundle for _, bundle in state.waiting(b"", 10)])
    assert [each.topic for each in again.changes.outbox] == ["conversions", "notices"]
    assert [case.version for case in cases(again.changes.outbox)] == [version(2) + 1], "part may be there"
    state.close()


def test_a_notice_that_nobody_is_known_to_have_sent_is_sent_also_where_others_sent_its_case(tmp_path: Path):
    """They may have died between the two: what they committed, or not, tells nothing of it."""
    facts_read = [record(click("t0", 1)), record(postback("t0", 2))]
    state = Store(tmp_path).open(0)
    ours = Batch(state, decide, NOON_MS)
    ours.absorb(facts_read)
    state.apply(ours.changes)
    (case, _) = state.unsent()
    silent = Batch(state, decide, NOON_MS, silent=True)
    restore.forget_unsent(state, silent.changes)
    silent.take_cases([Record(EMITTED, 0, 0, NOON_MS, case.key, _newer(case.value))])
    silent.absorb([record(postback("t0", 3, goal_id=0), 9)])
    state.apply(silent.changes)
    again = Batch(state, decide, NOON_MS)
    again.resume([bundle for _, bundle in state.waiting(b"", 10)])
    assert [each.topic for each in again.changes.outbox] == ["conversions", "notices"]
    state.close()


def _newer(value: bytes) -> bytes:
    held = decisions.decode(EMITTED, value)
    assert isinstance(held, Case)
    return decisions.encode(msgspec.structs.replace(held, version=held.version + 1))
