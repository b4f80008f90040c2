"""What a partition's state holds, as it is asked for: by receipt, by bundle, by time. Writes nothing."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rocksdict import Rdict, ReadOptions

from streams.state import damage, layout
from streams.state.bundles import Bundle, is_shared
from streams.state.layout import Emitted, Header, Seen
from streams.state.scan import Visits, scanned

_NO_HEADER: Final = Header()


@damage.told
class Contents:
    """The open families of one partition number's state. Not for two threads at once.

    Problem, with what to do, where its files are damaged or the disk fails.
    """

    def __init__(self, path: Path, family: Mapping[str, Rdict]) -> None:
        self.path = path
        self._family = dict(family)

    # Asked for each record

    def seen(self, keys: Sequence[bytes]) -> list[Seen | None]:
        """For each seen_key, where that fact lies already."""
        found = self._family["seen"].get(list(keys)) if keys else []
        return [None if value is None else layout.split_seen(value) for value in found]

    def fact(self, key: bytes) -> tuple[str, bytes] | None:
        """Topic and record of one stored fact."""
        value = self._family[layout.family_of(key)].get(key)
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

    def visits(self) -> Visits:
        """What finds a shared identifier's visit by its time, in the state as it is now."""
        found = {kind: self._family[name].iter(ReadOptions()) for kind, name in layout.VISITS.items()}
        return Visits(found, self.path)

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
        found = next(iter(self._scan(layout.VISITS[kind], start, end)), None)
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
        if is_shared(bundle.transaction_id):
            moments = {layout.occurred_ms_of(key, bundle) for key in facts}
            found += [("times", layout.time_key(bundle, moment)) for moment in moments]
        return found

    def _scan(self, family: str, start: bytes, end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        return scanned(self._family[family], start, layout.end_of(start) if end is None else end)
