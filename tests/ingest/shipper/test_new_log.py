"""Another log is noticed however it came, and gets all that is kept; what is no other log does not."""

import asyncio
import contextlib
from collections.abc import Mapping

import pytest

from ingest import new_log
from ingest.journal import cursor as cursors
from ingest.journal import segments
from ingest.journal.cursor import Cursor, Mark
from ingest.journal.segments import Position
from ingest.new_log import differing, look, missing
from ingest.shipping import carrier as carrier_module
from schemas.topics import FACTS
from service.errors import Unavailable
from service.kafka import Partition, Record
from tests.ingest.shipper.fakes import OWN, Edge, FakeKafka, until

MARKS = {("clicks", 0): Mark(7, "e-7"), ("pixels", 2): Mark(3, "e-9")}


def record(topic: str, partition: int, offset: int, receipt_id: str) -> Record:
    return Record(topic, partition, offset, 0, b"", b'{"receipt_id":"%s"}' % receipt_id.encode())


SAME = {("clicks", 0): record("clicks", 0, 7, "e-7"), ("pixels", 2): record("pixels", 2, 3, "e-9")}


def test_identities_are_compared_and_a_topic_that_was_unknown_is_no_difference() -> None:
    assert differing({}, {"clicks": "c:1"}) == ""
    assert differing({"clicks": "c:1"}, {"clicks": "c:1", "pixels": "c:2"}) == ""
    assert differing({"clicks": "c:1"}, {"clicks": "d:1"}) == "clicks: another log (d:1, was c:1)"


def test_the_last_receipts_are_compared() -> None:
    assert missing(MARKS, SAME, {}) == ""
    other = {**SAME, ("pixels", 2): record("pixels", 2, 3, "f-1")}
    assert missing(MARKS, other, {}) == "pixels/2 took e-9 at offset 3 and now has f-1"
    garbage = {**SAME, ("pixels", 2): Record("pixels", 2, 3, 0, b"", b"{[")}
    assert "something else" in missing(MARKS, garbage, {})
    assert missing(MARKS, {**SAME, ("pixels", 2): None}, {}).endswith("and now ends before it")


def test_what_retention_removed_is_no_difference() -> None:
    gone = {**SAME, ("clicks", 0): None}
    assert missing(MARKS, gone, {("clicks", 0): 8}) == ""
    assert missing(MARKS, gone, {("clicks", 0): 7}) != ""
    later = {**SAME, ("clicks", 0): record("clicks", 0, 9, "e-12")}
    assert missing(MARKS, later, {("clicks", 0): 9}) == ""


def test_a_log_that_cannot_be_asked_is_no_new_log() -> None:
    kafka = FakeKafka()
    kafka.gone = "away"
    with pytest.raises(Unavailable):
        look(kafka, Cursor(logs={"clicks": "c:1"}))
    kafka.gone = ""
    del kafka.topics["pixels"]
    with pytest.raises(Unavailable, match="roundtrip migrate"):
        look(kafka, Cursor(logs={"clicks": "c:1"}))


def test_the_first_start_of_all_takes_the_logs_as_they_are() -> None:
    kafka = FakeKafka()
    kafka.fill(5)
    assert look(kafka, Cursor()) == (kafka.identities(), "")


async def shipped(edge: Edge, count: int = 30) -> list[str]:
    receipts = edge.accept(count)
    await edge.ship_all()
    return receipts


