"""A journal on its way: in order, the cursor only over what was acknowledged, nothing twice without need."""

import asyncio
import threading
from pathlib import Path

import pytest

from ingest.journal.reader import Reader
from ingest.journal.segments import Position
from ingest.shipping import carrier as carrier_module
from tests.ingest.shipper.fakes import Edge, FakeKafka, FakeTopic, until


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice holds one event."""
    monkeypatch.setattr(carrier_module, "SLICE_BYTES", 1)


async def test_what_is_committed_is_shipped_once_and_in_order(edge: Edge, kafka: FakeKafka) -> None:
    edge.accept(50)
    edge.accept(7, topic="postbacks")
    async with edge.carrying():
        await until(lambda: len(kafka.receipts) == 57)
        edge.accept(20)
        await until(lambda: len(kafka.receipts) == 77)
    assert sorted(kafka.receipts) == sorted(edge.receipts)
    for log in kafka.values("clicks"):
        numbers = [int(value.split(b"-")[1].split(b'"')[0]) for value in log]
        assert numbers == sorted(numbers)


async def test_a_restart_goes_on_where_the_cursor_is(edge: Edge, kafka: FakeKafka) -> None:
    edge.accept(10)
    await edge.ship_all()
    edge.reopen()
    edge.accept(5)
    await edge.ship_all()
    assert sorted(kafka.receipts) == sorted(edge.receipts)


async def test_the_cursor_does_not_move_before_the_acknowledgement(edge: Edge, kafka: FakeKafka) -> None:
    kafka.hold = True
    edge.accept(3)
    async with edge.carrying() as carrier:
        await until(lambda: kafka.held)
        edge.seconds += 2
        await edge.turns()
        assert carrier.logbook.position == Position()
    assert edge.saved.position == Position()
    kafka.release()
    await edge.ship_all()
    assert set(kafka.receipts) >= set(edge.receipts)


@pytest.mark.usefixtures("slices")
async def test_a_piece_that_arrives_before_an_earlier_one_does_not_move_the_cursor(
    edge: Edge, kafka: FakeKafka
) -> None:
    kafka.topics["clicks"] = FakeTopic(64)  # each event its own partition: within one, order is kept
    kafka.hold = True
    edge.accept(3)
    async with edge.carrying() as carrier:
        await until(lambda: len(kafka.held) == 3)
        kafka.answer(2)
        kafka.answer(1)
        await edge.turns()
        assert carrier.logbook.position == Position()
        kafka.answer(0)
        await until(lambda: carrier.logbook.position == edge.journal.committed)
    assert sorted(kafka.receipts) == sorted(edge.receipts)


@pytest.mark.usefixtures("slices")
async def test_what_kafka_lost_is_sent_again_with_all_that_came_after_it(
    edge: Edge, kafka: FakeKafka
) -> None:
    kafka.hold = True
    edge.accept(3)
    async with edge.carrying() as carrier:
        await until(lambda: len(kafka.held) == 3)
        kafka.answer()
        kafka.gone = "timed out"
        kafka.answer()
        kafka.gone = ""
        kafka.answer()
        await until(lambda: len(kafka.held) == 2)
        assert carrier.logbook.cursor.receipt_id == edge.receipts[0]
        kafka.release()
        await until(lambda: carrier.logbook.position == edge.journal.committed)
    assert sorted(kafka.receipts) == sorted([*edge.receipts, edge.receipts[2]])


async def test_while_kafka_is_away_nothing_is_read_and_the_pauses_grow(edge: Edge, kafka: FakeKafka) -> None:
    kafka.gone = "away"
    edge.accept(3)
    async with edge.carrying() as carrier:
        await until(lambda: len(edge.waits) >= 7)
        assert edge.waits[:7] == [0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0]
        assert len(carrier._flight) == 0
        kafka.gone = ""
        await until(lambda: len(kafka.receipts) == 3)
        kafka.gone = "away again"
        edge.waits.clear()
        edge.accept(1)
        await until(lambda: 0.1 in edge.waits)


async def test_memory_is_bounded_while_kafka_does_not_answer(
    edge: Edge, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier_module, "FLIGHT_RECORDS", 20)
    monkeypatch.setattr(carrier_module, "SLICE_BYTES", 1)
    kafka.hold = True
    edge.accept(200)
    async with edge.carrying():
        await until(lambda: len(kafka.held) == 20)
        await asyncio.sleep(0.05)
        assert len(kafka.held) == 20
        kafka.release()
        await until(lambda: len(kafka.receipts) == 200)


async def test_memory_is_bounded_by_bytes_too(
    edge: Edge, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier_module, "FLIGHT_BYTES", 1_000)
    monkeypatch.setattr(carrier_module, "SLICE_BYTES", 1)
    kafka.hold = True
    edge.accept(20, pad=400)
    async with edge.carrying():
        await until(lambda: kafka.held)
        await asyncio.sleep(0.02)
        assert len(kafka.held) == 3


async def test_a_busy_loop_is_left_alone_for_longer(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a slice the loop came back 1 ms late, busy with answers: it gets 4 ms more for them."""
    monkeypatch.setattr(carrier_module, "SLICE_BYTES", 1)
    edge.accept(2)
    wait = edge._wait

    async def busy(seconds: float) -> None:
        await wait(seconds)
        edge.seconds += seconds + 0.001

    edge._wait = busy  # type: ignore[method-assign]
    await edge.ship_all()
    assert [round(each, 6) for each in edge.waits[:4]] == [0.002, 0.004, 0.002, 0.004]


