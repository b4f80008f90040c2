"""A segment's header is read back, or told by its records; the files are found in order."""

import msgspec

from ingest.journal import segments
from ingest.journal.segments import Header
from schemas.facts import Predecessor
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.samples import AT_MS, EPOCH, NEXT, OWN, entry, put, segment_of

PREVIOUS = Predecessor(epoch=EPOCH, last=7)
HEADER = Header(epoch=NEXT, first=1, opened_ms=AT_MS, previous=PREVIOUS)


def header_of(content: bytes) -> tuple[Header, int]:
    disk = SimulatedDisk()
    put(disk, content)
    return segments.header(disk.open(OWN / segments.name(1)))


def first_fact(**more: object) -> bytes:
    return msgspec.json.encode({"receipt_id": f"{NEXT}-1", "previous": PREVIOUS} | more)


def test_a_header_is_read_back() -> None:
    assert header_of(segment_of([], HEADER)) == (HEADER, len(segments.encode(HEADER)))


def test_a_damaged_header_is_told_by_the_first_good_record() -> None:
    run = [entry(1, NEXT)._replace(value=first_fact()), entry(2, NEXT)]
    whole = segment_of(run, HEADER)
    told = msgspec.structs.replace(HEADER, opened_ms=run[0].at_ms)
    assert header_of(b"?" + whole[1:]) == (told, 0)
    without_first = whole[: len(segments.encode(HEADER))].replace(b"epoch", b"EPOCH") + whole[-110:]
    told = Header(epoch=NEXT, first=2, opened_ms=run[1].at_ms)
    assert header_of(without_first) == (told, 0)


def test_a_segment_that_holds_nothing_has_no_epoch() -> None:
    nothing = Header(epoch="", first=0, opened_ms=0)
    assert header_of(b"") == header_of(b"?" * 500) == (nothing, 0)


def test_segments_are_found_in_order_beside_other_files() -> None:
    disk = SimulatedDisk()
    for number in (10, 9, 123_456):
        put(disk, b"", number)
    disk.create(OWN / "cursor").close()
    disk.create(OWN / "000000000001.seg.part").close()
    assert segments.numbers(disk, OWN) == [9, 10, 123_456]
    assert segments.name(9) == "000000000009.seg"
