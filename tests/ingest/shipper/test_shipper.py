"""A collector's shipper: its own journal and those left by others; what a stop still ships."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from ingest import shipper as shipper_module
from ingest.journal import frames
from ingest.journal.directory import Directory
from ingest.journal.segments import Position
from ingest.shipper import Shipper
from ingest.shipping.backlog import Backlog, Measure
from tests.ingest.journal.samples import put
from tests.ingest.shipper.fakes import ROOT, Edge, FakeKafka, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENED_S", "TOGETHER_S", "LOOK_S", "MEASURE_S"):
        monkeypatch.setattr(shipper_module, name, 0.001)


@pytest.fixture
def told() -> list[tuple[str, int]]:
    """What was said of others' epochs."""
    return []


@pytest.fixture
async def shipper(edge: Edge, told: list[tuple[str, int]]) -> AsyncIterator[Shipper]:
    """Not started."""
    made = Shipper(edge.means, edge.journal, Directory(edge.disk, ROOT), lambda *tail: told.append(tail))
    yield made
    await made.close(0)


def start(shipper: Shipper) -> None:
    shipper.start(lambda work, name: asyncio.get_running_loop().create_task(work, name=name))


def left_behind(edge: Edge, count: int) -> list[str]:
    """Journal 1 belonged to a process that is gone."""
    other = Edge(edge.kafka)
    other.disk = edge.disk
    other.draw = edge.draw
    directory = Directory(edge.disk, ROOT)
    other.journal._directory = directory
    other.journal._held = None
    other.journal._disk = edge.disk
    other.journal.start()
    receipts = other.accept(count)
    other.journal.close()
    edge.receipts += receipts
    return receipts


async def test_what_the_journal_commits_is_shipped_until_the_stop(
    edge: Edge, kafka: FakeKafka, shipper: Shipper
) -> None:
    assert await shipper.backlog() == Backlog()
    start(shipper)
    edge.accept(10)
    await until(lambda: len(kafka.receipts) == 10)
    edge.accept(500)
    await shipper.close(60)
    assert sorted(kafka.receipts) == sorted(edge.receipts)
    assert edge.saved.position == edge.journal.committed
    assert await shipper.backlog() == Backlog()


async def test_a_stop_ends_with_the_grace_and_the_cursor_says_how_far_it_came(
    edge: Edge, kafka: FakeKafka, shipper: Shipper
) -> None:
    start(shipper)
    edge.accept(10)
    await until(lambda: len(kafka.receipts) == 10)
    reached = edge.journal.committed
    kafka.hold = True
    edge.accept(5)
    await until(lambda: kafka.held)
    await shipper.close(0.02)
    assert edge.saved.position == reached
    assert (await shipper.backlog()).events == 5


async def test_the_metrics_say_what_waits(edge: Edge, kafka: FakeKafka, shipper: Shipper) -> None:
    kafka.hold = True
    start(shipper)
    edge.accept(5)
    await until(lambda: edge.count("roundtrip_shipping_waiting_events") == 5)
    assert edge.count("roundtrip_shipping_waiting_bytes") > 0
    kafka.release()
    await until(lambda: edge.count("roundtrip_shipping_waiting_events") == 0)


async def test_a_disk_that_hangs_while_what_waits_is_measured_holds_up_nobody(
    edge: Edge, kafka: FakeKafka, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "to_thread", asyncio.threads.to_thread)
    kafka.hold = True
    hanging, go_on, too_long = threading.Event(), threading.Event(), threading.Event()

    def hangs(*_: object) -> Backlog:
        hanging.set()
        if not go_on.wait(60):
            too_long.set()  # nobody could go on meanwhile
        return Backlog()

    monkeypatch.setattr(Measure, "backlog", hangs)
    start(shipper)
    edge.accept(5)
    try:
        await until(hanging.is_set)
        kafka.release()
        await until(lambda: len(kafka.receipts) == 5)
        assert not too_long.is_set()
    finally:
        go_on.set()


async def test_a_stop_does_not_wait_for_a_kafka_that_is_known_to_be_away(
    edge: Edge, kafka: FakeKafka, shipper: Shipper
) -> None:
    kafka.hold = True
    start(shipper)
    edge.accept(5)
    await until(lambda: kafka.held)
    edge.server.lost("1/1 brokers are down")
    await asyncio.wait_for(shipper.close(3600), 60)


