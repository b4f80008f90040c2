"""What the notifier promises, on fakes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from schemas import decisions
from schemas.decisions import Delivery, Notice
from service.errors import Unavailable
from service.kafka import Record
from sinks import notifier, patience
from sinks.dial import Answer
from sinks.memory import Memory, Place
from sinks.notifier import Notifier
from tests.sinks.examples import NOTICE, changed, record
from tests.sinks.fakes import FakeLogs, FakeOutlet, FakeSource, until


class Past:
    def ends(self) -> Mapping[int, Place]:
        return {0: Place("log", 7)}

    def remember(self, places: Mapping[int, Place], partitions: list[int]) -> None:
        self.remembered = (dict(places), partitions)


class Bench:
    """A notifier on fakes, with a real memory."""

    def __init__(self, directory: Path, records: list[Record]) -> None:
        self.source, self.outlet, self.past = FakeSource(records), FakeOutlet(), Past()
        self.memory = Memory(directory)
        self.stopping = asyncio.Event()
        self.called: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.notifier = Notifier(
            stopping=self.stopping,
            connect=lambda: self.source,
            outlet=self.outlet,
            memory=self.memory,
            past=self.past,
            dial=self.dial,
            watch=FakeLogs(),
            registry=CollectorRegistry(),
        )

    async def dial(self, url: str) -> Answer:
        self.called.append(url)
        if gate := self.gates.get(url):
            await gate.wait()
        return self.answers.get(url, Answer(200))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        work = asyncio.create_task(self.notifier.run())
        try:
            yield
            self.stopping.set()
            async with asyncio.timeout(60):
                await work
        finally:
            work.cancel()
            self.memory.close()

    @property
    def deliveries(self) -> list[Delivery]:
        return [
            msgspec.json.decode(each.value, type=Delivery)
            for each in self.outlet.sent
            if each.topic == "deliveries"
        ]

    def committed(self) -> int:
        return max((offset for commit in self.source.commits for offset in commit.values()), default=0)


def notices(*some: Notice) -> list[Record]:
    return [record("notices", n, decisions.encode(one)) for n, one in enumerate(some)]


def numbered(n: int, **fields: object) -> Notice:
    one: Notice = changed(
        NOTICE, notice_id=f"{n:032}", conversion_id=f"{n:032}", url=f"http://h{n}.example/", **fields
    )
    return one


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_S", 0.001)
    monkeypatch.setattr(notifier, "COMMIT_S", 0.01)


async def test_a_notice_is_told_once_and_its_delivery_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, notices(NOTICE))
    async with bench.running():
        await until(lambda: bench.committed() == 1)
    assert bench.called == [NOTICE.url]
    (delivery,) = bench.deliveries
    assert (delivery.notice_id, delivery.outcome, delivery.http_status, delivery.attempt, delivery.ended) == (
        NOTICE.notice_id,
        "delivered",
        200,
        1,
        True,
    )
    assert bench.outlet.sent[0].key == b"t1"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(204), "delivered"),
        (Answer(500, "oops"), "dead"),
        (Answer(detail="no answer"), "dead"),
        (Answer(detail="inside", forbidden=True), "refused"),
    ],
)
async def test_each_notice_ends_delivered_refused_or_dead_with_a_reason(
    tmp_path: Path, answer: Answer, outcome: str
) -> None:
    bench = Bench(tmp_path, notices(NOTICE))
    bench.answers[NOTICE.url] = answer
    async with bench.running():
        await until(lambda: bench.committed() == 1)
    assert [(each.outcome, each.http_status, each.detail) for each in bench.deliveries] == [
        (outcome, answer.status, answer.detail)
    ]


async def test_the_same_notice_again_is_not_told_again_not_even_after_a_restart(tmp_path: Path) -> None:
    """Guard: the memory of keys."""
    bench = Bench(tmp_path, notices(NOTICE, NOTICE, NOTICE))
    async with bench.running():
        await until(lambda: bench.committed() == 3)
    again = Bench(tmp_path, notices(NOTICE, changed(NOTICE, version=5)))
    async with again.running():
        await until(lambda: again.committed() == 2)
    assert (bench.called, len(bench.deliveries)) == ([NOTICE.url], 1)
    assert (again.called, again.deliveries) == ([], [])


async def test_nothing_is_committed_before_its_delivery_is_recorded(tmp_path: Path) -> None:
    """Guard: commit after the delivery was acknowledged."""
    bench = Bench(tmp_path, notices(NOTICE))
    bench.outlet.down = 1_000_000
    async with bench.running():
        await until(lambda: bench.outlet.down < 999_990)
        assert (bench.committed(), bench.memory.ended(NOTICE)) == (0, False)
        bench.outlet.down = 0
        await until(lambda: bench.committed() == 1)
    assert (bench.called, len(bench.deliveries)) == ([NOTICE.url], 1)


async def test_an_older_version_than_the_last_told_is_dropped_and_recorded(tmp_path: Path) -> None:
    newer = changed(NOTICE, notice_id="n" * 32, version=7, status="rejected", url="http://t.example/new")
    bench = Bench(tmp_path, notices(newer, NOTICE))
    async with bench.running():
        await until(lambda: bench.committed() == 2)
    assert bench.called == [newer.url]
    assert [(each.outcome, each.detail) for each in bench.deliveries] == [
        ("delivered", ""),
        ("refused", "superseded: version 7 was told before this version 1"),
    ]


async def test_another_subscription_is_told_its_own_version(tmp_path: Path) -> None:
    other = changed(NOTICE, notice_id="n" * 32, version=7, subscription="other", url="http://t.example/new")
    bench = Bench(tmp_path, notices(other, NOTICE))
    async with bench.running():
        await until(lambda: bench.committed() == 2)
    assert sorted(bench.called) == sorted([other.url, NOTICE.url])


async def test_notices_of_one_conversion_are_told_in_order(tmp_path: Path) -> None:
    first = changed(NOTICE, url="http://a.example/1")
    second = changed(NOTICE, notice_id="n" * 32, version=2, url="http://b.example/2")
    bench = Bench(tmp_path, notices(first, second))
    bench.gates[first.url] = asyncio.Event()
    async with bench.running():
        await until(lambda: bench.called == [first.url])
        await asyncio.sleep(0)
        assert bench.called == [first.url]
        bench.gates[first.url].set()
        await until(lambda: bench.committed() == 2)
    assert bench.called == [first.url, second.url]


async def test_a_host_that_hangs_holds_back_the_commit_but_no_other_notice(tmp_path: Path) -> None:
    hanging, *others = [numbered(n) for n in range(20)]
    bench = Bench(tmp_path, notices(hanging, *others))
    bench.gates[hanging.url] = asyncio.Event()
    async with bench.running():
        await until(lambda: len(bench.deliveries) == 19)
        assert bench.committed() == 0
        bench.gates[hanging.url].set()
        await until(lambda: bench.committed() == 20)


async def test_the_number_of_notices_in_work_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "WINDOW", 10)
    some = [numbered(n) for n in range(30)]
    bench = Bench(tmp_path, notices(*some))
    bench.gates = {one.url: asyncio.Event() for one in some}
    async with bench.running():
        await until(lambda: len(bench.called) == 10)
        assert len(bench.source.waiting) == 20
        for gate in bench.gates.values():
            gate.set()
        await until(lambda: bench.committed() == 30)


async def test_a_stop_lets_the_calls_at_hand_end_and_starts_no_more(tmp_path: Path) -> None:
    some = [changed(numbered(n), url="http://one.example/") for n in range(10)]
    bench = Bench(tmp_path, notices(*some))
    bench.gates["http://one.example/"] = asyncio.Event()
    async with bench.running():
        await until(lambda: len(bench.called) == 4)
        bench.stopping.set()
        bench.gates["http://one.example/"].set()
    assert (len(bench.called), len(bench.deliveries), bench.committed(), bench.source.closed) == (
        4,
        4,
        4,
        True,
    )


async def test_what_is_no_notice_goes_to_quarantine(tmp_path: Path) -> None:
    deep = b'{"a":' + b"[" * 9999 + b"]" * 9999 + b"}"
    values = [b"nonsense", b'{"notice_id":1}', deep]
    bench = Bench(tmp_path, [record("notices", n, value) for n, value in enumerate(values)])
    async with bench.running():
        await until(lambda: bench.committed() == 3)
    assert [each.topic for each in bench.outlet.sent] == ["quarantine"] * 3


async def test_from_time_to_time_it_remembers_where_a_restart_must_read_back_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "REMEMBER_S", 0.0)
    bench = Bench(tmp_path, notices(NOTICE))
    async with bench.running():
        await until(lambda: hasattr(bench.past, "remembered"))
    assert bench.past.remembered == ({0: Place("log", 7)}, [0])


async def test_a_fault_of_our_own_ends_the_process_uncommitted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, notices(NOTICE))

    async def broken(_url: str) -> Answer:
        raise ZeroDivisionError

    bench.notifier._dial = broken
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(60):
            await bench.notifier.run()
    assert bench.committed() == 0


async def test_a_replaced_reader_is_well_again_though_no_notice_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "CALM_S", 0.05)
    bench = Bench(tmp_path, [])
    bench.source.partitions = frozenset({("notices", 0)})
    good, attempts = bench.source.read, iter([Unavailable("fatal")])

    async def read(max_records: int, timeout_s: float) -> list[Record]:
        for error in attempts:
            raise error
        return await good(max_records, timeout_s)

    bench.source.read = read  # type: ignore[method-assign]
    async with bench.running():
        await until(lambda: bool(bench.notifier.reading.problem))
        await until(lambda: not bench.notifier.reading.problem)
