"""Verification: what a journal no longer holds is found, by file and place, and nothing else is."""

from pathlib import Path

import pytest

from ingest.inspection.verification import Damage, Verification, Verified
from ingest.journal.disk import File, RealDisk
from tests.ingest.written import Written


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "journal")


def in_files(tmp_path: Path, count: int) -> Written:
    """Each event in a file of its own."""
    one = Written(tmp_path / "journal", segment_bytes=1)
    one.events(count)
    return one


def lacks(found: Verified) -> list[tuple[str, int, int, int]]:
    """File, offset, first and last number of each damage."""
    return [(Path(each.file).name, each.offset, each.first, each.last) for each in found.damage]


def test_a_whole_journal_has_no_damage(written: Written) -> None:
    written.events(5)
    written.journal.close()
    written.opened()
    written.events(3)
    size = written.file(1).stat().st_size + written.file(2).stat().st_size
    assert written.verified() == Verified(events=8, bytes=size)


def test_an_empty_journal_has_no_damage(written: Written) -> None:
    assert written.verified() == Verified()


@pytest.mark.parametrize("at", range(0, 71, 5))
def test_a_flipped_bit_is_named_by_file_place_and_event(tmp_path: Path, at: int) -> None:
    """Wherever in the record."""
    written = Written(tmp_path / "journal")
    begin = written.events(4)[1].offset
    written.flip(1, begin + at)
    damage = Damage(str(written.file(1)), begin, 71, "holds no events", written.journal.epoch, 2, 2)
    found = written.verified()
    assert found.damage == [damage]
    assert found.events == 3


def test_a_flipped_bit_in_a_file_s_header_is_damage_that_costs_no_event(written: Written) -> None:
    written.events(2)
    written.flip(1, 20)
    found = written.verified()
    assert lacks(found) == [("000000000001.seg", 0, 0, 0)]
    assert found.events == 2


def test_each_damaged_region_is_named(written: Written) -> None:
    places = written.events(9)
    for n in (1, 2, 5):
        written.flip(1, places[n].offset + 30)
    name = "000000000001.seg"
    assert lacks(written.verified()) == [(name, places[1].offset, 2, 3), (name, places[5].offset, 6, 6)]


def test_a_file_that_is_gone_from_the_middle_is_damage(tmp_path: Path) -> None:
    written = in_files(tmp_path, 5)
    written.file(3).unlink()
    assert lacks(written.verified()) == [("000000000004.seg", 0, 3, 3)]


def test_a_lost_end_of_an_epoch_is_damage_since_the_next_one_names_it(written: Written) -> None:
    places = written.events(4)
    written.journal.close()
    written.opened()
    written.events(1)
    with written.file(1).open("r+b") as file:
        file.truncate(places[2].offset)
    assert lacks(written.verified()) == [("000000000002.seg", 0, 3, 4)]


def test_files_removed_because_they_were_kept_long_enough_are_no_damage(tmp_path: Path) -> None:
    written = in_files(tmp_path, 5)
    written.file(1).unlink()
    written.file(2).unlink()
    assert written.verified().damage == []


def test_files_removed_while_it_reads_are_no_damage(tmp_path: Path) -> None:
    """Their owner removes the oldest ones, also those that were listed a moment ago."""
    written = in_files(tmp_path, 6)

    def remove(_bytes: int) -> None:
        for number in (1, 2, 3):
            written.file(number).unlink(missing_ok=True)

    found = Verification(RealDisk(), written.path, remove).run()
    assert (found.damage, found.events) == ([], 4)


def test_a_file_removed_between_its_listing_and_its_opening_is_no_damage(tmp_path: Path) -> None:
    written = in_files(tmp_path, 4)

    class Disk(RealDisk):
        def open(self, path: Path) -> File:
            if path == written.file(2):
                path.unlink(missing_ok=True)
                written.file(1).unlink(missing_ok=True)
            return super().open(path)

    found = Verification(Disk(), written.path, lambda _: None).run()
    assert (found.damage, found.events) == ([], 2)


def test_what_is_being_written_is_no_damage(written: Written) -> None:
    """Guard: the end of a journal in use is looked at, never judged."""
    written.events(2)
    with written.file(1).open("ab") as file:
        file.write(b"\x40\x00\x00\x00half of a record")
    found = written.verified()
    assert (found.damage, found.events, found.open_bytes) == ([], 2, 20)


def test_what_a_crash_cut_is_torn_and_no_damage(written: Written) -> None:
    places = written.events(3)
    written.journal.close()
    with written.file(1).open("r+b") as file:
        file.truncate(places[2].offset + 30)
    assert (written.verified().damage, written.verified().open_bytes) == ([], 30)
    written.opened()
    written.events(1)
    found = written.verified()
    assert (found.damage, found.torn, found.events) == ([], 1, 3)


def test_a_file_that_the_disk_does_not_give_is_damage_and_the_others_are_read(tmp_path: Path) -> None:
    written = in_files(tmp_path, 4)

    class Broken(RealDisk):
        def open(self, path: Path) -> File:
            if path == written.file(2):
                raise OSError(5, "Input/output error", str(path))
            return super().open(path)

    found = Verification(Broken(), written.path, lambda _: None).run()
    assert Path(found.damage[-1].file) == written.file(2)
    assert str(written.file(2)) in found.damage[-1].why
    assert found.events == 2
