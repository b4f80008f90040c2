"""What is too old leaves a state, a bounded piece at a time. What is too old, streams.expiry says.

1. Visits go one by one, in the order in which they were received; so does what makes them known.
2. A bundle goes whole: statements, cases, notices, what it waits for. Its header stays as a memory of it.
   Of a person, who may buy again, each case goes by itself, and what is remembered is its order numbers.
3. The memory goes last, when not even a replay can bring one of its statements again.
4. What makes statements known goes once no bundle needs it.

Each piece is one synced write with the time that it acted upon. That time never goes back: what was given up
then stays too old.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from streams import expiry
from streams.batch import persons
from streams.state import layout
from streams.state.bundles import Bundle, is_persons, order_memory
from streams.state.changes import Changes
from streams.state.layout import Expired, Header
from streams.state.partition import Partition

PIECE: Final = 5_000  # entries
PIECE_S: Final = 0.03  # for which fetches wait, and then for the write. A slow disk makes pieces smaller
AT_ONCE: Final = 256  # entries looked up together: between two looks at the clock
STEP_MS: Final = 60_000  # so far a partition's time goes on before anything is looked for
# Emptied ranges are compacted: RocksDB itself leaves what nobody writes to, and grew to twice what it held.
RECLAIM_AFTER: Final = 100_000

_BIRTHS: Final = b"births"
_VISITS: Final = {"impressions": layout.IMPRESSION, "clicks": layout.CLICK}


class Gone(msgspec.Struct):
    """What left. more: whether something too old may be left."""

    impressions: int = 0
    clicks: int = 0
    statements: int = 0
    more: bool = False


class Done(msgspec.Struct):
    """What was taken out of a state since it was opened.

    ends: of each index, where its deleted entries end: passing over them would take longer with each piece.
    emptied: by kind, how many receipts since the disk had them back.
    """

    ends: dict[bytes, bytes] = {}
    emptied: dict[bytes, int] = {}


class Expirer:
    """Takes pieces out of the states of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: WeakKeyDictionary[Partition, Done] = WeakKeyDictionary()

    def take(self, state: Partition, time_ms: int) -> Gone:
        """The next piece is gone, from the state and sooner or later from the disk."""
        done = self._done.setdefault(state, Done())
        limit_s = self._clock() + PIECE_S
        piece = Piece(state, max(time_ms, state.expired.time_ms), done, lambda: self._clock() > limit_s)
        state.apply(piece.changes)
        return piece.gone

    def reclaim(self, state: Partition) -> None:
        """Where much was emptied, the disk has it back. Takes seconds; others may use the state meanwhile."""
        emptied = self._done.setdefault(state, Done()).emptied
        for kind in [kind for kind, count in emptied.items() if count >= RECLAIM_AFTER]:
            state.reclaim(kind)
            emptied[kind] = 0


