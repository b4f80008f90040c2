"""What waits: counted by what the segments say of themselves, over epochs and files."""

from ingest.journal.cursor import Cursor
from ingest.shipping.backlog import Backlog, Measure, Tail
from tests.ingest.shipper.fakes import OWN, Edge, FakeKafka


def backlog(edge: Edge, cursor: Cursor) -> Backlog:
    tail = Tail(*edge.journal.how_far(), edge.journal.committed)
    return Measure(edge.disk, OWN).backlog(cursor, tail, edge.now_ms)


async def test_events_are_counted_over_segments_and_epochs(kafka: FakeKafka) -> None:
    edge = Edge(kafka, segment_bytes=300)
    for count in (3, 3, 1):
        edge.accept(count)
    first = (await edge.ship_all()).logbook.cursor
    assert backlog(edge, first) == Backlog()
    edge.accept(2)
    edge.now_ms += 5_000
    assert backlog(edge, first)[::2] == (2, 5.0)
    edge.accept(4)
    edge.reopen()
    edge.reopen()  # an epoch without an event
    edge.accept(5)
    assert backlog(edge, first)[::2] == (11, 5.0)
    assert backlog(edge, Cursor())[::2] == (18, 5.0)


async def test_bytes_are_those_of_the_files_behind_the_cursor(kafka: FakeKafka) -> None:
    edge = Edge(kafka, segment_bytes=300)
    edge.accept(1)
    first = (await edge.ship_all()).logbook.cursor
    begin = edge.journal.committed.offset
    edge.accept(1)
    size = edge.journal.committed.offset - begin
    assert backlog(edge, first).bytes == size
    edge.accept(3)
    edge.accept(3)
    files = sum(len(node.content) for path, node in edge.disk.files.items() if path.suffix == ".seg")
    assert backlog(edge, first).bytes == files - begin


async def test_a_measure_that_is_asked_again_sees_what_was_written_since(kafka: FakeKafka) -> None:
    edge = Edge(kafka, segment_bytes=300)
    measure = Measure(edge.disk, OWN)
    seen = []
    for _ in range(9):
        edge.accept(1)
        tail = Tail(*edge.journal.how_far(), edge.journal.committed)
        seen.append(measure.backlog(Cursor(), tail, edge.now_ms))
    assert [each.events for each in seen] == list(range(1, 10))
    assert seen[-1] == backlog(edge, Cursor())


async def test_the_age_is_that_of_the_oldest_event_behind_the_cursor(edge: Edge) -> None:
    edge.accept(1)
    assert backlog(edge, Cursor()).oldest_s == 0
    edge.now_ms += 1_000
    assert backlog(edge, Cursor()).oldest_s == 1
