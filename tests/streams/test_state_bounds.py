"""What a state keeps count of, what it bounds, and what it remembers longer than the facts themselves."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest
from prometheus_client import CollectorRegistry

from schemas import facts, times
from schemas.facts import AnyFact
from schemas.topics import DAY_MS
from service.errors import Problem
from service.kafka import Outgoing, Record, Stretch
from service.settings import Settings
from streams import expirer, storing
from streams.batch import reading
from streams.batch.batch import Batch
from streams.expirer import Expirer
from streams.metrics import Metrics
from streams.restoring.restore import Span
from streams.restoring.restorer import Job, Restorer
from streams.state import layout, partition, reach
from streams.state.bundles import Bundle
from streams.state.changes import Changes
from streams.state.layout import Header, Position
from streams.state.partition import Partition
from streams.state.scan import Visits
from streams.state.store import Store
from streams.storing import Storing
from tests.streams.joining import NOON_MS, cases, click, decide, postback, record, version

T1 = Bundle("t1")


def at(day: float) -> dict[str, str]:
    moment = times.from_ms(NOON_MS + int(day * DAY_MS))
    return {"received_at": moment, "occurred_at": moment}


def absorbed(state: Partition, *given: AnyFact, day: float = 0.0, rules: Any = decide) -> list[Outgoing]:
    made = Batch(state, rules, NOON_MS, state.expired.time_ms)
    made.absorb([record(each)._replace(timestamp_ms=NOON_MS + int(day * DAY_MS)) for each in given])
    state.apply(made.changes)
    state.sent()
    return made.changes.outbox


def expired(state: Partition, day: float) -> None:
    while Expirer().take(state, NOON_MS + int(day * DAY_MS)).more:
        pass


# The numbers of its writes


def moved(number: int) -> Changes:
    return Changes(positions={"clicks": Position(number, "log")})


def test_a_write_that_is_missing_between_two_others_is_noticed(tmp_path: Path):
    state = Store(tmp_path).open(0)
    for number in range(4):
        state.apply(moved(number))
    state._db.delete(partition._WRITE_KEY + layout.number(2))
    state.close()
    with pytest.raises(Problem, match="of the last 4 writes only 3 are there"):
        Store(tmp_path).open(0)


def test_of_the_numbers_only_so_many_are_kept(state: Partition, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(partition, "_WRITES", 3)
    for number in range(8):
        state.apply(moved(number))
    assert sum(key.startswith(partition._WRITE_KEY) for key, _ in state._db.items()) == 3


# How far it has come, as others are told


def test_how_far_a_state_has_come_is_said_once_it_outlasts_a_power_cut(state: Partition):
    state.apply(moved(7))
    state.apply(moved(9), synced=False)
    assert (state.path / reach.NAME).read_text() == "7"
    state.sync()
    assert (state.path / reach.NAME).read_text() == "9"


def test_where_it_cannot_be_said_nothing_depends_on_it(tmp_path: Path):
    reach.note(tmp_path / "gone", [7])


# What leaves


def test_what_was_emptied_is_compacted_once_it_is_much(state: Partition, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expirer, "RECLAIM_AFTER", 50)
    compacted: list[bytes] = []
    reclaim = state.reclaim

    def noted(kind: bytes) -> None:
        compacted.append(kind)
        reclaim(kind)

    state.reclaim = noted  # type: ignore[method-assign]
    absorbed(state, *(click(f"t{n}", n) for n in range(1, 100)), click("t100", 100, **at(45)))
    state._family["seen"].flush()
    taker = Expirer()
    taker.take(state, NOON_MS + 45 * DAY_MS)
    for _ in range(2):
        taker.reclaim(state)
    assert compacted == [layout.CLICK]
    state._family["seen"].flush()
    assert [each["num_entries"] for each in state._db.live_files() if each["start_key"][:1] == b"c"] == [1]


def test_a_piece_of_it_is_bounded(state: Partition):
    """Fetches wait meanwhile, and all of it is in memory."""
    given = [click(f"t{n}", n) for n in range(expirer.PIECE + 300)]
    kept = [
        layout.stored("clicks", each, facts.encode(each), layout.seen_key("clicks", each)) for each in given
    ]
    state.apply(Changes(facts=kept))
    gone = Expirer(clock=lambda: 0.0).take(state, NOON_MS + 99 * DAY_MS)
    assert (gone.clicks, gone.more) == (5_000, True)


def test_a_statement_is_known_as_long_as_its_bundle_is_kept(state: Partition):
    """One that comes again would else count as one more, and its case would not be sent again."""
    absorbed(state, postback(sequence=0))
    expired(state, 126.9)
    again = absorbed(state, postback(sequence=0), day=126.9)
    assert [case.version for case in cases(again)] == [version(1)]
    assert state.headers([T1])[0].facts == 1


def test_how_many_facts_took_part_is_not_forgotten_with_them(state: Partition):
    absorbed(state, *(click(sequence=n) for n in range(5)), postback(sequence=9))
    expired(state, 45)
    assert len(state.facts("t1")) == 1
    absorbed(state, postback(sequence=10, **at(46)), day=46)
    assert state.headers([T1])[0].facts == 7


def test_nor_when_the_statements_are_given_up(state: Partition):
    person = "d" + "0" * 31
    state.apply(Changes(headers={Bundle(person): Header(5, 0, 0, NOON_MS)}))
    absorbed(state, postback(person, 3))
    assert state.headers([Bundle(person)])[0].facts == 6


# What is read and written at once


def test_of_the_visits_of_one_click_s_identifier_so_many_are_read(
    state: Partition, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "MAX_VISITS", 2)
    seen: list[int] = []

    def rules(known: Sequence[AnyFact]) -> Any:
        seen.append(len(known))
        return decide(known)

    absorbed(state, *(click(sequence=n) for n in range(5)))
    absorbed(state, postback(sequence=9), rules=rules)
    assert seen == [3]


def test_what_waits_is_tried_in_writes_of_so_many_and_what_lacks_facts_not_at_all(
    state: Partition, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storing, "RESUME_AT_ONCE", 3)
    tried: list[list[Bundle]] = []
    due = [Bundle(f"t{n}") for n in range(5)]
    state.apply(
        Changes(
            waiting=[(layout.DUE, each) for each in due]
            + [(layout.LACKING, Bundle("lacks")), (layout.MENDED, Bundle("broken"))]
        )
    )
    monkeypatch.setattr(Batch, "resume", lambda _, bundles: tried.append(list(bundles)))
    Storing(decide, 1, Metrics(CollectorRegistry()), lambda: None).resume(state)
    assert tried == [due[:3], due[3:], [Bundle("broken")]]


def test_a_partner_is_told_under_the_greatest_version_of_all_that_was_sent(state: Partition):
    """Of two goals the one that another worker had raised comes first: its version is the greatest."""
    absorbed(state, postback(sequence=2))
    (key,) = state.cases(T1)
    known = state.cases(T1)[key]
    raised = layout.Emitted(known.version + 50, known.content, known.record)
    state.apply(Changes(cases={key: raised}))
    sent = absorbed(state, click(), postback(sequence=3, goal_id=3))
    told = [each.value for each in sent if each.topic == "notices"]
    assert max(case.version for case in cases(sent)) == version(1) + 51
    assert all(b'"version":%d' % (version(1) + 51) in each for each in told)
    assert told


# What fails


def test_a_seek_that_meets_bad_bytes_ends_the_worker(tmp_path: Path):
    class Cursor:
        def seek_for_prev(self, _: bytes) -> None: ...

        def valid(self) -> bool:
            return False

        def status(self) -> NoReturn:
            raise Exception("Corruption: block checksum mismatch")  # noqa: TRY002  as RocksDB does

    visits = Visits({layout.CLICK: Cursor()}, tmp_path)
    with pytest.raises(Problem, match="is damaged"):
        visits.last("a" + "0" * 31, layout.CLICK, 0, NOON_MS)


class Topics:
    """A Kafka to restore from, which waits before it answers."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self._wait = wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read(self, topic: str, number: int, start: int, end: int, _: int) -> Iterator[Stretch]:
        self._wait()
        yield Stretch([Record(topic, number, at, NOON_MS, b"", b"") for at in range(start, end)], end)