async def test_a_wiped_kafka_gets_everything_that_is_kept(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    await shipped(edge)
    kafka.wipe()
    edge.reopen()
    await edge.ship_all()
    assert sorted(kafka.receipts) == sorted(edge.receipts)
    (line,) = [line for line in caplog.messages if "new log" in line]
    assert line.startswith("/state/journal/0: Kafka has a new log: adjustments, clicks")
    assert line.endswith("; all that is kept is shipped again")
    assert edge.count("roundtrip_shipping_new_logs_total") == 1
    assert kafka.renewed == 1  # guard: the old producer's number may be another's there


async def test_wiped_in_mid_shipping_without_an_error_it_is_noticed_by_the_connection(
    edge: Edge, kafka: FakeKafka
) -> None:
    async with edge.carrying() as carrier:
        edge.accept(30)
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        kafka.hold = True
        edge.accept(30)
        await until(lambda: kafka.held)
        kafka.wipe()  # the client goes on into the new one
        kafka.release()
        await until(lambda: set(kafka.receipts) == set(edge.receipts))


async def test_topics_made_again_in_a_running_cluster_are_noticed_without_a_sign(
    edge: Edge, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_log, "EVERY_S", 0.01)
    async with edge.carrying() as carrier:
        watching = asyncio.create_task(edge.watch.run())
        edge.accept(30)
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        kafka.remake("clicks")
        kafka.fill(200)
        edge.accept(30)
        await until(lambda: set(kafka.receipts) >= set(edge.receipts))
        watching.cancel()


async def test_an_older_copy_of_the_same_log_is_noticed_by_its_end(edge: Edge, kafka: FakeKafka) -> None:
    await shipped(edge)
    copy = kafka.copied()
    await shipped(edge)
    kafka.restore(copy)
    await edge.ship_all()
    assert set(kafka.receipts) == set(edge.receipts)


async def test_an_older_copy_that_others_have_filled_is_noticed_by_what_lies_there(
    edge: Edge, kafka: FakeKafka
) -> None:
    await shipped(edge)
    copy = kafka.copied()
    await shipped(edge)
    kafka.restore(copy)
    kafka.fill(200)
    await edge.ship_all()
    assert set(kafka.receipts) >= set(edge.receipts)


async def test_a_wiped_kafka_that_others_have_filled_gets_everything(edge: Edge, kafka: FakeKafka) -> None:
    await shipped(edge)
    kafka.wipe()
    kafka.fill(200)
    await edge.ship_all()
    assert set(kafka.receipts) >= set(edge.receipts)


async def test_an_older_copy_that_took_records_in_flight_is_noticed_all_the_same(
    edge: Edge, kafka: FakeKafka
) -> None:
    """Their acknowledgements come over a new connection: they count for nothing until the log was asked."""
    async with edge.carrying() as carrier:
        edge.accept(30)
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        copy = kafka.copied()
        edge.accept(30)
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        kafka.hold = True
        edge.accept(30)
        await until(lambda: kafka.held)
        kafka.restore(copy)
        kafka.fill(200)
        kafka.release()
        await until(lambda: set(kafka.receipts) >= set(edge.receipts))


async def test_a_log_that_is_replaced_while_it_answers_is_asked_again(edge: Edge, kafka: FakeKafka) -> None:
    await shipped(edge)
    copy = kafka.copied()
    await shipped(edge)
    answer = kafka.records_at

    def replaced(offsets: Mapping[Partition, int]) -> dict[Partition, Record | None]:
        found = answer(offsets)
        kafka.records_at = answer  # type: ignore[method-assign]
        kafka.restore(copy)
        kafka.fill(200)
        return found

    kafka.records_at = replaced  # type: ignore[method-assign]
    edge.accept(30)
    await edge.ship_all()
    assert set(kafka.receipts) >= set(edge.receipts)


async def test_an_offset_that_falls_is_noticed_though_no_connection_was_seen_to_end(
    edge: Edge, kafka: FakeKafka
) -> None:
    async with edge.carrying() as carrier:
        copy = kafka.copied()
        edge.accept(30)
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        kafka.restore(copy)
        kafka.cuts -= 1
        edge.accept(30)
        await until(lambda: set(kafka.receipts) == set(edge.receipts))


async def test_what_retention_removed_is_not_shipped_again(edge: Edge, kafka: FakeKafka) -> None:
    await shipped(edge)
    before = len(kafka.receipts)
    for topic in FACTS:
        kafka.retire(topic, 1_000)
    edge.reopen()
    await edge.ship_all()
    assert len(kafka.receipts) == before


async def test_a_lost_cursor_ships_everything_again(edge: Edge, kafka: FakeKafka) -> None:
    await shipped(edge, 10)
    edge.disk.remove(OWN / cursors.NAME)
    await edge.ship_all()
    assert sorted(kafka.receipts) == sorted(edge.receipts * 2)


async def test_a_corrupted_cursor_ships_everything_again(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    await shipped(edge, 10)
    text = edge.disk.files[OWN / cursors.NAME].content
    at = bytes(text).index(b'"position":[1,') + len(b'"position":[1,')
    text[at] ^= 1  # another offset, and still good JSON
    await edge.ship_all()
    assert sorted(kafka.receipts) == sorted(edge.receipts * 2)
    assert "is damaged; all that is kept is shipped again" in caplog.text


async def test_a_cursor_whose_segments_somebody_removed_ships_what_comes_in_their_place(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """Guard: the new segments have the old numbers, and would lie before the cursor."""
    await shipped(edge, 10)
    for number in segments.numbers(edge.disk, OWN):
        edge.disk.remove(OWN / segments.name(number))
    edge.reopen()
    new = edge.accept(5)
    await edge.ship_all()
    assert set(kafka.receipts) >= set(new)
    assert "does not belong to the segments there" in caplog.text


async def test_a_cursor_that_was_moved_over_an_empty_segment_holds_when_that_is_removed(
    edge: Edge, kafka: FakeKafka
) -> None:
    await shipped(edge, 10)
    for _ in range(2):
        edge.reopen()
        await edge.ship_all()
    cursors.save(edge.disk, OWN, edge.saved._replace(position=edge.journal.committed))
    edge.reopen()
    assert edge.saved.position.segment not in segments.numbers(edge.disk, OWN)
    edge.disk.remove(OWN / segments.name(1))  # no longer kept
    new = edge.accept(3)
    await edge.ship_all()
    assert len(kafka.receipts) == 13
    assert set(kafka.receipts) >= set(new)


async def test_the_cursor_of_another_journal_ships_everything(edge: Edge, kafka: FakeKafka) -> None:
    """Guard: it vouches for another's events."""
    for _ in range(3):  # and is further than ours will be for a while
        await shipped(edge, 10)
        edge.reopen()
    await shipped(edge, 10)
    other = Edge(kafka)
    other.now_ms += 1  # its epoch is another
    other.reopen()
    new = other.accept(5)
    cursors.save(other.disk, OWN, edge.saved)
    await other.ship_all()
    assert set(kafka.receipts) >= set(new)


async def test_identities_and_beginning_are_one_write(
    edge: Edge, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the process dies, the cursor on disk names the old log, or the new one and what it has."""
    await shipped(edge)
    old = edge.saved.logs
    kafka.wipe()
    seen = []
    save = cursors.save

    def noted(disk: object, directory: object, cursor: Cursor) -> None:
        seen.append(cursor)
        save(disk, directory, cursor)  # type: ignore[arg-type]

    monkeypatch.setattr(cursors, "save", noted)
    kafka.hold = True
    async with edge.carrying():
        await until(lambda: kafka.held)
    assert seen == [Cursor(logs=kafka.identities())]
    assert edge.saved == Cursor(logs=kafka.identities())
    assert old != kafka.identities()


async def test_a_crash_after_the_question_and_before_the_write_asks_again(
    edge: Edge, kafka: FakeKafka
) -> None:
    await shipped(edge)
    kafka.wipe()
    edge.disk.faults.left["create"] = 1  # the write of the new cursor fails; then the process dies
    kafka.hold = True
    async with edge.carrying():
        await until(lambda: kafka.held)
    kafka.hold = False
    edge.reopen()
    await edge.ship_all()
    assert set(kafka.receipts) == set(edge.receipts)
    assert edge.count("roundtrip_shipping_new_logs_total") == 2


async def test_a_log_is_asked_again_after_each_connection_that_ended_and_not_otherwise(
    edge: Edge, kafka: FakeKafka
) -> None:
    async with edge.carrying() as carrier:
        await until(lambda: edge.waits)
        asked = kafka.asked
        edge.accept(10)
        await until(lambda: carrier.logbook.position == edge.journal.committed)
        assert kafka.asked == asked
        kafka.cuts += 1
        await until(lambda: kafka.asked > asked)
        await asyncio.sleep(0.01)
        assert edge.count("roundtrip_shipping_new_logs_total") == 0
    assert len(kafka.receipts) == 10


async def test_shipping_waits_until_the_log_was_asked(edge: Edge, kafka: FakeKafka) -> None:
    """A record sent before its log is known would be vouched for by the identity of the next one."""
    order: list[str] = []
    ask, ship = kafka.identities, kafka.ship

    def asked() -> dict[str, str]:
        order.append("ask")
        return ask()

    kafka.identities = asked  # type: ignore[method-assign]
    kafka.ship = lambda records: (order.append("ship"), ship(records))[1]  # type: ignore[method-assign,assignment]
    edge.accept(1)
    await edge.ship_all()
    assert order == ["ask", "ship"]


async def test_nothing_is_removed_while_the_log_cannot_be_asked(
    edge: Edge, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka may come back with nothing."""
    monkeypatch.setattr(carrier_module, "TIDY_S", 0)
    edge = Edge(kafka, segment_bytes=300)
    await shipped(edge, 3)
    for _ in range(5):
        await shipped(edge, 3)
    edge.reopen()
    kafka.gone = "away"
    edge.now_ms += 10 * 86_400_000
    async with edge.carrying():
        await edge.turns(100)
    kafka.gone = ""
    kafka.wipe()
    with contextlib.suppress(TimeoutError):
        await edge.ship_all()
    assert set(kafka.receipts) == set(edge.receipts)
    assert edge.saved.position != Position()
