"""The joiner's state: one RocksDB for each partition number, and all that one batch changes in it at once."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec
from rocksdict import Rdict, RdictIter, ReadOptions, WriteBatch, WriteOptions

from service.errors import Problem
from service.kafka import Outgoing
from streams import damage, layout, reach
from streams.layout import Bundle, Emitted, Expired, Header, Position, Seen, Stored

FAMILIES: Final = (
    *("facts", "seen", "headers", "cases", "notices"),
    *("times", "births", "waiting", "outbox"),
)

_FORMAT_KEY: Final = b"format"
_POSITION_KEY: Final = b"position:"
_WRITE_KEY: Final = b"write:"
_EXPIRED_KEY: Final = b"expired"
_WRITES: Final = 20_000  # whose numbers are kept: more than lie in WALs. Reading them takes 8 ms

_unpack_outgoing = msgspec.msgpack.Decoder(Outgoing).decode


class Changes(msgspec.Struct):
    """What one batch does to a partition's state; written whole or not at all, what is dropped first.

    facts: each new one. outbox: what is then to be sent, in this order.
    resumed, waiting: what no longer waits for a catalog version, then what waits from now on.
    times: (occurred_ms, bundle) of statements under shared identifiers.
    unborn, births: (born_ms, bundle) that is no longer so, then that is so from now on.
    dropped: family and key. expired: how far expiry has come by it.
    """

    facts: list[Stored] = []
    headers: dict[Bundle, Header] = {}
    cases: dict[tuple[Bundle, int], Emitted] = {}
    notices: dict[tuple[Bundle, str], bytes] = {}
    times: list[tuple[int, Bundle]] = []
    unborn: list[tuple[int, Bundle]] = []
    births: list[tuple[int, Bundle]] = []
    resumed: list[tuple[int, Bundle]] = []
    waiting: list[tuple[int, Bundle]] = []
    positions: dict[str, Position] = {}
    outbox: list[Outgoing] = []
    dropped: list[tuple[str, bytes]] = []
    expired: Expired | None = None


@damage.told
class Partition:
    """The open state of one partition number. Not for two threads at once.

    Problem, with what to do, where its files are damaged or the disk fails.
    """

    def __init__(
        self, number: int, db: Rdict, path: Path, written: Callable[["Partition"], None] = lambda _: None
    ) -> None:
        """written: told after each write; returns when more may be written."""
        self.number = number
        self.path = path
        self._db = db
        self._written = written
        self._family = {name: db.get_column_family(name) for name in FAMILIES}
        self._handle = {name: db.get_column_family_handle(name) for name in FAMILIES}
        self._reclaiming = Lock()  # RocksDB lets others read and write meanwhile, but not close
        self._synced, self._unsynced = WriteOptions(), WriteOptions()
        self._synced.sync = True
        self._check_format()
        self._writes = self._checked_writes()
        self.positions = self._read_positions()
        expired = db.get(_EXPIRED_KEY)
        self.expired = layout.unpack_expired(expired) if expired else Expired()
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
        with contextlib.suppress(Problem):  # on a full disk: what was sent is then sent again
            self._write(batch, self._synced)
        with self._reclaiming:
            self._handle.clear()
            for family in self._family.values():
                family.close()
            self._family.clear()
            db, self._db = self._db, None
        db.close()

    # Asked for each record

    def seen(self, keys: Sequence[bytes]) -> list[Seen | None]:
        """For each seen_key, where that fact lies already."""
        found = self._family["seen"].get(list(keys)) if keys else []
        return [None if value is None else layout.split_seen(value) for value in found]

    def fact(self, key: bytes) -> tuple[str, bytes] | None:
        """Topic and record of one stored fact."""
        value = self._family["facts"].get(key)
        return None if value is None else layout.split_fact(value)

    def headers(self, bundles: Sequence[Bundle]) -> list[Header]:
        """The header of each bundle, an empty one where nothing is known of it."""
        keys = [layout.header_key(bundle) for bundle in bundles]
        found = self._family["headers"].get(keys) if keys else []
        return [_NO_HEADER if value is None else layout.unpack_header(value) for value in found]

    def emitted(self, cases: Sequence[tuple[Bundle, int]]) -> list[Emitted | None]:
        """Each of these cases (place, goal) as it was last sent."""
        keys = [layout.case_key(*case) for case in cases]
        found = self._family["cases"].get(keys) if keys else []
        return [None if value is None else layout.unpack_emitted(value) for value in found]

    # Asked for a decision

    def facts(self, transaction_id: str, most_visits: int = 1 << 62) -> list[tuple[str, bytes]]:
        """Topic and record of a transaction's facts: clicks, impressions, statements, each by time.

        Of more visits than that many of a kind the first; all statements, as they are bounded by themselves.
        """
        start = layout.prefix(transaction_id)
        found = list(itertools.islice(self._scan("facts", start), most_visits))
        if len(found) == most_visits:
            found = [
                *itertools.islice(self._scan("facts", start + layout.CLICK), most_visits),
                *itertools.islice(self._scan("facts", start + layout.IMPRESSION), most_visits),
                *self._scan("facts", start + layout.STATEMENT),
            ]
        return [layout.split_fact(value) for _, value in found]

    def statements(self, bundle: Bundle) -> list[tuple[str, bytes]]:
        """Topic and record of a bundle's statements, by time."""
        return [found for _, found in self.keyed_statements(bundle)]

    def keyed_statements(self, bundle: Bundle) -> list[tuple[bytes, tuple[str, bytes]]]:
        """By their keys, topic and record of a bundle's statements, by time."""
        found = self._scan("facts", layout.statements_start(bundle))
        return [(key, layout.split_fact(value)) for key, value in found]

    def visits(self) -> "Visits":
        """What finds a visit by its time, in the state as it is now; for the length of a batch."""
        return Visits(self._family["facts"].iter(ReadOptions()), self.path)

    def cases(self, bundle: Bundle) -> dict[tuple[Bundle, int], Emitted]:
        """By place and goal, each case of a bundle as it was last sent."""
        found = self._scan("cases", layout.header_key(bundle))
        return {layout.split_case(key): layout.unpack_emitted(value) for key, value in found}

    def notices(self, bundle: Bundle) -> dict[str, bytes]:
        """By notice_id, each notice of a bundle as it was sent."""
        start = layout.header_key(bundle)
        return {key[len(start) :].decode(): value for key, value in self._scan("notices", start)}

    def stated(self, transaction_id: str, since_ms: int, until_ms: int) -> list[tuple[int, Bundle]]:
        """Of a shared identifier, when something was stated in these times (both included), and of what."""
        start = layout.time_key(Bundle(transaction_id), since_ms)
        end = layout.time_key(Bundle(transaction_id), until_ms + 1)
        return [layout.split_time(key) for key, _ in self._scan("times", start, end)]

    def next_visit_ms(self, transaction_id: str, kind: bytes, after_ms: int) -> int:
        """When the transaction's next visit of a kind was; the end of all times where there is none."""
        start = layout.visit_key(transaction_id, kind, after_ms + 1, "")
        end = layout.end_of(layout.prefix(transaction_id) + kind)
        found = next(iter(self._scan("facts", start, end)), None)
        return layout.END_MS if found is None else layout.visit_ms_of(found[0])

    def waiting(self, after: bytes, limit: int, until: bytes = b"\xff" * 9) -> list[tuple[bytes, Bundle]]:
        """Key and bundle of those that wait, what is due first, then by catalog version, between two keys."""
        found = self._scan("waiting", after, until)
        return [(key, layout.split_numbered(key)[1]) for key, _ in itertools.islice(found, limit)]

    # Asked for expiry

    def oldest(
        self, kind: bytes, before_ms: int, limit: int, after: bytes = b"\x00"
    ) -> list[tuple[bytes, bytes]]:
        """Of the facts of a kind that were received before then, the first from a key on: its two keys."""
        end = layout.seen_start(kind, before_ms)
        found = self._scan("seen", max(after, kind), end)
        return [(key, layout.split_seen(value).fact_key) for key, value in itertools.islice(found, limit)]

    def born(self, before_ms: int, limit: int, after: bytes = b"\x00") -> list[tuple[int, Bundle]]:
        """Of the bundles born before then, the first from a key on; some may be gone, or be born earlier."""
        found = self._scan("births", after, layout.number(before_ms))
        return [layout.split_numbered(key) for key, _ in itertools.islice(found, limit)]

    def all_of(self, bundle: Bundle, header: Header) -> list[tuple[str, bytes]]:
        """Family and key of all that is kept of a bundle, but for what makes its receipts known.

        That stays until it is too old itself: a statement that comes again must not open the bundle anew.
        """
        start = layout.header_key(bundle)
        facts = [key for key, _ in self._scan("facts", layout.statements_start(bundle))]
        found = [("headers", start), ("births", layout.numbered_key(header.born_ms, bundle))]
        found += [("facts", key) for key in facts]
        found += [(name, key) for name in ("cases", "notices") for key, _ in self._scan(name, start)]
        if header.awaits:
            found.append(("waiting", layout.numbered_key(header.awaits, bundle)))
        if layout.is_shared(bundle.transaction_id):
            moments = {layout.occurred_ms_of(key, bundle) for key in facts}
            found += [("times", layout.time_key(bundle, moment)) for moment in moments]
        return found

    def unsent(self) -> list[Outgoing]:
        """What was decided and is not yet known to be in Kafka, in order."""
        return [record for _, record in self._unsent]

    # Writing

    def apply(self, changes: Changes, *, synced: bool = True) -> None:
        """Changes, positions and what is to be sent are on the disk: all of it, or after a crash nothing.

        Without a sync a power cut (no kill) may undo it and all that came after it: for who can do it again.
        """
        batch = WriteBatch(raw_mode=True)
        handle = self._handle
        for family, key in itertools.chain(changes.dropped, _dropped(changes)):
            batch.delete(key, handle[family])
        facts, seen = handle["facts"], handle["seen"]
        for key, value, seen_key, seen_value in changes.facts:
            batch.put(key, value, facts)
            batch.put(seen_key, seen_value, seen)
        for family, key, value in _put(changes):
            batch.put(key, value, handle[family])
        for topic, position in changes.positions.items():
            batch.put(_POSITION_KEY + topic.encode(), layout.pack(position))
        if changes.expired:
            batch.put(_EXPIRED_KEY, layout.pack(changes.expired))
        unsent = list(enumerate(changes.outbox, self._next))
        for sequence, record in unsent:
            batch.put(layout.number(sequence), layout.pack(record), handle["outbox"])
        self._forget_sent(batch)
        self._write(batch, self._synced if synced else self._unsynced)
        self._written(self)
        self._next += len(unsent)
        self._unsent += unsent
        self.positions |= changes.positions
        self.expired = changes.expired or self.expired
        if changes.positions and synced:
            self._note_reach()

    def sync(self) -> None:
        """All that was applied outlasts a power cut."""
        self._db.flush_wal(sync=True)
        self._note_reach()

    def sent(self) -> None:
        """All that `unsent` named is in Kafka. The next write takes it out; a crash before sends it again."""
        self._unsent = []

    def reclaim(self, kind: bytes) -> None:
        """The disk that forgotten receipts of a kind took is the system's again. From any thread."""
        with self._reclaiming:
            if self._db is not None:
                end = next(self._scan("seen", kind), (layout.end_of(kind), b""))[0]
                self._family["seen"].compact_range(kind, end)

    def touch(self) -> None:
        """RocksDB has looked whether this partition is to be flushed: it does so before each write."""
        self._db.put(_FORMAT_KEY, layout.FORMAT)

    @property
    def is_flushing(self) -> bool:
        """Whether something that was written waits for the disk."""
        return bool(self._family["facts"].property_int_value("rocksdb.num-immutable-mem-table"))

    def _note_reach(self) -> None:
        reach.note(self.path, (position.offset for position in self.positions.values()))

    def _forget_sent(self, batch: WriteBatch) -> None:
        first_unsent = self._unsent[0][0] if self._unsent else self._next
        if first_unsent > self._sent_to:
            batch.delete_range(
                layout.number(self._sent_to), layout.number(first_unsent), self._handle["outbox"]
            )
            self._sent_to = first_unsent

    def _write(self, batch: WriteBatch, options: WriteOptions) -> None:
        if not len(batch):
            return
        batch.put(_WRITE_KEY + layout.number(self._writes), b"")
        if self._writes >= _WRITES:
            batch.delete(_WRITE_KEY + layout.number(self._writes - _WRITES))
        self._db.write(batch, options)
        self._writes += 1

    def _scan(self, family: str, start: bytes, end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        return _scanned(self._family[family], start, layout.end_of(start) if end is None else end)

    def _read_outbox(self) -> list[tuple[int, Outgoing]]:
        zero, end = layout.number(0), b"\xff" * 8
        return [
            (layout.to_number(key), _unpack_outgoing(value)) for key, value in self._scan("outbox", zero, end)
        ]

    def _read_positions(self) -> dict[str, Position]:
        found = _scanned(self._db, _POSITION_KEY, layout.end_of(_POSITION_KEY))
        return {key[len(_POSITION_KEY) :].decode(): layout.unpack_position(value) for key, value in found}

    def _checked_writes(self) -> int:
        """The next write's number; ValueError where earlier ones are missing, as when a manifest was cut."""
        found = _scanned(self._db, _WRITE_KEY, layout.end_of(_WRITE_KEY))
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


@damage.told
class Visits:
    """The visits of a state at one moment. A seek costs half of what a scan of its own would."""

    def __init__(self, cursor: RdictIter, path: Path) -> None:
        self.path = path
        self._cursor = cursor

    def last(
        self, transaction_id: str, kind: bytes, since_ms: int, until_ms: int
    ) -> tuple[str, bytes] | None:
        """Topic and record of the transaction's last visit of a kind in these times, both included."""
        cursor = self._cursor
        cursor.seek_for_prev(layout.visit_key(transaction_id, kind, until_ms + 1, ""))
        cursor.status()
        if not cursor.valid() or cursor.key() < layout.visit_key(transaction_id, kind, since_ms, ""):
            return None
        return layout.split_fact(cursor.value())


_NO_HEADER: Final = Header()


def _scanned(family: Rdict, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values from `start` up to before `end`. Rdict.items would end at a damaged block, unheard."""
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    cursor = family.iter(options)
    cursor.seek(start)
    while cursor.valid():
        yield cursor.key(), cursor.value()
        cursor.next()
    cursor.status()


def _dropped(changes: Changes) -> Iterable[tuple[str, bytes]]:
    yield from (("waiting", layout.numbered_key(*each)) for each in changes.resumed)
    yield from (("births", layout.numbered_key(*each)) for each in changes.unborn)


def _put(changes: Changes) -> Iterable[tuple[str, bytes, bytes]]:
    for bundle, header in changes.headers.items():
        yield "headers", layout.header_key(bundle), layout.pack(header)
    for case, emitted in changes.cases.items():
        yield "cases", layout.case_key(*case), layout.pack(emitted)
    for notice, value in changes.notices.items():
        yield "notices", layout.notice_key(*notice), value
    for occurred_ms, bundle in changes.times:
        yield "times", layout.time_key(bundle, occurred_ms), b""
    for each in changes.births:
        yield "births", layout.numbered_key(*each), b""
    for each in changes.waiting:
        yield "waiting", layout.numbered_key(*each), b""