def restorer(tmp_path: Path, whole: list[Partition], wait: Callable[[], object]) -> Restorer:
    async def done(state: Partition) -> None:
        whole.append(state)

    async def say(_: str) -> None: ...

    given = Settings(dir=tmp_path), Metrics(CollectorRegistry()), lambda *_: None
    return Restorer(*given, done, say, lambda _: Topics(wait))


async def test_a_restore_that_fails_makes_nothing_whole(state: Partition, tmp_path: Path):
    def failing() -> NoReturn:
        raise Problem("another log")

    whole: list[Partition] = []
    made = restorer(tmp_path, whole, failing)
    made.begin([Job(state, (Span("clicks", 0, 3),))])
    with pytest.raises(Problem, match="another log"):
        await asyncio.wait_for(made.run(), 60)
    assert whole == []


async def test_a_restore_that_was_dropped_makes_nothing_whole_and_gives_its_state_back(
    state: Partition, tmp_path: Path
):
    loop, reading_, dropping = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def wait() -> None:
        loop.call_soon_threadsafe(reading_.set)
        asyncio.run_coroutine_threadsafe(dropping.wait(), loop).result(60)

    whole: list[Partition] = []
    made = restorer(tmp_path, whole, wait)
    made.begin([Job(state, (Span("clicks", 0, 3),))])
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(reading_.wait(), 60)
    drop = asyncio.create_task(made.drop())
    await asyncio.sleep(0)  # it says so at once, and waits for the reading to end
    dropping.set()
    assert await asyncio.wait_for(drop, 60) == [state]
    assert (whole, made.partitions, made.told()) == ([], 0, "")
    running.cancel()
