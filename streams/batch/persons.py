"""What is over of a person who buys again and again: cases of long ago, which stand while new ones come.

With an identifier derived from a person all is decided together, but each case is kept for itself: until the
correction window and the allowance have passed since the last of its conversions began.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from schemas import times
from schemas.facts import AnyFact, Statement
from streams import expiry
from streams.batch import known
from streams.batch.known import Sent
from streams.batch.sending import Place
from streams.state import damage, layout
from streams.state.bundles import Bundle
from streams.state.contents import Contents
from streams.state.layout import Emitted


class Begun(msgspec.Struct):
    """Of a conversion what tells when it is over, and of what it was made."""

    conversion_id: str
    received_at: str
    receipts: tuple[str, ...] = ()


class Standing(msgspec.Struct):
    """A case as it was last sent, as far as it matters here."""

    decided_at: str
    conversions: tuple[Begun, ...] = ()

    @property
    def receipts(self) -> set[str]:
        """Of all that it was made of."""
        return {receipt for each in self.conversions for receipt in each.receipts}

    @property
    def last_ms(self) -> int:
        """When the last of its conversions began; where it has none, when that was found."""
        began = (times.to_ms(each.received_at) for each in self.conversions)
        return max(began, default=0) or times.to_ms(self.decided_at)


_standing: Final = msgspec.json.Decoder(Standing).decode


def read(cases: Mapping[Place, Emitted], path: Path) -> dict[Place, Standing]:
    """Cases of the state at `path`."""
    return {place: damage.read(path, _standing, case.record) for place, case in cases.items()}


def over(cases: Mapping[Place, Emitted], path: Path, time_ms: int) -> dict[Place, Standing]:
    """Those that nothing corrects any more."""
    if not time_ms:
        return {}
    before_ms = time_ms - expiry.STATEMENTS_KEPT_MS
    return {place: each for place, each in read(cases, path).items() if each.last_ms < before_ms}


def live(sent: Sent, stored: list[AnyFact], path: Path, time_ms: int) -> tuple[Sent, list[AnyFact]]:
    """What was sent that may change, and what that may be made of; the rest stands, with its facts."""
    past = over(sent.cases, path, time_ms)
    if not past:
        return sent, stored
    made = receipts(past.values())
    left = {place: case for place, case in sent.cases.items() if place not in past}
    return Sent(left, sent.notices), [fact for fact in stored if fact.receipt_id not in made]


def receipts(cases: Iterable[Standing]) -> set[str]:
    """Of all that the cases were made of."""
    return set[str]().union(*(each.receipts for each in cases))


class Gone(msgspec.Struct):
    """What of a person is not kept any longer.

    entries: family and key. statements: how many. orders: by number, when its first statement was received.
    next_ms: when what is left was born, by which it will be looked at again; 0 where nothing is left.
    """

    entries: list[tuple[str, bytes]]
    statements: int
    orders: dict[str, int]
    next_ms: int


def gone(state: Contents, bundle: Bundle, before_ms: int) -> Gone:
    """All cases that were over then, with what they were made of; and what was so old and made none."""
    cases = read(state.cases(bundle), state.path)
    past = {place: each for place, each in cases.items() if each.last_ms < before_ms}
    made, live = receipts(past.values()), [each for place, each in cases.items() if place not in past]
    claimed = receipts(live)
    lost, left = {}, []
    for key, fact in _statements(state, bundle):
        received_ms = times.to_ms(fact.received_at)
        if fact.receipt_id in made or (fact.receipt_id not in claimed and received_ms < before_ms):
            lost[key] = fact
        else:
            left.append(fact)
    return Gone(
        entries=[
            *(("facts", key) for key in lost),
            *(
                ("times", layout.time_key(bundle, moment))
                for moment in _moments(lost.values()) - _moments(left)
            ),
            *(("cases", layout.case_key(*place)) for place in past),
            *_notices(state, bundle, {one.conversion_id for each in live for one in each.conversions}),
        ],
        statements=len(lost),
        orders=_orders(lost.values()),
        next_ms=min(
            [*(each.last_ms for each in live)]
            + [times.to_ms(fact.received_at) for fact in left if fact.receipt_id not in claimed],
            default=0,
        ),
    )


def _statements(state: Contents, bundle: Bundle) -> Iterable[tuple[bytes, Statement]]:
    for key, stored in state.keyed_statements(bundle):
        fact = known.fact(state.path, *stored)
        if isinstance(fact, Statement):
            yield key, fact


def _moments(statements: Iterable[Statement]) -> set[int]:
    return {times.to_ms(each.occurred_at) for each in statements}


def _orders(statements: Iterable[Statement]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in statements:
        if number := each.conversion_unique_id:
            received_ms = times.to_ms(each.received_at)
            found[number] = min(received_ms, found.get(number, received_ms))
    return found


class _Told(msgspec.Struct):
    conversion_id: str


_told: Final = msgspec.json.Decoder(_Told).decode


def _notices(state: Contents, bundle: Bundle, live: set[str]) -> list[tuple[str, bytes]]:
    told = {name: damage.read(state.path, _told, value) for name, value in state.notices(bundle).items()}
    return [
        ("notices", layout.notice_key(bundle, name))
        for name, each in told.items()
        if each.conversion_id not in live
    ]
