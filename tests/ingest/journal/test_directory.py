"""Each process has a journal of its own; what an owner left is found by whoever looks."""

from pathlib import Path

import pytest

from ingest.journal.directory import Directory
from ingest.journal.disk import Disk, RealDisk
from ingest.journal.segments import Position
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.samples import ROOT, commit, entries_of, journal, read


def test_each_owner_takes_the_first_journal_that_nobody_holds() -> None:
    disk = SimulatedDisk()
    first, second = journal(disk), journal(disk)
    first.start()
    second.start()
    assert (first.path, second.path) == (ROOT / "0", ROOT / "1")
    first.close()
    third = journal(disk)
    third.start()
    assert third.path == ROOT / "0"


def test_a_journal_has_one_owner(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    first, second = journal(RealDisk(), root=root), journal(RealDisk(), root=root)
    first.start()
    second.start()
    assert (first.path, second.path) == (root / "0", root / "1")
    first.close()
    second.close()


@pytest.mark.parametrize("real", [True, False])
def test_what_an_owner_left_is_found_and_its_records_are_synced(real: bool, tmp_path: Path) -> None:  # noqa: FBT001  pytest's parameter
    disk: Disk = RealDisk() if real else SimulatedDisk()
    root = tmp_path / "journal"
    gone, mine = journal(disk, root=root), journal(disk, root=root)
    gone.start()
    mine.start()
    directory = Directory(disk, root)
    assert directory.left_by_others() == []
    written = commit(gone, 3)
    gone.close()
    (left,) = directory.left_by_others()
    assert (left.number, left.path) == (0, root / "0")
    assert entries_of(read(disk, directory=left.path)) == written
    assert directory.left_by_others() == []
    left.lock.release()
    assert [each.number for each in directory.left_by_others()] == [0]
    mine.close()


def test_a_journal_that_the_disk_does_not_give_keeps_nobody_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = SimulatedDisk()
    gone = [journal(disk), journal(disk)]
    for each in gone:
        each.start()
    disk.kill()
    directory = Directory(disk, ROOT)
    for _ in range(2):
        disk.faults.left["sync"] = 1
        (held,) = directory.left_by_others()
        assert held.number == 1
        held.lock.release()
    assert caplog.text.count("0 cannot be taken") == 1
    assert [each.number for each in directory.left_by_others()] == [0, 1]


def test_what_is_no_directory_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    gone = journal(RealDisk(), root=tmp_path)
    gone.start()
    gone.close()
    (tmp_path / "1").touch()
    (tmp_path / "-2").touch()
    assert [each.number for each in Directory(RealDisk(), tmp_path).left_by_others()] == [0]


def test_what_a_killed_owner_wrote_is_synced_before_anyone_reads_it() -> None:
    disk = SimulatedDisk()
    killed = journal(disk)
    killed.start()
    commit(killed, 1)
    file = disk.files[ROOT / "0" / "000000000001.seg"]
    file.content += b"?" * 9  # written, not synced: the owner was killed in between
    disk.kill()
    assert file.durable != file.content
    Directory(disk, ROOT).left_by_others()
    assert file.durable == file.content


def test_journals_are_numbered_directories() -> None:
    disk = SimulatedDisk()
    for name in ("10", "2", "x", "2.old"):
        disk.make_directory(ROOT / name)
    assert Directory(disk, ROOT).numbers() == [2, 10]
    assert Directory(disk, Path("/nowhere")).numbers() == []
    assert Directory(disk, ROOT).path(2) == ROOT / "2"


def test_a_journal_without_segments_is_read_as_empty() -> None:
    disk = SimulatedDisk()
    disk.make_directory(ROOT / "0")
    (left,) = Directory(disk, ROOT).left_by_others()
    assert read(disk, directory=left.path) == []
    assert read(disk, Position(), directory=left.path) == []
