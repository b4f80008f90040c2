"""The reader gives an exact prefix of what was written, wherever it ends, and nothing that was damaged."""

import contextlib
import errno
import os
import struct
import tracemalloc
from pathlib import Path

import pytest

from ingest.journal import frames, segments
from ingest.journal.disk import Disk, File, RealDisk
from ingest.journal.reader import Piece, Reader
from ingest.journal.segments import Header, Position
from schemas.facts import Predecessor
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.samples import (
    AT_MS,
    EPOCH,
    NEXT,
    OWN,
    commit,
    entries_of,
    entry,
    journal,
    put,
    read,
    receipts_of,
    segment_of,
)

RUN = [entry(n) for n in (1, 2, 3)]
HEADER_BYTES = len(segment_of([]))
ENDS = [len(segment_of(RUN[:n])) for n in range(4)]


def following(last: int, epoch: str = EPOCH, *, refused: bool = True) -> bytes:
    """The next epoch's first segment, which says how far the one before was answered."""
    header = Header(
        epoch=NEXT,
        first=1,
        opened_ms=AT_MS,
        previous=Predecessor(epoch=epoch, last=last),
        refused=refused,
    )
    return segment_of([entry(1, NEXT)], header)


def counts(pieces: list[Piece]) -> tuple[int, int]:
    return sum(piece.damaged for piece in pieces), sum(piece.torn for piece in pieces)


def set_aside(disk: SimulatedDisk) -> dict[str, bytes]:
    directory = OWN / "damaged"
    return {name: bytes(disk.files[directory / name].content) for name in disk.names(directory)}


def test_a_file_cut_at_any_byte_gives_exactly_the_records_before_it() -> None:
    whole = segment_of(RUN)
    for cut in range(len(whole)):
        disk = SimulatedDisk()
        put(disk, whole[:cut])
        pieces = read(disk)
        intact = sum(end <= cut for end in ENDS[1:])
        assert entries_of(pieces) == RUN[:intact]
        assert all(piece.epoch == EPOCH for piece in pieces if piece.entries)
        clean = cut == 0 or cut in ENDS
        assert counts(pieces) == (0, 0 if clean else 1), cut
        begin = max((end for end in ENDS if end <= cut), default=0)
        assert set_aside(disk) == ({} if clean else {f"000000000001-{begin}": whole[begin:cut]})


def test_each_flipped_bit_costs_its_own_record_and_is_counted() -> None:
    whole = bytearray(segment_of(RUN))
    for at in range(len(whole)):
        hit = sum(end <= at for end in ENDS)  # 0: the header
        for bit in range(8):
            disk = SimulatedDisk()
            whole[at] ^= 1 << bit
            put(disk, bytes(whole))
            whole[at] ^= 1 << bit
            pieces = read(disk)
            assert entries_of(pieces) == [each for n, each in enumerate(RUN, 1) if n != hit]
            assert {piece.epoch for piece in pieces if piece.entries} == {EPOCH}
            assert counts(pieces) == ((0, 1) if hit == 3 else (1, 0))


def test_what_follows_damage_of_any_size_goes_on_in_the_next_piece() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN[:1]) + os.urandom(3_000_000) + frames.encode(RUN[1]))
    pieces = read(disk)
    assert [(len(piece.entries), piece.damaged) for piece in pieces] == [(1, 0), (0, 1), (1, 0)]
    assert [len(each) for each in set_aside(disk).values()] == [3_000_000]


def test_damage_is_set_aside_and_counted_once() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN[:1]) + b"?" * 50 + frames.encode(RUN[2]))
    assert counts(read(disk)) == (1, 0)
    assert counts(read(disk)) == (0, 0)
    assert entries_of(read(disk)) == [RUN[0], RUN[2]]


def test_who_does_not_own_the_journal_writes_nothing() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN[:1]) + b"?" * 50 + frames.encode(RUN[2]))
    before = {path: bytes(node.content) for path, node in disk.files.items()}
    assert counts(read(disk, owned=False)) == counts(read(disk, owned=False)) == (1, 0)
    assert {path: bytes(node.content) for path, node in disk.files.items()} == before


