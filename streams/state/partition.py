"""The joiner's state: one RocksDB for each partition number, in which a batch changes all or nothing."""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from rocksdict import Rdict, WriteBatch, WriteOptions

from service.errors import Problem
from service.kafka import Outgoing
from streams.state import damage, layout, reach
from streams.state.changes import Changes, entries_in, keys_out
from streams.state.contents import Contents
from streams.state.layout import Expired, Position
from streams.state.scan import scanned
from streams.state.unsent import Unsent

FAMILIES: Final = (
    *("facts", "clicks", "impressions", "seen", "headers", "cases", "notices"),
    *("times", "births", "waiting", "outbox"),
)

_FORMAT_KEY: Final = b"format"
_POSITION_KEY: Final = b"position:"
_WRITE_KEY: Final = b"write:"
_EXPIRED_KEY: Final = b"expired"
_WRITES: Final = 20_000  # whose numbers are kept: more than lie in WALs. Reading them takes 8 ms

T = TypeVar("T")


@damage.told
class Partition(Contents):
    """The open state of one partition number. Not for two threads at once.

    Problem, with what to do, where its files are damaged or the disk fails.
    """

    def __init__(
        self, number: int, db: Rdict, path: Path, written: Callable[[], None] = lambda: None
    ) -> None:
        """written: told after each write; returns when more may be written."""
        super().__init__(path, {name: db.get_column_family(name) for name in FAMILIES})
        self.number = number
        self._db = db
        self._written = written
        self._handle = {name: db.get_column_family_handle(name) for name in FAMILIES}
        self._reclaiming = Lock()  # RocksDB lets others read and write meanwhile, but not close
        self._synced, self._unsynced = WriteOptions(), WriteOptions()
        self._synced.sync = True
        self._check_format()
        self._writes = self._checked_writes()
        self.positions = self._read_positions()
        expired = db.get(_EXPIRED_KEY)
        self.expired = layout.unpack_expired(expired) if expired else Expired()
        self._unsent = Unsent(self._scan("outbox", layout.number(0), b"\xff" * 8))

    def close(self) -> None:
        """The directory is free for another opening; what was sent is forgotten."""
        if self._db is None:
            return
        batch = WriteBatch(raw_mode=True)
        self._forget_sent(batch)
        with contextlib.suppress(Problem):  # on a full disk: what was sent is then sent again
            self._write(batch, self._synced)
        with self._reclaiming:
            self._handle.clear()
            for family in self._family.values():
                family.close()
            self._family.clear()
            db, self._db = self._db, None
        db.close()

    def apply(self, changes: Changes, *, synced: bool = True) -> None:
        """Changes, positions and what is to be sent are on the disk: all of it, or after a crash nothing.

        Without a sync a power cut (no kill) may undo it and all that came after it: for who can do it again.
        """
        batch = WriteBatch(raw_mode=True)
        handle = self._handle
        for family, key in keys_out(changes):
            batch.delete(key, handle[family])
        seen = handle["seen"]
        for each in changes.facts:
            batch.put(each.key, each.value, handle[each.family])
            batch.put(each.seen_key, each.seen_value, seen)
        for family, key, value in entries_in(changes):
            batch.put(key, value, handle[family])
        for topic, position in changes.positions.items():
            batch.put(_POSITION_KEY + topic.encode(), layout.pack(position))
        if changes.expired:
            batch.put(_EXPIRED_KEY, layout.pack(changes.expired))
        for key, value in self._unsent.entries(changes.outbox):
            batch.put(key, value, handle["outbox"])
        self._forget_sent(batch)
        self._write(batch, self._synced if synced else self._unsynced)
        self._written()
        self._unsent.written(changes.outbox)
        self.positions |= changes.positions
        self.expired = changes.expired or self.expired
        if changes.positions and synced:
            self._note_reach()

    def sync(self) -> None:
        """All that was applied outlasts a power cut."""
        self._db.flush_wal(sync=True)
        self._note_reach()

    def unsent(self) -> list[Outgoing]:
        """What was decided and is not yet known to be in Kafka, in order."""
        return self._unsent.records

    def sent(self) -> None:
        """All that `unsent` named is in Kafka. The next write takes it out; a crash before sends it again."""
        self._unsent.sent()

    def reclaim(self, kind: bytes) -> None:
        """The disk that forgotten receipts of a kind took is the system's again. From any thread."""
        with self._reclaiming:
            if self._db is not None:
                end = next(self._scan("seen", kind), (layout.end_of(kind), b""))[0]
                self._family["seen"].compact_range(kind, end)

    # For any thread

    def touch(self) -> None:
        """RocksDB has looked whether this partition is to be flushed: it does so before each write."""
        self._asked(lambda: self._db.put(_FORMAT_KEY, layout.FORMAT))

    def held_bytes(self) -> int:
        """How much of what was written is in memory and not yet on its way to the files."""
        return self._counted("rocksdb.cur-size-active-mem-table", self._family)

    def is_flushing(self) -> bool:
        """Whether something that was written waits for the disk."""
        return self._counted("rocksdb.num-immutable-mem-table", ("seen", "cases")) > 0

    def _counted(self, property_name: str, families: Iterable[str]) -> int:
        read = Rdict.property_int_value
        return (
            self._asked(lambda: sum(read(self._family[name], property_name) or 0 for name in families)) or 0
        )

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """Nothing where this is being closed, or its disk reclaimed: that may last, and others go on."""
        if not self._reclaiming.acquire(blocking=False):
            return None
        try:
            return ask() if self._db is not None else None
        finally:
            self._reclaiming.release()

    def _note_reach(self) -> None:
        reach.note(self.path, (position.offset for position in self.positions.values()))

    def _forget_sent(self, batch: WriteBatch) -> None:
        if gone := self._unsent.forget():
            batch.delete_range(*gone, self._handle["outbox"])

    def _write(self, batch: WriteBatch, options: WriteOptions) -> None:
        if not len(batch):
            return
        batch.put(_WRITE_KEY + layout.number(self._writes), b"")
        if self._writes >= _WRITES:
            batch.delete(_WRITE_KEY + layout.number(self._writes - _WRITES))
        self._db.write(batch, options)
        self._writes += 1

    def _read_positions(self) -> dict[str, Position]:
        found = scanned(self._db, _POSITION_KEY, layout.end_of(_POSITION_KEY))
        return {key[len(_POSITION_KEY) :].decode(): layout.unpack_position(value) for key, value in found}

    def _checked_writes(self) -> int:
        """The next write's number; ValueError where earlier ones are missing, as when a manifest was cut."""
        found = scanned(self._db, _WRITE_KEY, layout.end_of(_WRITE_KEY))
        numbers = [layout.to_number(key[len(_WRITE_KEY) :]) for key, _ in found]
        written = numbers[-1] + 1 if numbers else 0
        if len(numbers) < min(written, _WRITES):
            raise ValueError(f"of the last {min(written, _WRITES)} writes only {len(numbers)} are there")
        return written

    def _check_format(self) -> None:
        found = self._db.get(_FORMAT_KEY)
        if found is None:
            self._db.put(_FORMAT_KEY, layout.FORMAT)
        elif found != layout.FORMAT:
            known, given = layout.FORMAT.decode(), found.decode(errors="backslashreplace")
            raise Problem(
                f"state {self.path} is of format {given}, this release reads {known};"
                " move it away and the joiner decides everything again from Kafka"
            )
