"""The entries of a family of the state in the order of their keys."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from rocksdict import Rdict, RdictIter, ReadOptions

from streams.state import damage, layout


def scanned(family: Rdict, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values from `start` up to before `end`. Rdict.items would end at a damaged block, unheard."""
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    cursor = family.iter(options)
    cursor.seek(start)
    while cursor.valid():
        yield cursor.key(), cursor.value()
        cursor.next()
    cursor.status()


@damage.told
class Visits:
    """The visits under shared identifiers at one moment. A seek costs half of what a scan would."""

    def __init__(self, cursors: Mapping[bytes, RdictIter], path: Path) -> None:
        self.path = path
        self._cursors = cursors

    def last(
        self, transaction_id: str, kind: bytes, since_ms: int, until_ms: int
    ) -> tuple[str, bytes] | None:
        """Topic and record of the transaction's last visit of a kind in these times, both included."""
        cursor = self._cursors[kind]
        cursor.seek_for_prev(layout.visit_key(transaction_id, kind, until_ms + 1, ""))
        cursor.status()
        if not cursor.valid() or cursor.key() < layout.visit_key(transaction_id, kind, since_ms, ""):
            return None
        return layout.split_fact(cursor.value())