async def test_the_cursor_is_saved_each_second_and_survives_a_loss_of_power(edge: Edge) -> None:
    edge.accept(5)
    async with edge.carrying() as carrier:
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        assert edge.saved.position == Position()
        edge.seconds += 1
        await until(lambda: edge.saved.position == edge.journal.committed)
        assert edge.saved == carrier.logbook.cursor
    edge.disk.lose_power(lambda _: 0)
    assert edge.saved.position == edge.journal.committed


async def test_a_cursor_that_cannot_be_saved_stops_nothing(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    edge.accept(5)
    async with edge.carrying():
        await until(lambda: len(kafka.receipts) == 5)
        edge.disk.faults.left["create"] = 3
        for left in (2, 1, 0):
            edge.seconds += 1
            await until(lambda left=left: edge.disk.faults.left["create"] == left)  # type: ignore[misc]
        edge.accept(1)
        await until(lambda: len(kafka.receipts) == 6)
        edge.seconds += 1
        await until(lambda: edge.saved.receipt_id == edge.receipts[-1])
    assert len(kafka.receipts) == 6
    assert caplog.text.count("the cursor cannot be saved") == 1


async def test_damaged_bytes_are_set_aside_and_counted_and_the_rest_is_shipped(
    edge: Edge, kafka: FakeKafka
) -> None:
    edge.accept(20)
    (segment,) = [path for path in edge.disk.files if path.suffix == ".seg"]
    edge.disk.files[segment].flip(len(edge.disk.files[segment].content) // 2, 3)
    await edge.ship_all()
    assert set(edge.receipts) - set(kafka.receipts) == {
        receipt for receipt in edge.receipts if receipt not in kafka.receipts
    }
    assert len(kafka.receipts) == 19
    assert edge.counters._damaged._value.get() == 1


async def test_a_disk_that_cannot_be_read_is_tried_again(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    edge.accept(5)
    opened, failures = edge.disk.open, [OSError(5, "Input/output error")]

    def once(path: object) -> object:
        if failures and str(path).endswith(".seg"):
            raise failures.pop()
        return opened(path)  # type: ignore[arg-type]

    edge.disk.open = once  # type: ignore[method-assign,assignment]
    async with edge.carrying():
        await until(lambda: len(kafka.receipts) == 5)
    assert "Input/output error" in caplog.text


async def test_a_disk_that_hangs_at_a_read_holds_up_nobody_else(
    edge: Edge, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: the loop that reads for the shipper is the one that answers."""
    monkeypatch.setattr(asyncio, "to_thread", asyncio.threads.to_thread)
    edge.accept(3)
    carrier = edge.carrier()
    carrier.finish()
    whole, in_loop = edge.disk.names, []

    def names(directory: Path) -> list[str]:
        in_loop.append(threading.current_thread() is threading.main_thread())
        return whole(directory)

    edge.disk.names = names  # type: ignore[method-assign]
    await asyncio.wait_for(carrier.run(), 60)
    assert len(kafka.receipts) == 3
    assert in_loop
    assert not any(in_loop)


async def test_a_file_is_not_closed_while_it_is_read(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard: its number may be another file's by then."""
    monkeypatch.setattr(asyncio, "to_thread", asyncio.threads.to_thread)
    edge.accept(3)
    begun, may_end, seen = threading.Event(), threading.Event(), []

    def read(_self: Reader, _end: Position | None, _max_bytes: int) -> None:
        begun.set()
        may_end.wait(60)
        seen.append("read")
        raise OSError("gone")

    monkeypatch.setattr(Reader, "read", read)
    monkeypatch.setattr(Reader, "close", lambda _self: seen.append("closed"))
    work = asyncio.create_task(edge.carrier().run())
    await asyncio.to_thread(begun.wait, 60)
    work.cancel()
    for _ in range(10):
        await asyncio.sleep(0)  # a turn of the loop: whoever would close it has done so
    may_end.set()
    await asyncio.wait({work})
    assert seen == ["read", "closed"]


async def test_trouble_is_said_once_until_it_is_over(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    del kafka.topics["clicks"]
    edge.accept(1)
    async with edge.carrying():
        await edge.turns()
        assert [line for line in caplog.messages if "not shipped" in line] == [
            "/state/journal/0: not shipped: Kafka has no topic clicks: roundtrip migrate"
        ]
        kafka.remake("clicks")
        await until(lambda: len(kafka.receipts) == 1)
        await until(lambda: "shipped again" in caplog.text)


async def test_that_kafka_is_away_is_not_said_a_second_time(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    edge.server.lost("1/1 brokers are down")
    kafka.gone = "away"
    async with edge.carrying():
        await edge.turns()
    assert [line for line in caplog.messages if "not shipped" in line] == []
