"""One owner: what was committed is there after anything; a failed sync ends its file and its epoch."""

import errno
from pathlib import Path

import pytest

from ingest.journal import frames, segments
from ingest.journal.segments import Header, Position
from schemas.facts import Predecessor
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.samples import (
    AT_MS,
    EPOCH,
    OWN,
    Draw,
    commit,
    entries_of,
    entry,
    journal,
    next_entries,
    put,
    read,
    receipts_of,
    segment_of,
)


def headers(disk: SimulatedDisk) -> list[Header]:
    numbers = segments.numbers(disk, OWN)
    return [segments.header(disk.open(OWN / segments.name(number)))[0] for number in numbers]


def least(_most: int) -> int:
    return 0


def test_what_was_committed_survives_a_loss_of_power() -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    written = commit(running, 2) + commit(running, 3)
    disk.lose_power(least)
    assert entries_of(read(disk)) == written


def test_a_new_segment_survives_a_loss_of_power() -> None:
    disk = SimulatedDisk()
    running = journal(disk, segment_bytes=300)
    running.start()
    written = [entry for count in (2, 3, 1, 4) for entry in commit(running, count)]
    assert len(segments.numbers(disk, OWN)) == 4
    disk.lose_power(least)
    assert entries_of(read(disk)) == written


def test_an_epoch_goes_on_over_its_segments() -> None:
    disk = SimulatedDisk()
    running = journal(disk, segment_bytes=300)
    running.start()
    for count in (2, 3, 1):
        commit(running, count)
    epoch = running.epoch
    assert [(each.epoch, each.first, each.previous) for each in headers(disk)] == [
        (epoch, 1, None),
        (epoch, 3, None),
        (epoch, 6, None),
    ]
    assert running.how_far() == (epoch, 6)


def test_a_group_larger_than_a_segment_has_one_of_its_own() -> None:
    disk = SimulatedDisk()
    running = journal(disk, segment_bytes=300)
    running.start()
    written = commit(running, 9) + commit(running, 9)
    assert len(segments.numbers(disk, OWN)) == 2
    assert entries_of(read(disk, running.committed)) == written


def test_each_opening_is_a_new_epoch_that_names_the_one_before() -> None:
    disk, draw = SimulatedDisk(), Draw()
    epochs = []
    for count in (3, 2):
        running = journal(disk, draw=draw)
        running.start()
        epochs.append(running.epoch)
        commit(running, count)
        running.close()
    assert [each.previous for each in headers(disk)] == [None, Predecessor(epoch=epochs[0], last=3)]
    assert len(set(epochs)) == 2


def test_an_opening_without_events_is_forgotten_by_the_next_one() -> None:
    disk, draw = SimulatedDisk(), Draw()
    running = journal(disk, draw=draw)
    running.start()
    first = running.epoch
    commit(running, 3)
    running.close()
    for _ in range(3):
        running = journal(disk, draw=draw)
        running.start()
        running.close()
        assert running.previous == Predecessor(epoch=first, last=3)
    assert segments.numbers(disk, OWN) == [1, 4]


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_after_a_failure_the_file_is_never_touched_again(operation: str) -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    first, written = running.epoch, commit(running, 2)
    disk.faults.left[operation] = 1
    with pytest.raises(OSError, match="output error"):
        commit(running, 3)
    assert running.how_far() == (first, 2)
    failed = disk.files[OWN / segments.name(1)]
    before = (bytes(failed.content), bytes(failed.durable), failed.clean)
    with pytest.raises(RuntimeError, match="no epoch"):
        commit(running, 1)
    running.start()
    assert running.previous == Predecessor(epoch=first, last=2)
    written += commit(running, 2)
    assert before == (bytes(failed.content), bytes(failed.durable), failed.clean)
    assert entries_of(read(disk, running.committed)) == written
    assert receipts_of(read(disk, running.committed))[2:] == [f"{running.epoch}-1", f"{running.epoch}-2"]


def test_what_failed_is_not_shipped_after_the_next_opening_either() -> None:
    disk, draw = SimulatedDisk(), Draw()
    running = journal(disk, draw=draw)
    running.start()
    written = commit(running, 2)
    disk.faults.left["sync"] = 1
    with pytest.raises(OSError, match="output error"):
        commit(running, 3)
    running.start()
    disk.kill()
    for _ in range(2):
        running = journal(disk, draw=draw)
        running.start()
        assert running.previous == Predecessor(epoch=written[0].value[15:38].decode(), last=2)
        disk.kill()
    assert entries_of(read(disk)) == written


