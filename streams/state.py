"""The joiner's state: one RocksDB for each partition number, and all that one batch changes in it at once."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from schemas.decisions import Notice
from schemas.facts import AnyFact
from service.errors import Problem
from service.kafka import Outgoing
from streams import layout
from streams.layout import Emitted, Header, Position, Seen

FAMILIES: Final = ("facts", "seen", "headers", "cases", "notices", "waiting", "outbox")

_CACHE_BYTES: Final = 64 << 20  # read cache, index and filter blocks of all partitions of a process
_MEMTABLE_BYTES: Final = 64 << 20  # what all partitions together may hold before a flush
_WAL_BYTES: Final = 32 << 20  # per partition; bounds what is read again at an opening (about 0.3 s)
_OPEN_FILES: Final = 64  # per partition: 64 partitions stay below the usual limit of descriptors

_FORMAT_KEY: Final = b"format"
_POSITION_KEY: Final = b"position:"

_unpack_outgoing = msgspec.msgpack.Decoder(Outgoing).decode


class Busy(Problem):
    """Another process, or a partition not yet closed here, holds the directory."""


class Changes(msgspec.Struct):
    """What one batch adds to a partition's state; written whole or not at all.

    facts: topic, fact, record of each new one. outbox: what is then to be sent, in this order.
    resumed, waiting: (catalog version, transaction) that no longer waits, then what waits from now on.
    """

    facts: list[tuple[str, AnyFact, bytes]] = []
    headers: dict[str, Header] = {}
    cases: dict[tuple[str, int], Emitted] = {}
    notices: list[tuple[Notice, bytes]] = []
    resumed: list[tuple[int, str]] = []
    waiting: list[tuple[int, str]] = []
    positions: dict[str, Position] = {}
    outbox: list[Outgoing] = []


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
        self._cache = Cache(_CACHE_BYTES)
        self._memtables = WriteBufferManager(_MEMTABLE_BYTES, False)

    def open(self, number: int) -> "Partition":
        """The state of a partition number, made if there is none; Busy while somebody else has it open."""
        path = self._directory / str(number)
        path.mkdir(parents=True, exist_ok=True)
        families = {name: self._options() for name in FAMILIES}
        try:
            db = Rdict(str(path), self._options(), column_families=families)
        except Exception as error:  # rocksdict raises plain Exception for everything
            if "lock" in str(error).lower():
                raise Busy(f"state {path} is in use by another process; end that one first") from error
            raise Problem(f"state {path} cannot be opened: {error}") from error
        return Partition(number, db, path)

    def _options(self) -> Options:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        table = BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_cache_index_and_filter_blocks(True)  # else they grow with the data, outside of any limit
        table.set_bloom_filter(10.0, False)  # most receipts are new: 1 % of them read a block in vain
        options.set_block_based_table_factory(table)
        options.set_write_buffer_manager(self._memtables)
        options.set_write_buffer_size(8 << 20)
        options.set_max_total_wal_size(_WAL_BYTES)
        options.set_max_open_files(_OPEN_FILES)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_bottommost_compression_type(DBCompressionType.zstd())
        options.set_level_compaction_dynamic_level_bytes(True)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        options.set_stats_dump_period_sec(0)
        return options


class Partition:
    """The open state of one partition number. Not for two threads at once."""

    def __init__(self, number: int, db: Rdict, path: Path) -> None:
        self.number = number
        self._db = db
        self._family = {name: db.get_column_family(name) for name in FAMILIES}
        self._handle = {name: db.get_column_family_handle(name) for name in FAMILIES}
        self._synced = WriteOptions()
        self._synced.sync = True
        self._check_format(path)
        self.positions = self._read_positions()
        self._unsent = self._read_outbox()
        self._sent_to = self._next = 0
        if self._unsent:
            self._sent_to, self._next = self._unsent[0][0], self._unsent[-1][0] + 1

    def close(self) -> None:
        """The directory is free for another opening; what was sent is forgotten."""
        if self._db is None:
            return
        batch = WriteBatch(raw_mode=True)
        self._forget_sent(batch)
        self._write(batch)
        self._handle.clear()
        for family in self._family.values():
            family.close()
        self._family.clear()
        self._db.close()
        self._db = None

    # Reading

    def seen(self, facts: Sequence[AnyFact]) -> list[Seen | None]:
        """For each fact, where one of its receipt and time of receipt lies already."""
        found = self._family["seen"].get([layout.seen_key(fact) for fact in facts]) if facts else []
        return [None if value is None else layout.unpack_seen(value) for value in found]

    def fact(self, key: bytes) -> tuple[str, bytes] | None:
        """Topic and record of one stored fact."""
        value = self._family["facts"].get(key)
        return None if value is None else layout.split_fact(value)

    def facts(self, transaction_id: str) -> list[tuple[str, bytes]]:
        """Topic and record of every fact of a transaction: clicks, impressions, statements, each by time."""
        return [layout.split_fact(value) for _, value in self._scan("facts", layout.prefix(transaction_id))]

    def headers(self, transactions: Sequence[str]) -> list[Header]:
        """The header of each transaction, an empty one where nothing is known of it."""
        keys = [transaction.encode() for transaction in transactions]
        found = self._family["headers"].get(keys) if keys else []
        return [Header() if value is None else layout.unpack_header(value) for value in found]

    def cases(self, transaction_id: str) -> dict[int, Emitted]:
        """By goal, each case of a transaction as it was last sent."""
        return {
            layout.goal_of(key): layout.unpack_emitted(value)
            for key, value in self._scan("cases", layout.prefix(transaction_id))
        }

    def notices(self, transaction_id: str) -> dict[str, bytes]:
        """By notice_id, each notice of a transaction as it was sent."""
        start = layout.prefix(transaction_id)
        return {key[len(start) :].decode(): value for key, value in self._scan("notices", start)}

    def waiting(self, after: bytes, limit: int) -> list[tuple[bytes, str]]:
        """Key and transaction of those that wait for a catalog, oldest version first, from a key on."""
        found = self._scan("waiting", after, b"\xff" * 9)
        return [(key, layout.transaction_of(key)) for key, _ in itertools.islice(found, limit)]

    def unsent(self) -> list[Outgoing]:
        """What was decided and is not yet known to be in Kafka, in order."""
        return [record for _, record in self._unsent]

    # Writing

    def apply(self, changes: Changes) -> None:
        """Changes, positions and what is to be sent are on the disk: all of it, or after a crash nothing."""
        batch = WriteBatch(raw_mode=True)
        put, handle = batch.put, self._handle
        for topic, fact, value in changes.facts:
            key = layout.fact_key(topic, fact)
            put(key, layout.fact_value(topic, value), handle["facts"])
            put(layout.seen_key(fact), layout.pack(Seen(layout.digest(value), key)), handle["seen"])
        for transaction, header in changes.headers.items():
            put(transaction.encode(), layout.pack(header), handle["headers"])
        for (transaction, goal_id), emitted in changes.cases.items():
            put(layout.case_key(transaction, goal_id), layout.pack(emitted), handle["cases"])
        for notice, value in changes.notices:
            put(layout.notice_key(notice.transaction_id, notice.notice_id), value, handle["notices"])
        for version, transaction in changes.resumed:
            batch.delete(layout.waiting_key(version, transaction), handle["waiting"])
        for version, transaction in changes.waiting:
            put(layout.waiting_key(version, transaction), b"", handle["waiting"])
        for topic, position in changes.positions.items():
            put(_POSITION_KEY + topic.encode(), layout.pack(position))
        unsent = list(enumerate(changes.outbox, self._next))
        for sequence, record in unsent:
            put(layout.number(sequence), layout.pack(record), handle["outbox"])
        self._forget_sent(batch)
        self._write(batch)
        self._next += len(unsent)
        self._unsent += unsent
        self.positions |= changes.positions

    def sent(self) -> None:
        """All that `unsent` named is in Kafka. The next write takes it out; a crash before sends it again."""
        self._unsent = []

    def _forget_sent(self, batch: WriteBatch) -> None:
        first_unsent = self._unsent[0][0] if self._unsent else self._next
        if first_unsent > self._sent_to:
            batch.delete_range(
                layout.number(self._sent_to), layout.number(first_unsent), self._handle["outbox"]
            )
            self._sent_to = first_unsent

    def _write(self, batch: WriteBatch) -> None:
        if len(batch):
            self._db.write(batch, self._synced)

    def _scan(self, family: str, start: bytes, end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        options = ReadOptions()
        options.set_iterate_upper_bound(layout.end_of(start) if end is None else end)
        yield from self._family[family].items(from_key=start, read_opt=options)

    def _read_outbox(self) -> list[tuple[int, Outgoing]]:
        zero, end = layout.number(0), b"\xff" * 8
        return [
            (layout.to_number(key), _unpack_outgoing(value)) for key, value in self._scan("outbox", zero, end)
        ]

    def _read_positions(self) -> dict[str, Position]:
        end = _POSITION_KEY[:-1] + bytes((_POSITION_KEY[-1] + 1,))
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        return {
            key[len(_POSITION_KEY) :].decode(): layout.unpack_position(value)
            for key, value in self._db.items(from_key=_POSITION_KEY, read_opt=options)
        }

    def _check_format(self, path: Path) -> None:
        found = self._db.get(_FORMAT_KEY)
        if found is None:
            self._db.put(_FORMAT_KEY, layout.FORMAT)
        elif found != layout.FORMAT:
            raise Problem(
                f"state {path} is of format {found.decode()}, this release reads {layout.FORMAT.decode()};"
                " move it away and the joiner decides everything again from Kafka"
            )
