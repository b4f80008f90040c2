"""What is too old leaves a state, a bounded piece at a time. What is too old, streams.expiry says.

1. Visits go one by one, in the order in which they were received; so does what makes them known.
2. A bundle goes whole: statements, cases, notices, what it waits for. Its header stays as a memory of it.
3. The memory goes last, when not even a replay can bring one of its statements again.
4. What makes statements known goes once no bundle needs it.

Each piece is one synced write with the time that it acted upon. That time never goes back: what was given up
then stays too old.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from streams import expiry, layout
from streams.layout import Bundle, Expired, Header
from streams.state import Changes, Partition

PIECE: Final = 5_000  # entries; about 40 ms, for which fetches wait
STEP_MS: Final = 60_000  # so far a partition's time goes on before anything is looked for
# Emptied ranges are compacted: RocksDB itself leaves what nobody writes to, and grew to twice what it held.
RECLAIM_AFTER: Final = 100_000

_VISITS: Final = {"impressions": layout.IMPRESSION, "clicks": layout.CLICK}


class Gone(msgspec.Struct):
    """What left. more: whether something too old may be left."""

    impressions: int = 0
    clicks: int = 0
    statements: int = 0
    more: bool = False


class Expirer:
    """Takes pieces out of the states of one process."""

    def __init__(self) -> None:
        self._emptied: Counter[tuple[int, bytes]] = Counter()

    def take(self, state: Partition, time_ms: int) -> Gone:
        """The next piece is gone, from the state and sooner or later from the disk."""
        piece = Piece(state, max(time_ms, state.expired.time_ms))
        state.apply(piece.changes)
        for topic, kind in _VISITS.items():
            self._emptied[state.number, kind] += getattr(piece.gone, topic)
        self._emptied[state.number, layout.STATEMENT] += piece.gone.statements
        return piece.gone

    def reclaim(self, state: Partition) -> None:
        """Where much was emptied, the disk has it back. Takes seconds; others may use the state meanwhile."""
        for (number, kind), emptied in self._emptied.items():
            if number == state.number and emptied >= RECLAIM_AFTER:
                state.reclaim(kind)
                self._emptied[number, kind] = 0


class Piece:
    """What is to leave next, as changes; writes nothing itself."""

    def __init__(self, state: Partition, time_ms: int) -> None:
        self.changes = Changes()
        self.gone = Gone()
        self._state = state
        self._time_ms = time_ms
        self._given_up = state.expired.given_up
        self._room = PIECE
        for topic, kind in _VISITS.items():
            self._visits(topic, kind)
        self._bundles()
        self._memories()
        self.gone.more = self._room <= 0
        if not self.gone.more:
            self._known_statements()
        self.changes.expired = Expired(time_ms, self._given_up)

    def _visits(self, topic: str, kind: bytes) -> None:
        found = self._state.oldest(kind, expiry.oldest_kept_ms(topic, self._time_ms), max(0, self._room))
        if found:
            self.changes.dropped += [("facts", fact_key) for _, fact_key in found]
            self.changes.forgotten.append(("seen", found[0][0], found[-1][0] + b"\x00"))
            setattr(self.gone, topic, len(found))
            self._room -= len(found)

    def _bundles(self) -> None:
        before_ms = self._time_ms - expiry.STATEMENTS_KEPT_MS
        for born_ms, bundle, header in self._born(before_ms, self._given_up):
            kept = {("headers", layout.header_key(bundle)), ("births", layout.numbered_key(born_ms, bundle))}
            self._drop([each for each in self._state.all_of(bundle, header) if each not in kept])
            self.changes.headers[bundle] = Header(header.facts, 0, 0, born_ms)
            self._given_up = layout.numbered_key(born_ms, bundle) + b"\x00"

    def _memories(self) -> None:
        for _, bundle, header in self._born(self._time_ms - expiry.REMEMBERED_MS, b"\x00"):
            if bundle not in self.changes.headers:  # else it was only now given up: the next piece's affair
                self._drop(self._state.all_of(bundle, header))

    def _born(self, before_ms: int, after: bytes) -> Iterator[tuple[int, Bundle, Header]]:
        """While there is room; entries that are no longer so are dropped."""
        found = self._state.born(before_ms, max(0, self._room), after)
        headers = self._state.headers([bundle for _, bundle in found])
        for (born_ms, bundle), header in zip(found, headers, strict=True):
            if self._room <= 0:
                return
            if header.born_ms == born_ms:
                yield born_ms, bundle, header
            else:
                self._drop([("births", layout.numbered_key(born_ms, bundle))])

    def _drop(self, entries: list[tuple[str, bytes]]) -> None:
        self.changes.dropped += entries
        self.gone.statements += sum(family == "facts" for family, _ in entries)
        self._room -= len(entries)

    def _known_statements(self) -> None:
        oldest_ms = self._time_ms - expiry.STATEMENTS_KEPT_MS
        for first, _ in self._state.oldest(layout.STATEMENT, oldest_ms, 1):
            end = layout.seen_start(layout.STATEMENT, oldest_ms)
            self.changes.forgotten.append(("seen", first, end))