def test_damage_that_a_full_disk_does_not_take_holds_nothing_up() -> None:
    """What is behind it makes room when it is shipped."""
    disk = SimulatedDisk()
    put(disk, segment_of(RUN[:1]) + b"?" * 50 + frames.encode(RUN[2]))
    disk.faults.room, disk.faults.left["full"] = 0, 1
    pieces = read(disk)
    assert (entries_of(pieces), counts(pieces)) == ([RUN[0], RUN[2]], (1, 0))


def test_a_record_above_what_the_next_epoch_names_was_never_answered_and_is_left_out() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN) + b"torn")
    put(disk, following(last=2), 2)
    assert receipts_of(read(disk)) == [f"{EPOCH}-1", f"{EPOCH}-2", f"{NEXT}-1"]
    assert receipts_of(read(disk, owned=False)) == [f"{EPOCH}-1", f"{EPOCH}-2", f"{NEXT}-1"]


def test_a_first_epoch_of_which_nothing_was_answered_is_left_out() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    put(disk, segment_of([entry(1, NEXT)], Header(epoch=NEXT, first=1, opened_ms=AT_MS, refused=True)), 2)
    assert receipts_of(read(disk)) == [f"{NEXT}-1"]


def test_what_could_not_be_read_at_an_opening_is_shipped_if_it_ever_can() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    put(disk, following(last=2, refused=False), 2)
    assert receipts_of(read(disk)) == [f"{EPOCH}-1", f"{EPOCH}-2", f"{EPOCH}-3", f"{NEXT}-1"]


def test_a_segment_whose_making_was_cut_short_hides_no_limit() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    put(disk, segment_of([])[:20], 2)
    put(disk, following(last=2), 3)
    assert receipts_of(read(disk)) == [f"{EPOCH}-1", f"{EPOCH}-2", f"{NEXT}-1"]


def test_an_epoch_that_the_next_one_does_not_name_was_never_answered() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    put(disk, following(last=2, epoch="0" * 23), 2)
    assert receipts_of(read(disk)) == [f"{NEXT}-1"]


def test_a_missing_end_is_damage_where_the_next_epoch_names_more() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN)[:-1])
    put(disk, following(last=3), 2)
    assert counts(read(disk)) == (1, 0)


def test_a_missing_end_is_damage_where_the_epoch_goes_on() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN[:2])[:-1])
    put(disk, segment_of(RUN[2:], Header(epoch=EPOCH, first=3, opened_ms=AT_MS)), 2)
    pieces = read(disk)
    assert (entries_of(pieces), counts(pieces)) == ([RUN[0], RUN[2]], (1, 0))


def test_a_missing_end_of_what_is_committed_is_damage() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN)[:-1] + b"?")
    assert counts(read(disk, Position(1, ENDS[3]))) == (1, 0)


def test_nothing_is_read_behind_the_end_of_what_is_committed() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    put(disk, following(last=3), 2)
    assert entries_of(read(disk, Position(1, ENDS[2]))) == RUN[:2]
    assert read(disk, Position()) == []
    assert receipts_of(read(disk, Position(2, HEADER_BYTES))) == [f"{EPOCH}-{n}" for n in (1, 2, 3)]


def test_the_live_end_is_waited_for_by_who_only_looks() -> None:
    disk = SimulatedDisk()
    whole = segment_of(RUN)
    put(disk, b"")
    node = disk.files[OWN / segments.name(1)]
    reader = Reader(disk, OWN, Position(), owned=False)
    seen: list[object] = []
    for byte in whole:
        seen += reader.read(None, 4_096).entries
        node.content.append(byte)
    seen += reader.read(None, 4_096).entries
    assert seen == RUN


def test_pieces_are_as_large_as_asked_and_hold_one_record_at_least() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of([entry(1), entry(2), entry(3, pad=5_000), entry(4)]))
    size = len(frames.encode(entry(1)))
    for asked, expected in ((1, [1, 1, 1, 1]), (2 * size, [2, 1, 1]), (9_999, [4])):
        assert [len(piece.entries) for piece in read(disk, max_bytes=asked)] == expected


def test_a_piece_is_of_one_epoch() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    put(disk, following(last=3), 2)
    assert [(piece.epoch, len(piece.entries)) for piece in read(disk)] == [(EPOCH, 3), (NEXT, 1)]