def test_an_epoch_that_has_begun_says_what_was_refused_even_after_a_loss_of_power() -> None:
    disk, draw = SimulatedDisk(), Draw()
    running = journal(disk, draw=draw)
    running.start()
    written = commit(running, 2)
    disk.faults.left["late"] = 1
    with pytest.raises(OSError, match="output error"):
        commit(running, 3)
    running.start()
    disk.lose_power(least)
    running = journal(disk, draw=draw)
    running.start()
    assert entries_of(read(disk, running.committed)) == written


def test_what_failed_is_not_shipped_while_the_epoch_after_it_has_failed_too() -> None:
    """Guard: the dropped file's header alone said where the epoch before it ended."""
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    written = commit(running, 3)
    for count in (2, 1):
        disk.faults.left["sync"] = 1
        with pytest.raises(OSError, match="output error"):
            commit(running, count)
        assert entries_of(read(disk, end=running.committed)) == written
        disk.faults.left.clear()
        running.start()
    assert entries_of(read(disk, end=running.committed)) == written


def test_a_full_disk_is_not_filled_by_attempts() -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    commit(running, 2)
    disk.faults.room, disk.faults.left["full"] = 200, 99
    for _ in range(5):
        with pytest.raises(OSError, match="No space"):
            commit(running, 3)
        with pytest.raises(OSError, match="No space"):
            running.start()
        disk.faults.room = 150  # enough for a header, not for events
        running.start()
    assert segments.numbers(disk, OWN) == [1, 11]


def test_a_segment_that_cannot_be_begun_ends_the_epoch() -> None:
    for operation in ("create", "write", "sync", "sync_directory"):
        disk = SimulatedDisk()
        running = journal(disk, segment_bytes=300)
        running.start()
        first, written = running.epoch, commit(running, 2)
        disk.faults.left[operation] = 1
        with pytest.raises(OSError, match="output error"):
            commit(running, 2)
        running.start()
        assert running.previous == Predecessor(epoch=first, last=2)
        written += commit(running, 1)
        assert entries_of(read(disk, running.committed)) == written


def test_an_epoch_without_answered_events_is_not_named() -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    first = running.epoch
    commit(running, 2)
    for _ in range(3):
        disk.faults.left["sync"] = 1
        with pytest.raises(OSError, match="output error"):
            commit(running, 1)
        running.start()
        assert running.previous == Predecessor(epoch=first, last=2)
    assert len(segments.numbers(disk, OWN)) == 2


@pytest.mark.parametrize("operation", ["create", "write", "sync", "sync_directory"])
def test_a_disk_that_fails_at_the_opening_is_tried_again(operation: str) -> None:
    disk = SimulatedDisk()
    put(disk, segment_of([entry(1), entry(2)]))
    running = journal(disk)
    disk.faults.left[operation] = 1
    with pytest.raises(OSError, match="output error"):
        running.start()
    running.start()
    assert running.previous == Predecessor(epoch=EPOCH, last=2)
    assert running.path == OWN


def test_what_was_left_may_be_shipped_before_a_new_epoch_can_begin() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of([entry(1), entry(2)]) + b"torn")
    running = journal(disk)
    disk.faults.left["create"] = 1
    with pytest.raises(OSError, match="output error"):
        running.start()
    pieces = read(disk, running.committed)
    assert entries_of(pieces) == [entry(1), entry(2)]
    assert (running.epoch, [piece.damaged for piece in pieces]) == ("", [0])


def test_what_an_empty_segment_says_of_the_epoch_before_is_inherited() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of([entry(1), entry(2), entry(3)]))
    previous = Predecessor(epoch=EPOCH, last=2)
    empty = Header(epoch="0" * 23, first=1, opened_ms=AT_MS, previous=previous, refused=True)
    put(disk, segment_of([], empty), 2)
    running = journal(disk)
    running.start()
    assert running.previous == previous
    assert segments.numbers(disk, OWN) == [1, 3]
    assert entries_of(read(disk, running.committed)) == [entry(1), entry(2)]


