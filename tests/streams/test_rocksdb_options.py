"""What RocksDB is told: read back from what it writes beside each state of how it was opened."""

from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Final

import pytest

from streams.state import store
from streams.state.changes import Changes
from streams.state.layout import Stored
from streams.state.partition import FAMILIES, Partition
from streams.state.store import Store

DATABASE: Final = {
    "atomic_flush": "true",  # a lost or cut WAL gives an earlier state, not one at odds with itself
    "max_total_wal_size": str(32 << 20),
    "max_open_files": "64",
    "keep_log_file_num": "2",
    "max_log_file_size": str(1 << 20),
    "stats_dump_period_sec": "0",
}
FAMILY: Final = {
    "write_buffer_size": str(8 << 20),
    "arena_block_size": str(16 << 10),
    "compression": "kLZ4Compression",
    "bottommost_compression": "kZSTD",
    "level_compaction_dynamic_level_bytes": "true",
}
TABLE: Final = {
    "cache_index_and_filter_blocks": "true",
    "index_type": "kTwoLevelIndexSearch",
    "partition_filters": "true",
    "metadata_block_size": str(16 << 10),
    "block_size": str(16 << 10),
    "filter_policy": "bloomfilter",
    "no_block_cache": "false",
}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Store, Partition]]:
    made = Store(tmp_path)
    state = made.open(0)
    yield made, state
    state.close()


@pytest.mark.parametrize("name", ["default", *FAMILIES])
def test_each_state_is_kept_as_chosen(opened: tuple[Store, Partition], name: str):
    said = ConfigParser(interpolation=None, strict=False)
    said.read(max(opened[1].path.glob("OPTIONS-*")))
    for section, chosen in (
        ("DBOptions", DATABASE),
        (f'CFOptions "{name}"', FAMILY),
        (f'TableOptions/BlockBasedTable "{name}"', TABLE),
    ):
        assert {option: said[section][option] for option in chosen} == chosen


def test_all_states_of_a_process_share_one_cache_and_one_count_of_what_is_unflushed(
    opened: tuple[Store, Partition],
):
    made, state = opened
    before = made._memtables.get_usage()
    state.apply(Changes(facts=[Stored("facts", b"%d" % n, b"." * 1_000, b"%d" % n, b"") for n in range(100)]))
    assert made._memtables.get_usage() - before > 100_000
    for family in ("facts", "seen"):
        state._family[family].flush()
    read = made._cache.get_usage()
    assert state._family["facts"].get(b"7") is not None
    assert made._cache.get_usage() > read


def test_what_they_take_is_bounded_in_sum():
    assert store._MEMTABLE_BYTES < store._UNFLUSHED_BYTES
    assert store._CACHE_BYTES + store._UNFLUSHED_BYTES <= 128 << 20
