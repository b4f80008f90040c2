"""Facts and conversions in the words of the naive reading (proof.expected), and what it makes of facts."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from proof.expected import Expected, Statement, Visit, expect
from proof.histories import Told
from proof.truth import Truth, truth
from schemas import times
from schemas.catalog import Catalog
from schemas.decisions import Conversion
from schemas.facts import Adjustment, AnyFact, Click, Impression, Pixel, Postback

GRACE_MS: Final = (
    5_000  # under an identifier that others have, too, a click may be so much later than its sale
)


def visit_of(fact: Click | Impression) -> Visit:
    """The visit."""
    return Visit(
        kind="click" if isinstance(fact, Click) else "impression",
        receipt=fact.receipt_id,
        received_ms=times.to_ms(fact.received_at),
        occurred_ms=times.to_ms(fact.occurred_at),
        catalog_version=fact.catalog_version,
        offer_id=fact.offer_id,
        affiliate_id=fact.affiliate_id,
        country=fact.country_code,
        device=fact.device_type,
        source=fact.source,
        is_bot=fact.is_bot,
        redirect_reason=fact.redirect_reason if isinstance(fact, Click) else 0,
    )


def statement_of(fact: Pixel | Postback | Adjustment) -> Statement:
    """The statement; a proof is not among what the naive reading is given here."""
    return Statement(
        kind=fact.kind,
        receipt=fact.receipt_id,
        received_ms=times.to_ms(fact.received_at),
        occurred_ms=times.to_ms(fact.occurred_at),
        catalog_version=fact.catalog_version,
        offer_id=fact.offer_id,
        goal=fact.goal,
        amount=fact.sale_amount,
        currency=fact.sale_currency,
        status=fact.status,
        number=fact.conversion_unique_id,
        test=fact.test,
        payout=fact.payout if isinstance(fact, Adjustment) else None,
        revenue=fact.revenue if isinstance(fact, Adjustment) else None,
    )


def summed_up(goal_id: int, conversion: Conversion) -> Expected:
    """What the naive reading says of a conversion, taken from one that was decided."""
    return Expected(
        goal_id=goal_id,
        number=conversion.conversion_unique_id,
        status=conversion.status,
        reason=conversion.reason,
        affiliate_id=conversion.affiliate_id,
        payout=conversion.payout,
        revenue=conversion.revenue,
        payout_currency=conversion.payout_currency,
        revenue_currency=conversion.revenue_currency,
        observations=conversion.observations,
        kinds=conversion.observed_by,
        test=conversion.test,
    )


def read(facts: Iterable[AnyFact], catalogs: Mapping[int, Catalog]) -> list[Expected]:
    """What the naive reading makes of all facts of a random identifier."""
    visits, said = _apart(facts)
    return expect([visit_of(one) for one in visits], [statement_of(one) for one in said], catalogs)


def truths(told: Iterable[Told], catalogs: Mapping[int, Catalog]) -> Iterator[Truth]:
    """What must stand, of what the naive reading can be asked about: see `is_told`."""
    for each in told:
        found = read(each.facts, catalogs) if each.is_random else _of_affiliate(each, catalogs)
        for expected in found:
            yield truth(each.identifier, expected, 0)


def is_told(identifier: str, number: str) -> bool:
    """Whether the truths say all of a conversion: of a random identifier, or an affiliate's order."""
    return identifier[0] != "d" and bool(identifier[0] != "a" or number)


def _of_affiliate(told: Told, catalogs: Mapping[int, Catalog]) -> Iterator[Expected]:
    """An affiliate's order is as if it alone had been stated, of the last click before it."""
    visits, said = _apart(told.facts)
    orders: dict[str, list[Pixel | Postback | Adjustment]] = defaultdict(list)
    for statement in said:
        orders[statement.conversion_unique_id].append(statement)
    for number, stated in orders.items():
        if is_told(told.identifier, number):
            own = [visit_of(one) for one in _last_before(visits, min(stated, key=_received))]
            yield from expect(own, [statement_of(one) for one in stated], catalogs)


def _last_before(
    visits: Sequence[Click | Impression], made: Pixel | Postback | Adjustment
) -> list[Click | Impression]:
    limit_ms = times.to_ms(made.occurred_at) + GRACE_MS
    before = [one for one in visits if times.to_ms(one.occurred_at) <= limit_ms]
    return [max(before, key=lambda one: (one.occurred_at, *_received(one)))] if before else []


def _received(fact: AnyFact) -> tuple[str, int]:
    return fact.received_at, int(fact.receipt_id.rpartition("-")[2])


def _apart(
    facts: Iterable[AnyFact],
) -> tuple[list[Click | Impression], list[Pixel | Postback | Adjustment]]:
    visits: list[Click | Impression] = []
    said: list[Pixel | Postback | Adjustment] = []
    for fact in facts:
        if isinstance(fact, Click | Impression):
            visits.append(fact)
        else:
            said.append(fact)
    return visits, [one for one in said if not _is_said_before(one, said)]


def _is_said_before(fact: Pixel | Postback | Adjustment, said: Iterable[AnyFact]) -> bool:
    """Whether the network said the same earlier, under the same key of its own."""
    if not isinstance(fact, Adjustment) or not fact.key:
        return False
    same = [one for one in said if isinstance(one, Adjustment) and one.key == fact.key]
    return fact.receipt_id != min(same, key=_received).receipt_id
