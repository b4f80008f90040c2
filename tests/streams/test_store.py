"""How the states of a process share its memory."""

import sys
from pathlib import Path

import pytest
from rocksdict import WriteBatch

from streams import store
from streams.changes import Changes
from streams.layout import Stored
from streams.store import Store


class Flushing:
    """A partition that is being flushed for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.touched = 0

    def touch(self) -> None:
        self.touched += 1

    @property
    def is_flushing(self) -> bool:
        self.looks -= 1
        return self.looks > 0


@pytest.fixture
def opened(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MEMTABLE_BYTES", 0)
    monkeypatch.setattr(store, "_UNFLUSHED_BYTES", -1)


def told(opened: Store, partition: Flushing) -> Flushing:
    opened._written(partition)  # type: ignore[arg-type]
    return partition


@pytest.mark.usefixtures("_short")
def test_who_writes_waits_for_the_flush_of_what_it_wrote_where_memory_is_short(opened: Store):
    partition = told(opened, Flushing(3))
    assert (partition.touched, partition.looks) == (1, 0)


def test_nobody_waits_where_there_is_memory(opened: Store):
    partition = told(opened, Flushing(3))
    assert (partition.touched, partition.looks) == (0, 3)


@pytest.mark.usefixtures("_short")
def test_a_flush_that_does_not_end_is_not_waited_for_without_end(
    opened: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "_FLUSH_S", 0.02)
    assert told(opened, Flushing(1_000_000)).touched == 1


def test_partitions_that_were_written_to_once_hold_no_more_than_all_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "_MEMTABLE_BYTES", 1 << 20)
    monkeypatch.setattr(store, "_UNFLUSHED_BYTES", 1 << 20)
    opened = Store(tmp_path)
    facts = [Stored(b"%d" % n, b"." * 1_000, b"%d" % n, b"") for n in range(300)]
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