def test_that_nothing_before_an_empty_segment_was_answered_is_inherited_too() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of([entry(1)]))
    put(disk, segment_of([], Header(epoch="0" * 23, first=1, opened_ms=AT_MS, refused=True)), 2)
    running = journal(disk)
    running.start()
    assert running.previous is None
    assert read(disk, running.committed)[0].entries == []


def test_a_torn_tail_ends_the_epoch_before_it() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of([entry(1), entry(2)])[:-1])
    running = journal(disk)
    running.start()
    assert running.previous == Predecessor(epoch=EPOCH, last=1)
    pieces = read(disk, running.committed)
    assert (entries_of(pieces), sum(piece.torn for piece in pieces)) == ([entry(1)], 1)


def test_an_opening_that_was_cut_short_is_nothing() -> None:
    disk = SimulatedDisk()
    put(disk, segment_of([entry(1), entry(2)]))
    put(disk, segment_of([])[:20], 2)
    running = journal(disk)
    running.start()
    assert running.previous == Predecessor(epoch=EPOCH, last=2)
    assert entries_of(read(disk, running.committed)) == [entry(1), entry(2)]


def test_a_new_journal_names_nothing() -> None:
    running = journal(SimulatedDisk())
    assert (running.path, running.how_far(), running.committed) == (None, ("", 0), Position())
    running.start()
    assert (running.path, running.last, running.previous) == (OWN, 0, None)


def test_the_journal_of_a_closed_owner_may_be_taken() -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.close()
    running.start()
    commit(running, 1)
    running.close()
    running.close()
    after = journal(disk)
    after.start()
    assert after.path == OWN


def test_the_journal_counts_its_syncs_and_epochs() -> None:
    running = journal(SimulatedDisk())
    running.start()
    commit(running, 2)
    commit(running, 2)
    assert running._counters.epochs._value.get() == 1
    assert running._counters.sync_seconds._sum.get() > 0


def test_a_group_that_half_fits_on_the_disk_is_not_there() -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    written = commit(running, 1)
    records = [frames.encode(each) for each in next_entries(running, 3)]
    disk.faults.room, disk.faults.left["full"] = len(records[0]) + 5, 1
    with pytest.raises(OSError) as caught:  # noqa: PT011  its number is what is looked at
        running.commit(records)
    assert caught.value.errno == errno.ENOSPC
    running.start()
    assert entries_of(read(disk, running.committed)) == written


def test_segments_lie_where_they_are_said_to_lie(tmp_path: Path) -> None:
    disk = SimulatedDisk()
    running = journal(disk, root=tmp_path)
    running.start()
    assert running.path == tmp_path / "0"
    assert running.committed.segment == 1


def test_a_live_segment_that_somebody_removed_ends_its_epoch() -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    commit(running, 2)
    first = running.epoch
    disk.remove(OWN / segments.name(1))
    with pytest.raises(OSError, match="removed"):
        commit(running, 1)
    running.start()
    commit(running, 1)
    assert receipts_of(read(disk)) == [f"{running.epoch}-1"]
    assert running.previous == Predecessor(epoch=first, last=2)


def test_a_journal_that_somebody_removed_is_made_again_and_its_numbers_go_on() -> None:
    """Its position is in use: files that began with 1 again would lie before it, and never be shipped."""
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    commit(running, 2)
    _remove_own(disk)
    with pytest.raises(OSError, match="removed"):
        commit(running, 1)
    running.start()
    commit(running, 1)
    assert segments.numbers(disk, OWN) == [2]
    assert receipts_of(read(disk)) == [f"{running.epoch}-1"]
    assert disk.lock(OWN / "lock") is None


def test_a_journal_that_another_process_has_by_now_is_not_written() -> None:
    disk = SimulatedDisk()
    running = journal(disk)
    running.start()
    _remove_own(disk)
    other = journal(disk)
    other.start()
    with pytest.raises(OSError, match="removed"):
        commit(running, 1)
    for _ in range(2):
        with pytest.raises(OSError, match="another process"):
            running.start()
    commit(other, 1)


def _remove_own(disk: SimulatedDisk) -> None:
    for path in [each for each in disk.files if each.parent == OWN]:
        disk.remove(path)
    disk.directories.discard(OWN)
