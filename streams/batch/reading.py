"""Which facts a decision reads: few, however many the transaction has.

1. The statements of the bundle.
2. With a random ID its visits: it was made for one.
3. With an identifier that many clicks share, for each statement the visits that it may be credited to: the
   last click and the last impression before it (streams.rules.credit).
4. The visits inside the bundle's cases as they were last sent: they may have expired since.

Deciding from these gives what deciding from all facts would.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schemas.decisions import Status
from schemas.facts import AnyFact, Click, Impression, Statement
from streams.rules import credit
from streams.state import damage, layout
from streams.state.bundles import Bundle, is_shared
from streams.state.contents import Contents
from streams.state.layout import Emitted

if TYPE_CHECKING:
    from streams.state.scan import Visits

MAX_VISITS: Final = 10_000  # of a random ID; one has one or two. The first by their time are read

_WINDOWS: Final = {layout.CLICK: credit.CLICK_MS, layout.IMPRESSION: credit.VIEW_MS}
_KINDS: Final = {Click: layout.CLICK, Impression: layout.IMPRESSION}

AnyVisit = Click | Impression
Decode = Callable[[str, bytes], AnyFact]


class _Conversion(msgspec.Struct):
    receipts: tuple[str, ...] = ()


class Standing(msgspec.Struct):
    """A conversion as it was last sent, as far as an affiliate is told of it, and what it was made of."""

    conversion_id: str = ""
    affiliate_id: int = 0
    status: Status = "pending"
    reason: int = 0
    payout: str = "0"
    receipts: tuple[str, ...] = ()


class _Carried(msgspec.Struct):
    conversions: tuple[Standing, ...] = ()
    visits: tuple[AnyVisit, ...] = ()


_carried = msgspec.json.Decoder(_Carried)


class _Visit(msgspec.Struct):
    receipt_id: str


class _Named(msgspec.Struct):
    conversions: tuple[_Conversion, ...] = ()
    visits: tuple[_Visit, ...] = ()


_named = msgspec.json.Decoder(_Named)


class Carried(NamedTuple):
    """What the cases of a bundle tell of its facts: its statements' receipts, its credited visits whole.

    conversions: as they were last sent.
    """

    receipts: frozenset[str]
    visits: list[AnyVisit]
    conversions: list[Standing]


class Reading:
    """What the decisions of one batch read: the state as it was before, and what the batch brought."""

    def __init__(self, state: Contents, decode: Decode) -> None:
        self._state = state
        self._stored: Visits | None = None  # most batches need none; and while there is one, no state closes
        self._decode = decode
        self._new: dict[tuple[str, bytes], list[AnyVisit]] = defaultdict(list)
        self._sorted: set[tuple[str, bytes]] = set()

    def add_visits(self, transaction_id: str, visits: Iterable[AnyVisit]) -> None:
        """Visits of a shared identifier that the state does not have yet; all of them before any decision."""
        for visit in visits:
            self._new[transaction_id, _KINDS[type(visit)]].append(visit)

    def stored(self, bundle: Bundle) -> list[AnyFact]:
        """What the state has of a bundle: its statements; with a random ID its visits before them."""
        if is_shared(bundle.transaction_id):
            found = self._state.statements(bundle)
        else:
            found = self._state.facts(bundle.transaction_id, MAX_VISITS)
        return [self._decode(*each) for each in found]

    def candidates(self, statements: Sequence[AnyFact]) -> list[AnyFact]:
        """The visits that statements under a shared identifier may be credited to."""
        found: dict[str, AnyFact] = {}
        for statement in statements:
            if isinstance(statement, Statement):
                for kind in _WINDOWS:
                    visit = self._last(kind, statement)
                    if visit:
                        found[visit.receipt_id] = visit
        return list(found.values())

    def _last(self, kind: bytes, made: Statement) -> AnyVisit | None:
        window_ms = _WINDOWS[kind]
        since_ms, until_ms = credit.between(made, window_ms)
        self._stored = self._stored or self._state.visits()
        known = self._stored.last(made.transaction_id, kind, since_ms, until_ms)
        stored = None if known is None else self._decode(*known)
        new = credit.last(self._of_batch(made.transaction_id, kind), made, window_ms)
        both = [visit for visit in (stored, new) if isinstance(visit, Click | Impression)]
        return max(both, key=credit.moment, default=None)

    def _of_batch(self, transaction_id: str, kind: bytes) -> list[AnyVisit]:
        """The batch's own visits, by their moments."""
        key = transaction_id, kind
        visits = self._new.get(key, [])
        if key not in self._sorted:
            visits.sort(key=credit.moment)
            self._sorted.add(key)
        return visits


def carried(cases: Iterable[Emitted], path: Path) -> Carried:
    """What cases of the state at `path` carry."""
    found = [damage.read(path, _carried.decode, case.record) for case in cases]
    conversions = [each for case in found for each in case.conversions]
    receipts = (receipt for each in conversions for receipt in each.receipts)
    return Carried(frozenset(receipts), [visit for case in found for visit in case.visits], conversions)


def named(cases: Iterable[Emitted], path: Path) -> set[str]:
    """The receipts of all facts that cases of the state at `path` name: quicker than `carried`."""
    found = [damage.read(path, _named.decode, case.record) for case in cases]
    receipts = {receipt for case in found for each in case.conversions for receipt in each.receipts}
    return receipts | {visit.receipt_id for case in found for visit in case.visits}