def test_reading_goes_on_from_any_position_that_a_piece_gave() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    put(disk, following(last=3), 2)
    whole = read(disk, max_bytes=1)
    for n, piece in enumerate(whole, 1):
        assert read(disk, start=piece.position, max_bytes=1) == whole[n:]


def test_a_position_in_a_segment_that_is_gone_means_the_next_one() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN), 3)
    assert entries_of(read(disk, start=Position(2, 999))) == RUN
    assert read(disk, start=Position(4, 0)) == []
    assert read(disk, start=Position(3, 999_999)) == []


def test_a_segment_without_any_good_bytes_is_passed_over_and_counted() -> None:
    disk = SimulatedDisk()
    put(disk, b"?" * 700)
    put(disk, segment_of(RUN), 2)
    pieces = read(disk)
    assert (entries_of(pieces), counts(pieces)) == (RUN, (0, 1))


def test_a_format_of_a_later_release_is_said_and_nothing_is_touched() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN, Header(epoch=EPOCH, first=1, opened_ms=AT_MS, format=2)))
    with pytest.raises(Exception, match="format 2; this release reads 1"):
        read(disk)


def test_an_error_of_the_disk_can_be_met_again() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    reader = Reader(disk, OWN, Position(), owned=True)
    reader.read(None, 1)
    broken = _Broken(disk)
    reader._disk = broken
    reader.close()
    with pytest.raises(OSError, match="away"):
        reader.read(None, 4_096)
    broken.away = False
    assert reader.read(None, 4_096).entries == RUN[1:]


class _Broken(SimulatedDisk):
    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__()
        self.files, self.away = disk.files, True

    def open(self, path: Path) -> File:
        if self.away:
            raise OSError(errno.EIO, "away")
        return super().open(path)


@pytest.mark.parametrize("writes_fail", [True, False])
def test_what_a_disk_did_not_give_for_a_while_is_no_damage(*, writes_fail: bool) -> None:
    """Guard: zeros stand for blocks that cannot be read, and the whole journal would be passed over."""
    for reads in range(40):
        disk = _Away()
        put(disk, segment_of(RUN[:2]))
        put(disk, segment_of([RUN[2]], Header(epoch=EPOCH, first=3, opened_ms=AT_MS)), 2)
        disk.reads, disk.writes_fail = reads, writes_fail
        seen: list[frames.Entry] = []
        damaged, position = 0, Position()
        for _ in range(50):  # as a carrier does
            reader = Reader(disk, OWN, position, owned=True)
            with contextlib.closing(reader), contextlib.suppress(OSError):
                while (piece := reader.read(None, 4_096)).position != position:
                    position, damaged = piece.position, damaged + piece.damaged + piece.torn
                    seen += piece.entries
                break
        assert (seen, damaged, set_aside(disk)) == (RUN, 0, {})


class _Away(SimulatedDisk):
    """So many reads meet a disk that gives nothing; a write fails until then, or finds it well again."""

    reads = 0
    writes_fail = False

    def open(self, path: Path) -> File:
        file = super().open(path)
        read = file.read

        def zeros(offset: int, size: int) -> bytes:
            self.reads -= 1
            data = read(offset, size)
            return bytes(len(data)) if self.reads >= 0 else data

        file.read = zeros  # type: ignore[method-assign]
        return file

    def create(self, path: Path) -> File:
        if self.reads > 0 and self.writes_fail:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.reads = 0
        return super().create(path)


def test_memory_is_bounded_whatever_the_size_of_the_file_and_of_its_damage(tmp_path: Path) -> None:
    disk: Disk = RealDisk()
    lie = struct.pack("<I", 7_000_000)
    put(disk, segment_of(RUN) + lie + os.urandom(8_000_000), directory=tmp_path)
    tracemalloc.start()
    try:
        assert entries_of(read(disk, directory=tmp_path)) == RUN
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_running_journal_is_read_up_to_its_last_commit() -> None:
    disk = SimulatedDisk()
    running = journal(disk, segment_bytes=400)
    running.start()
    written, seen = [], []
    reader = Reader(disk, OWN, Position(), owned=True)
    for count in (1, 3, 2, 5, 1):
        written += commit(running, count)
        while entries := reader.read(running.committed, 4_096).entries:
            seen += entries
        assert seen == written
    assert len(segments.numbers(disk, OWN)) > 2
