"""Where the states of all partitions of a process lie, and how RocksDB is to keep them."""

import time
from pathlib import Path
from typing import Final

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBufferManager,
)

from service.errors import Problem
from streams.state import damage
from streams.state.partition import FAMILIES, Partition

_CACHE_BYTES: Final = 64 << 20  # read cache, index and filter blocks of all partitions of a process
_MEMTABLE_BYTES: Final = 28 << 20  # what all partitions together may hold before a flush
_UNFLUSHED_BYTES: Final = 48 << 20  # and with what is being flushed, before who writes waits for that
_FLUSH_S: Final = 5.0  # so long at the most: a disk that fails is told by the next write
_LOOK_S: Final = 0.005
_BLOCK_BYTES: Final = 16 << 10
_ARENA_BYTES: Final = 16 << 10
_WAL_BYTES: Final = 32 << 20  # per partition; bounds what is read again at an opening (about 0.3 s)
_OPEN_FILES: Final = 64  # per partition: 64 partitions stay below the usual limit of descriptors


class Busy(Problem):
    """Another process, or a partition not yet closed here, holds the directory."""


class Store:
    """All partitions of a process: they share one cache and one limit on unflushed writes.

    Problem where its directory cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(f"{directory} cannot be made: {error.strerror}; see ROUNDTRIP_DIR") from error
        # Of the usual cache each of 64 shards takes 1 MiB: a larger block is read and unpacked at each look.
        self._cache = Cache.new_hyper_clock_cache(_CACHE_BYTES, 0)
        self._memtables = WriteBufferManager(_UNFLUSHED_BYTES, False)
        self._partitions: dict[int, Partition] = {}

    def open(self, number: int) -> Partition:
        """The state of a partition number, made if there is none; Busy while somebody else has it open."""
        path = self._directory / str(number)
        families = {name: self._options() for name in FAMILIES}
        try:
            path.mkdir(parents=True, exist_ok=True)
            db = Rdict(str(path), self._options(), column_families=families)
            self._partitions[number] = Partition(number, db, path, self._written)
            return self._partitions[number]
        except Exception as error:  # as in damage.py: RocksDB raises no other; what is not its is raised on
            if f"{path}/LOCK" in str(error):
                raise Busy(f"state {path} is in use by another process; end that one first") from error
            if damage.is_of_state(error):
                raise damage.problem(path, error) from error
            raise

    def _written(self) -> None:
        """Where memory is short, the partition that holds most is on its way to the disk.

        RocksDB itself flushes who writes, before its next write: what a backlog left in each of 64 partitions
        came to 86 MB, and where others held it all, each write of 4 became files of its own, at twice the
        cost. None of its calls flushes all families of another: that looks while the limit is passed.
        """
        if self._memtables.get_usage() < _MEMTABLE_BYTES:
            return
        most = max(list(self._partitions.values()), key=Partition.held_bytes)
        self._memtables.set_buffer_size(1)
        most.touch()
        self._memtables.set_buffer_size(_UNFLUSHED_BYTES)
        limit_s = time.monotonic() + _FLUSH_S
        while self._memtables.get_usage() >= _UNFLUSHED_BYTES and most.is_flushing():
            if time.monotonic() > limit_s:
                return
            time.sleep(_LOOK_S)

    def _options(self) -> Options:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        table = BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_cache_index_and_filter_blocks(True)  # else they grow with the data, outside of any limit
        # In pieces, of which a look takes one: a whole file's index and filter have 2 MiB each.
        table.set_index_type(BlockBasedIndexType.two_level_index_search())
        table.set_partition_filters(True)
        table.set_metadata_block_size(_BLOCK_BYTES)
        table.set_block_size(_BLOCK_BYTES)
        table.set_bloom_filter(10.0, False)  # most receipts are new: 1 % of them read a block in vain
        options.set_block_based_table_factory(table)
        options.set_write_buffer_manager(self._memtables)
        options.set_write_buffer_size(8 << 20)
        # What a family takes at its first write: with the usual 1 MiB 64 partitions of 9 came to 950 MB.
        options.set_arena_block_size(_ARENA_BYTES)
        options.set_max_total_wal_size(_WAL_BYTES)
        # All families at once: a lost or cut WAL then gives an earlier state, not one at odds with itself.
        options.set_atomic_flush(True)
        options.set_max_open_files(_OPEN_FILES)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_bottommost_compression_type(DBCompressionType.zstd())
        options.set_level_compaction_dynamic_level_bytes(True)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        options.set_stats_dump_period_sec(0)
        return options
