"""The records of a batch as they come: facts, new ones, known ones, and what cannot be used."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from schemas import facts, times
from schemas.facts import AnyFact, Click, Impression, Statement
from schemas.reasons import Reason
from schemas.topics import DAY_MS
from schemas.transaction_id import Kind, kind, time_ms
from service.kafka import Record
from streams.state import layout
from streams.state.bundles import Bundle, bundle_of, case_number
from streams.state.contents import Contents
from streams.state.layout import Seen, Stored

Refuse = Callable[[Record, Reason, str], None]


class Arrival(msgspec.Struct, gc=False):
    """A fact and the record that brought it.

    visit, statement: the fact again, as what it is. seen_key: by which it is known when it comes again.
    """

    record: Record
    fact: AnyFact
    visit: Click | Impression | None
    statement: Statement | None
    seen_key: bytes

    @property
    def received_ms(self) -> int:
        """By the collector's clock."""
        return times.to_ms(self.fact.received_at)

    @property
    def born_ms(self) -> int:
        """When it was received, as `born_ms` has it."""
        return born_ms(self.fact.transaction_id, self.received_ms, self.record.timestamp_ms)

    @property
    def bundle(self) -> Bundle:
        """Of a statement, what it is decided with; of a visit, its transaction."""
        number = case_number(self.statement) if self.statement else ""
        return bundle_of(self.fact.transaction_id, number)

    @property
    def stored(self) -> Stored:
        """As the state keeps it."""
        return layout.stored(self.record.topic, self.fact, self.record.value, self.seen_key)


class Arrivals(msgspec.Struct):
    """The facts of a batch.

    again: those that were known, or came twice. contradicting: how many were known with other content.
    """

    fresh: list[Arrival] = []
    again: list[Arrival] = []
    contradicting: int = 0


def decoded(records: Iterable[Record], refuse: Refuse) -> list[Arrival]:
    """Those that are facts of the transaction that is their key; the others were refused."""
    arrivals = []
    for record in records:
        try:
            fact = facts.decode(record.topic, record.value)
        except facts.Malformed as error:
            refuse(record, Reason.MALFORMED_EVENT, str(error))
            continue
        if record.key == fact.transaction_id.encode():
            arrivals.append(_arrival(record, fact))
        else:
            refuse(record, Reason.MALFORMED_EVENT, "its key is not its transaction_id")
    return arrivals


def _arrival(record: Record, fact: AnyFact) -> Arrival:
    key = layout.seen_key(record.topic, fact)
    if isinstance(fact, Statement):
        return Arrival(record, fact, None, fact, key)
    return Arrival(record, fact, fact, None, key)


def sorted_out(
    arrivals: Sequence[Arrival], state: Contents, decode: Callable[[str, bytes], AnyFact], refuse: Refuse
) -> Arrivals:
    """What is new and what is known, by receipt; the same receipt with other content was refused."""
    found = Arrivals()
    first: dict[bytes, Arrival] = {}
    seen_before = state.seen([each.seen_key for each in arrivals])
    for arrival, seen in zip(arrivals, seen_before, strict=True):
        twin = first.setdefault(arrival.seen_key, arrival)
        if seen is None and twin is arrival:
            found.fresh.append(arrival)
        elif _contradicts(arrival, twin, seen, lambda key: _stored(state, key, decode)):
            found.contradicting += 1
            refuse(arrival.record, Reason.CONFLICTING_VALUES, "this receipt_id is known with other content")
        else:
            found.again.append(arrival)
    return found


def _stored(state: Contents, key: bytes, decode: Callable[[str, bytes], AnyFact]) -> AnyFact | None:
    stored = state.fact(key)
    return None if stored is None else decode(*stored)


def _contradicts(
    arrival: Arrival, twin: Arrival, seen: Seen | None, stored: Callable[[bytes], AnyFact | None]
) -> bool:
    if seen is None:
        return arrival.fact != twin.fact
    if seen.digest == layout.digest(arrival.record.value):
        return False
    # Other bytes may be the same fact: a rebuild, or another release of an edge, may spell it otherwise.
    return stored(seen.fact_key) != arrival.fact


def born_ms(transaction_id: str, received_ms: int, appended_ms: int) -> int:
    """When a statement was received, but not before its ID was made.

    A collector whose clock stands in 1970 must not make all that others say of the transaction too late.
    An ID of the day after the broker stored it is none of ours.
    """
    made_ms = _made_ms(transaction_id)
    return max(received_ms, made_ms) if made_ms <= appended_ms + DAY_MS else received_ms


def _made_ms(transaction_id: str) -> int:
    """When a random ID was made; 0 of any other."""
    try:
        return time_ms(transaction_id) if kind(transaction_id) is Kind.RANDOM else 0
    except ValueError:
        return 0
