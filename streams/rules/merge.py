"""Which of several statements about one conversion speaks: rule 2 of streams.rules.decide."""

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, TypeVar

from schemas.facts import Adjustment, AnyFact, Pixel, Postback

AnyObservation = Pixel | Postback
AnyStatement = Pixel | Postback | Adjustment
Order = tuple[str, str, int]
_AFact = TypeVar("_AFact", bound=AnyFact)
_Stated = TypeVar("_Stated", bound=Pixel | Postback | Adjustment)
_received_at: Final = attrgetter("received_at")

MAX_OBSERVATIONS: Final = 1000  # a case; a shop's faulty loop must not make every later decision slow

BROWSERS: Final = ("pixel", "iframe")

# The network's word is final; a server answers for itself; an iframe is at least a page of ours, a pixel only
# a request that anybody's browser can be made to send.
TRUST: Final = {"pixel": 1, "iframe": 2, "postback": 3, "adjustment": 5}
PROVEN_POSTBACK: Final = 4


def makes(fact: AnyFact) -> bool:
    """Whether it may make a conversion: what an advertiser reports, or what the network itself creates."""
    # Each kind of fact is its own type: to ask isinstance takes five times as long where the answer is no.
    if type(fact) is Adjustment:
        return fact.action == "create"
    return type(fact) is Pixel or type(fact) is Postback


def trust(statement: AnyStatement) -> int:
    """How much a statement weighs: adjustment, server with proof, server without, iframe, pixel."""
    if statement.kind == "postback" and statement.proven_by:
        return PROVEN_POSTBACK
    return TRUST[statement.kind]


def order(fact: AnyFact) -> Order:
    """The order of receipt: received_at, then the receipt's epoch, then its number there.

    As a number, because an edge that answers twice within one millisecond gives …-9 and then …-10.
    """
    epoch, _, sequence = fact.receipt_id.partition("-")
    return fact.received_at, epoch, int(sequence)


def in_order(facts: Collection[_AFact]) -> list[_AFact]:
    """In the order of receipt; two under one receipt, which no edge of ours gives, by their types."""
    if len(facts) <= 1:
        return list(facts)
    if len(set(map(_received_at, facts))) == len(facts):  # as nearly always, and then five times as quick
        return sorted(facts, key=_received_at)
    return sorted(facts, key=lambda one: (order(one), type(one).__name__))


def rank(received: Sequence[AnyStatement]) -> list[AnyStatement]:
    """Statements that come in the order of receipt, by trust; of equals the latest received is first."""
    ranked = sorted(received, key=trust)
    ranked.reverse()
    return ranked


def speaker(ranked: Iterable[AnyStatement], field: str) -> AnyStatement | None:
    """The first that states this field; an amount of 0 is stated, an empty text is not."""
    for one in ranked:
        value = getattr(one, field, None)
        if value or value == 0:
            return one
    return None


def said(ranked: Iterable[AnyStatement], field: str) -> Any:
    """What the first says that states this text or ID; None where none does: empty and 0 are not stated."""
    for one in ranked:
        value = getattr(one, field, None)
        if value:
            return value
    return None


def said_amount(ranked: Iterable[AnyStatement], field: str) -> Decimal | None:
    """What the first says that states this amount, which may be 0; None where none does."""
    for one in ranked:
        value: Decimal | None = getattr(one, field, None)
        if value is not None:
            return value
    return None


def speaker_of_currency(ranked: Sequence[AnyStatement]) -> AnyStatement | None:
    """Whose word the amount's currency is: no browser's where a server stated an amount."""
    by = speaker(ranked, "sale_currency")
    if by is None or by.kind not in BROWSERS:
        return by
    is_servers = any(one.kind == "postback" and one.sale_amount is not None for one in ranked)
    return None if is_servers else by


def within_limit(statements: Sequence[_Stated]) -> Sequence[_Stated]:
    """Of more statements than a case may have those that count: by trust, then the first received."""
    if len(statements) <= MAX_OBSERVATIONS:
        return statements
    kept = sorted(statements, key=lambda one: (-trust(one), order(one)))[:MAX_OBSERVATIONS]
    return sorted(kept, key=order)