class Piece:
    """What is to leave next, as changes; writes nothing itself. is_over: whether it took its time."""

    def __init__(
        self, state: Partition, time_ms: int, done: Done, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        self.changes = Changes()
        self.gone = Gone()
        self._is_over = is_over
        self._done = done
        self._state = state
        self._time_ms = time_ms
        self._given_up = state.expired.given_up
        self._room = PIECE
        for topic, kind in _VISITS.items():
            self._visits(topic, kind)
        self._bundles()
        self._memories()
        self._known(layout.STATEMENT, self._time_ms - expiry.STATEMENTS_KEPT_MS)
        self.gone.more = self._is_full
        self.changes.expired = Expired(time_ms, self._given_up)

    @property
    def _is_full(self) -> bool:
        """With something in it: else a disk that is slow at each look would never let anything go."""
        return self._room <= 0 or (self._room < PIECE and self._is_over())

    def _visits(self, topic: str, kind: bytes) -> None:
        found = self._known(kind, expiry.oldest_kept_ms(topic, self._time_ms))
        self.changes.dropped += [(layout.family_of(fact_key), fact_key) for fact_key in found]
        setattr(self.gone, topic, len(found))

    def _bundles(self) -> None:
        before_ms = self._time_ms - expiry.STATEMENTS_KEPT_MS
        for born_ms, bundle, header in self._born(before_ms, self._given_up):
            if is_persons(bundle.transaction_id) and not bundle.part:
                self._person(born_ms, bundle, header, before_ms)
                continue
            kept = {("headers", layout.header_key(bundle)), ("births", layout.numbered_key(born_ms, bundle))}
            self._drop([each for each in self._state.all_of(bundle, header) if each not in kept])
            self.changes.headers[bundle] = Header(header.facts, 0, 0, born_ms)
            self._given_up = layout.numbered_key(born_ms, bundle) + b"\x00"

    def _person(self, born_ms: int, bundle: Bundle, header: Header, before_ms: int) -> None:
        """Of a person each case goes when it is over; of its orders it is remembered when they began.

        While it waits to be decided all stays: what came meanwhile may belong to what stands.
        """
        if header.awaits:
            self._look_again(born_ms, bundle, header, self._time_ms)
            return
        gone = persons.gone(self._state, bundle, before_ms)
        self._drop(gone.entries)
        for number, first_ms in gone.orders.items():
            memory = order_memory(bundle.transaction_id, number)
            self.changes.headers[memory] = Header(0, 0, 0, first_ms)
            self.changes.births.append((first_ms, memory))
        if gone.next_ms:
            left = header.statements - gone.statements
            self._look_again(born_ms, bundle, msgspec.structs.replace(header, statements=left), gone.next_ms)
        else:
            self.changes.headers[bundle] = Header(header.facts, 0, 0, born_ms)
        self._given_up = layout.numbered_key(born_ms, bundle) + b"\x00"

    def _look_again(self, born_ms: int, bundle: Bundle, header: Header, next_ms: int) -> None:
        """As if it had been born then."""
        self.changes.unborn.append((born_ms, bundle))
        self.changes.births.append((next_ms, bundle))
        self.changes.headers[bundle] = msgspec.structs.replace(header, born_ms=next_ms)

    def _memories(self) -> None:
        after = self._done.ends.get(_BIRTHS, b"\x00")
        for born_ms, bundle, header in self._born(self._time_ms - expiry.REMEMBERED_MS, after):
            if bundle in self.changes.headers:
                return  # it was only now given up: the next piece's affair
            self._drop(self._state.all_of(bundle, header))
            self._done.ends[_BIRTHS] = layout.numbered_key(born_ms, bundle) + b"\x00"

    def _born(self, before_ms: int, after: bytes) -> Iterator[tuple[int, Bundle, Header]]:
        """Until the piece is full; entries that are no longer so are dropped."""
        while found := self._state.born(before_ms, AT_ONCE, after):
            headers = self._state.headers([bundle for _, bundle in found])
            for (born_ms, bundle), header in zip(found, headers, strict=True):
                if self._is_full:
                    return
                after = layout.numbered_key(born_ms, bundle) + b"\x00"
                self._room -= 1
                if header.born_ms == born_ms:
                    yield born_ms, bundle, header
                else:
                    self._drop([("births", layout.numbered_key(born_ms, bundle))])

    def _drop(self, entries: list[tuple[str, bytes]]) -> None:
        self.changes.dropped += entries
        self.gone.statements += sum(family == "facts" for family, _ in entries)
        self._room -= len(entries)

    def _known(self, kind: bytes, before_ms: int) -> list[bytes]:
        """Of a kind's oldest, where they lie; they are no longer known."""
        places: list[bytes] = []
        while not self._is_full:
            found = self._state.oldest(
                kind, before_ms, min(AT_ONCE, self._room), self._done.ends.get(kind, kind)
            )
            if not found:
                break
            # One by one: each range that was deleted at once would slow down every look at what is known.
            self.changes.dropped += [("seen", seen_key) for seen_key, _ in found]
            places += [fact_key for _, fact_key in found]
            self._done.ends[kind] = found[-1][0] + b"\x00"
            self._room -= len(found)
        self._done.emptied[kind] = self._done.emptied.get(kind, 0) + len(places)
        return places
