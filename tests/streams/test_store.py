"""How the states of a process share its memory."""

import sys
from pathlib import Path

import pytest
from rocksdict import WriteBatch

from streams.state import store
from streams.state.changes import Changes
from streams.state.layout import Stored
from streams.state.store import Store


class Flushing:
    """A partition that holds so much, and is being flushed for so many looks."""

    def __init__(self, held: int, looks: int) -> None:
        self.held = held
        self.looks = looks
        self.touched = 0

    def held_bytes(self) -> int:
        return self.held

    def touch(self) -> None:
        self.touched += 1

    def is_flushing(self) -> bool:
        self.looks -= 1
        return self.looks > 0


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(store.Partition, "held_bytes", Flushing.held_bytes)
    return Store(tmp_path)


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MEMTABLE_BYTES", 0)
    monkeypatch.setattr(store, "_UNFLUSHED_BYTES", 0)


def told(opened: Store, *partitions: Flushing) -> None:
    opened._partitions.update(enumerate(partitions))  # type: ignore[arg-type]
    opened._written()


@pytest.mark.usefixtures("_short")
def test_where_memory_is_short_who_holds_most_is_flushed_and_waited_for(opened: Store):
    some, most = Flushing(2, 3), Flushing(5, 3)
    told(opened, some, most)
    assert (most.touched, most.looks) == (1, 0)
    assert (some.touched, some.looks) == (0, 3)


def test_nobody_waits_where_there_is_memory(opened: Store):
    partition = Flushing(5, 3)
    told(opened, partition)
    assert (partition.touched, partition.looks) == (0, 3)


@pytest.mark.usefixtures("_short")
def test_a_flush_that_does_not_end_is_not_waited_for_without_end(
    opened: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "_FLUSH_S", 0.02)
    partition = Flushing(5, 1_000_000)
    told(opened, partition)
    assert partition.touched == 1


def test_a_partition_that_is_closed_holds_nothing(tmp_path: Path):
    state = Store(tmp_path).open(0)
    assert state.held_bytes() > 0
    state.close()
    state.touch()
    assert (state.held_bytes(), state.is_flushing()) == (0, False)


def test_what_others_hold_does_not_make_a_file_of_each_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "_MEMTABLE_BYTES", 2 << 20)
    monkeypatch.setattr(store, "_UNFLUSHED_BYTES", 3 << 20)
    opened = Store(tmp_path)
    facts = [Stored("facts", b"%d" % n, b"." * 1_000, b"%d" % n, b"") for n in range(100)]
    states = [opened.open(number) for number in range(8)]
    for state in states[1:]:
        for _ in range(3):
            state.apply(Changes(facts=facts), synced=False)
    for _ in range(40):
        states[0].apply(Changes(facts=facts), synced=False)
    flushes = (states[0].path / "LOG").read_text().count("flush_started")
    for state in states:
        state.close()
    assert flushes < 25  # of 3 families; one flush of them for each write of two is 60


def test_partitions_that_were_written_to_once_hold_no_more_than_all_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "_MEMTABLE_BYTES", 1 << 20)
    monkeypatch.setattr(store, "_UNFLUSHED_BYTES", 1 << 20)
    opened = Store(tmp_path)
    facts = [Stored("facts", b"%d" % n, b"." * 1_000, b"%d" % n, b"") for n in range(300)]
    states = [opened.open(number) for number in range(8)]
    for state in states:
        state.apply(Changes(facts=facts))
    assert opened._memtables.get_usage() < 1_600_000  # a batch more; 8 of them are 3 000 000
    for state in states:
        state.close()


def bytes_read() -> int:
    """By this process, of any file."""
    (line,) = [line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar")]
    return int(line.split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="nobody counts")
def test_a_look_beyond_the_cache_reads_a_piece_of_index_and_filter_not_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "_CACHE_BYTES", 64 << 10)
    state = Store(tmp_path).open(0)
    batch = WriteBatch(raw_mode=True)
    for number in range(200_000):
        batch.put(number.to_bytes(8, "big"), b"", state._handle["seen"])
    state._db.write(batch)
    seen = state._family["seen"]
    seen.flush()
    assert seen.get((0).to_bytes(8, "big")) == b""
    before = bytes_read()
    for number in range(0, 200_000, 10_000):
        assert seen.get(number.to_bytes(8, "big")) == b""
    assert (bytes_read() - before) / 20 < 100_000
    state.close()
