"""Survey: what is known of a journal without reading it through."""

import shutil
from pathlib import Path

import pytest

from ingest.inspection.survey import Epoch, in_use
from ingest.journal.directory import Directory
from ingest.journal.disk import RealDisk
from ingest.journal.segments import Position
from tests.ingest.written import Written


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "journal")


def test_epochs_have_their_numbers_times_files_and_bytes(written: Written) -> None:
    written.events(3)
    first, size = written.journal.epoch, written.file(1).stat().st_size
    written.journal.close()
    written.opened()
    written.events(2)
    found = written.state()
    assert found.epochs[0] == Epoch(
        epoch=first,
        first=1,
        last=3,
        first_received_at="2026-11-23T12:00:00.000Z",
        last_received_at="2026-11-23T12:00:02.000Z",
        segments=1,
        bytes=size,
    )
    assert [each.last for each in found.epochs] == [3, 2]
    assert (found.segments, found.kept_since) == (2, "2026-11-23T12:00:00.000Z")


def test_an_epoch_over_several_files_is_one(tmp_path: Path) -> None:
    written = Written(tmp_path / "journal", segment_bytes=1)
    written.events(4)
    written.file(1).unlink()  # kept long enough
    (epoch,) = written.state().epochs
    assert (epoch.first, epoch.last, epoch.segments) == (2, 4, 3)
    assert epoch.first_received_at == "2026-11-23T12:00:01.000Z"


def test_what_lies_behind_the_cursor_is_unshipped(written: Written) -> None:
    places = written.events(4)
    written.journal.close()
    written.opened()
    written.events(2)
    found = written.state(places[1])
    assert (found.unshipped_events, found.oldest_unshipped_at) == (5, "2026-11-23T12:00:01.000Z")
    assert found.unshipped_bytes == 5 * 71
    assert found.shipped_to == f"000000000001.seg:{places[1].offset}"


def test_without_a_cursor_everything_is_unshipped(written: Written) -> None:
    written.events(3)
    found = written.state()
    assert (found.unshipped_events, found.unshipped_bytes, found.shipped_to) == (3, 3 * 71, "")


def test_a_cursor_at_the_end_leaves_nothing_unshipped(written: Written) -> None:
    written.events(3)
    found = written.state(written.journal.committed)
    assert (found.unshipped_events, found.unshipped_bytes, found.oldest_unshipped_at) == (0, 0, "")


def test_a_cursor_in_a_file_that_is_gone_counts_from_what_is_kept(tmp_path: Path) -> None:
    written = Written(tmp_path / "journal", segment_bytes=1)
    places = written.events(3)
    written.file(1).unlink()
    assert written.state(places[0]).unshipped_events == 2


def test_an_empty_journal_holds_nothing(written: Written) -> None:
    found = written.state()
    assert (found.epochs, found.kept_since, found.unshipped_events) == ([], "", 0)
    assert written.state(Position(1, 10_000)).unshipped_bytes == 0


def test_a_file_that_is_just_being_made_is_not_there_yet(written: Written) -> None:
    written.events(1)
    written.file(2).write_bytes(b"\x40\x00")
    assert written.state().segments == 1


def test_whether_a_journal_is_in_use_is_asked_without_taking_it(written: Written) -> None:
    assert in_use(written.path)
    written.journal.close()
    assert not in_use(written.path)
    held = Directory(RealDisk(), written.root).own()
    assert held.number == 0
    held.lock.release()
    shutil.rmtree(written.path)
    assert not in_use(written.path)


def test_what_was_set_aside_is_counted(written: Written) -> None:
    (written.path / "damaged").mkdir()
    (written.path / "damaged" / "000000000001-79").write_bytes(b"12345")
    found = written.state()
    assert (found.set_aside, found.set_aside_bytes) == (1, 5)
