"""What decide makes of an invented history against the naive reading; and the least that still differs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from proof import expected
from proof.expected import Expected
from proof.invented import CROWDED, History
from schemas import catalog_versions, times
from schemas.decisions import Conversion
from schemas.facts import Adjustment, AnyFact, Statement
from streams import expiry
from streams.batch.lateness import outlived
from streams.rules import names
from streams.rules.decide import decide_transaction
from streams.state.bundles import case_number
from streams.state.layout import Header

BEFORE = "before_click"


def naive(history: History) -> list[Expected]:
    """What must stand."""
    return expected.read(history.facts, history.catalogs)


def decided(history: History) -> list[Expected]:
    """What decide says, of each bundle with what the joiner would know of it."""
    versions = versions_of(history)
    return [
        summed_up(each, goal, _case(number, each, history.identifier))
        for number, known in bundles(history.facts)
        for goal, found in decide_transaction(known, versions).cases.items()
        for each in found
    ]


def _case(number: str, one: Conversion, identifier: str) -> str:
    """What tells its case apart from others of the transaction and goal."""
    return names.persons_case_number(one) if identifier[0] == "d" else number


def versions_of(history: History, newest: int = 2) -> catalog_versions.History:
    """Its catalogs up to this version, as a joiner has them."""
    return catalog_versions.History(
        catalog_versions.CatalogVersion(
            version=number, applied_at=times.from_ms(0), applied_by="proof", catalog=catalog
        )
        for number, catalog in history.catalogs.items()
        if number <= newest
    )


def bundles(facts: Sequence[AnyFact]) -> Iterator[tuple[str, list[AnyFact]]]:
    """What is decided together, by case number: statements in time, and all visits."""
    numbers = {case_number(one) for one in facts if isinstance(one, Statement)}
    for number in numbers:
        said = [one for one in facts if isinstance(one, Statement) and case_number(one) == number]
        born_ms = min(times.to_ms(one.received_at) for one in said)
        header = Header(born_ms=born_ms)
        visits = [one for one in facts if not isinstance(one, Statement) and not outlived(header, one)]
        yield number, [*visits, *(one for one in said if not _is_late(one, born_ms))]


def _is_late(one: AnyFact, born_ms: int) -> bool:
    """A person's conversions are corrected each for itself: that decide says."""
    is_persons = one.transaction_id[0] == "d"
    return not is_persons and bool(expiry.too_late(times.to_ms(one.received_at), born_ms, born_ms))


def summed_up(one: Conversion, goal_id: int, number: str) -> Expected:
    """What the naive reading says of a conversion, taken from one that was decided."""
    return Expected(
        goal_id=goal_id,
        number=one.conversion_unique_id,
        status=one.status,
        reason=one.reason,
        affiliate_id=one.affiliate_id,
        payout=one.payout,
        revenue=one.revenue,
        payout_currency=one.payout_currency,
        revenue_currency=one.revenue_currency,
        observations=one.observations,
        kinds=one.observed_by,
        test=one.test,
        name=one.conversion_id,
        case=number,
        duplicate_of=one.duplicate_of,
        absorbs=tuple(sorted(one.absorbs)),
        receipts=one.receipts,
        offer_id=one.offer_id,
        credited_by=one.credited_by,
        visit=one.click_receipt_id,
        occurred_ms=times.to_ms(one.occurred_at),
        received_ms=times.to_ms(one.received_at),
        nominal=(one.payout_nominal, one.revenue_nominal),
        rules=(one.payout_rule, one.revenue_rule),
        rates=(one.payout_rate, one.revenue_rate),
        amount=one.sale_amount,
        currency=one.sale_currency,
        version=one.catalog_version,
        adjusted=(one.adjusted_by, one.adjusted_why),
        is_before=BEFORE in one.flags,
    )


def differences(found: Sequence[Expected], wanted: Sequence[Expected]) -> list[str]:
    """Each field of each conversion that is not as it must be; none where both readings agree."""
    ours, theirs = _by_name(found), _by_name(wanted)
    lines = [] if len(ours) == len(found) else ["two conversions share a name"]
    lines += [f"{name}: decided, and must not be" for name in ours.keys() - theirs.keys()]
    lines += [f"{name}: must be, and is not" for name in theirs.keys() - ours.keys()]
    for name in ours.keys() & theirs.keys():
        for field in Expected.__struct_fields__:
            one, two = getattr(ours[name], field), getattr(theirs[name], field)
            if one != two:
                lines.append(f"{name}: {field} {one!r}, must be {two!r}")
    return sorted(lines)


def _by_name(some: Sequence[Expected]) -> dict[str, Expected]:
    return {one.name: one for one in some}


def disagreement(history: History) -> list[str]:
    """How decide differs from the naive reading, or counts twice: nothing where they agree."""
    found = decided(history)
    return differences(found, naive(history)) + paid_twice(history, found)


def paid_twice(history: History, found: Iterable[Expected]) -> list[str]:
    """Visits that two conversions of a goal are paid for, which counts once by each catalog.

    Each order under an affiliate's identifier is a case of its own, and the network may approve what repeats.
    """
    if history.identifier[0] == "a" or any(
        isinstance(one, Adjustment) and one.status for one in history.facts
    ):
        return []
    goals = [goal for each in history.catalogs.values() for offer in each.offers for goal in offer.goals]
    many = {goal.id for goal in goals if goal.repeat == "many"}
    paid = Counter(
        (one.goal_id, one.visit)
        for one in found
        if one.status == "approved" and not one.test and one.goal_id not in many
    )
    return [f"goal {goal}: {count} paid for {visit}" for (goal, visit), count in paid.items() if count > 1]


def least(history: History, differs: Callable[[History], bool]) -> History:
    """The history without all the facts that it takes not to differ: halves first, then each by itself.

    A crowd stays one: it is more than a thousand facts because of what they are together.
    """
    if len(history.facts) > CROWDED:
        return history
    size = len(history.facts) // 2
    while size:
        start = 0
        while start < len(history.facts):
            left = history.facts[:start] + history.facts[start + size :]
            fewer = msgspec.structs.replace(history, facts=left)
            if left and differs(fewer):
                history = fewer
            else:
                start += size
        size = min(size, len(history.facts)) // 2
    return history