async def test_a_journal_that_opens_late_is_shipped_then(
    edge: Edge, kafka: FakeKafka, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk failed at the start. Until then nobody looks for others' journals: ours is one of them."""
    held, edge.journal._held = edge.journal._held, None
    looked: list[int] = []
    monkeypatch.setattr(Directory, "left_by_others", lambda _: looked.append(1) or [])
    edge.accept(3)
    start(shipper)
    await asyncio.sleep(0.02)
    assert (kafka.receipts, looked) == ([], [])
    edge.journal._held = held
    await until(lambda: len(kafka.receipts) == 3 and looked)


async def test_journals_left_by_others_are_shipped_and_given_back(
    edge: Edge, kafka: FakeKafka, shipper: Shipper
) -> None:
    left = left_behind(edge, 7)
    start(shipper)
    edge.accept(3)
    await until(lambda: set(kafka.receipts) == set(edge.receipts))
    await until(lambda: ROOT / "1" / "lock" not in edge.disk.locked)
    assert len(left) == 7
    more = left_behind(edge, 2)  # an owner came, and went
    await until(lambda: set(more) <= set(kafka.receipts))
    assert len(kafka.receipts) == len(set(kafka.receipts))


async def test_who_ships_a_journal_left_by_others_says_where_it_ends(
    edge: Edge, shipper: Shipper, told: list[tuple[str, int]]
) -> None:
    """Else a loss at its very end would be missed: its owner cannot say any more how far it came."""
    last = left_behind(edge, 7)[-1]
    start(shipper)
    await until(lambda: told)
    assert told == [(last.partition("-")[0], 7)]


async def test_a_journal_in_which_nothing_happens_costs_kafka_no_question(
    edge: Edge, kafka: FakeKafka, shipper: Shipper
) -> None:
    left_behind(edge, 2)
    start(shipper)
    await until(lambda: len(kafka.receipts) == 2)
    await edge.turns(20)
    asked = kafka.asked
    await edge.turns(50)
    assert kafka.asked == asked
    kafka.cuts += 1
    await until(lambda: kafka.asked > asked + 1)  # ours, and the one that was left


async def test_a_new_log_gets_what_others_left_too(edge: Edge, kafka: FakeKafka, shipper: Shipper) -> None:
    left_behind(edge, 5)
    start(shipper)
    edge.accept(5)
    await until(lambda: len(kafka.receipts) == 10)
    kafka.wipe()
    await until(lambda: set(kafka.receipts) == set(edge.receipts))


async def test_while_our_own_is_not_well_nobody_looks_for_others(
    edge: Edge, kafka: FakeKafka, shipper: Shipper, caplog: pytest.LogCaptureFixture
) -> None:
    """What hinders it hinders all: a line for each journal and look would be a flood."""
    left_behind(edge, 5)
    del kafka.topics["pixels"]
    start(shipper)
    await edge.turns(30)
    assert len([line for line in caplog.messages if "not shipped" in line]) == 1


async def test_a_journal_of_a_later_release_is_left_as_it_is_and_said_once(
    edge: Edge, kafka: FakeKafka, shipper: Shipper, caplog: pytest.LogCaptureFixture
) -> None:
    header = b'{"epoch":"00t41rptf4kf2sk7dhagm3x","first":1,"opened_ms":1,"format":99}'
    put(edge.disk, frames.seal(header) + b"x" * 500, directory=ROOT / "1")
    start(shipper)
    await until(lambda: "is left as it is" in caplog.text)
    edge.accept(3)
    await until(lambda: len(kafka.receipts) == 3)
    await edge.turns(30)
    assert len([line for line in caplog.messages if "left as it is" in line]) == 1
    await until(lambda: ROOT / "1" / "lock" not in edge.disk.locked)


async def test_a_bug_ends_the_work_with_its_error(edge: Edge, kafka: FakeKafka, shipper: Shipper) -> None:
    def broken(_records: object) -> None:
        raise RuntimeError("a bug")

    kafka.ship = broken  # type: ignore[method-assign,assignment]
    start(shipper)
    edge.accept(1)
    work = shipper._work
    assert work is not None
    await asyncio.wait({work}, timeout=60)
    assert isinstance(work.exception(), ExceptionGroup)
    assert edge.saved.position == Position()
