"""What is a conversion: the facts of a transaction and the history of the catalog -> its conversions.

docs/rules.md tells these rules at length, with an example for each clause; every example is a test.

A case is a transaction and a goal. What comes out is a function of the set of facts: neither their order nor
their repetition nor any clock has a part in it.

1. Identity. Observations with one order number are one conversion. On a goal that counts once, those
   without a number belong to the conversion that counts, and every other number repeats it; on a goal that
   may repeat, each number is a conversion, and an observation without one joins what is near, or opens one.
   Tests are grouped apart. (streams.grouping)
2. Merge. Of each field the most trusted statement speaks, then the latest received. (streams.merge)
3. Permission. What may not make a conversion has no say beside what may. Offer, goal and affiliate are judged
   at the visit. (streams.permission)
4. Credit. The own click within the click window, else the own impression within the view window; with an
   identifier that many clicks share, the last of each before the conversion. (streams.credit)
5. Money. By the catalog of the visit or of the first observation, whichever is the later; exact, rounded
   once. (streams.terms)
6. Names. A conversion keeps its ID whatever is learned later. (streams.names)
7. Status. A ladder of reasons; the first that applies is the conversion's. (streams.status)
8. Notices. An affiliate is told what it subscribed to. (streams.notices)
"""

from collections.abc import Sequence

import msgspec

from schemas.catalog_versions import History
from schemas.decisions import Conversion, Notice
from schemas.facts import Adjustment, AnyFact, Click, Impression
from streams.conversion import Case, Row, conversion_of
from streams.grouping import UNKNOWN_GOAL, group
from streams.merge import OBSERVATIONS, AnyStatement, order, within_limit
from streams.transaction import CatalogMissing, Transaction, transaction_of

__all__ = ["CatalogMissing", "Decision", "decide_transaction"]


class Decision(msgspec.Struct, frozen=True):
    """What a transaction's facts give.

    cases: by goal its conversions; visits: by goal those that they are credited to.
    notices: version and decided_at are the worker's to fill in.
    """

    cases: dict[int, tuple[Conversion, ...]]
    visits: dict[int, tuple[Click | Impression, ...]]
    notices: list[Notice]


def decide_transaction(facts: Sequence[AnyFact], history: History) -> Decision:
    """All conversions of one transaction; CatalogMissing where a version is lacking that a rule reads."""
    received = _distinct(facts)
    decision = Decision({}, {}, [])
    if any(isinstance(fact, OBSERVATIONS) for fact in received):
        transaction = transaction_of(received, history)
        for goal_id, statements in transaction.by_goal(received).items():
            rows = _decide(transaction, goal_id, [one for one in statements if not one.test], test=False)
            rows += _decide(transaction, goal_id, [one for one in statements if one.test], test=True)
            _add(decision, goal_id, rows)
    return decision


def _distinct(facts: Sequence[AnyFact]) -> list[AnyFact]:
    """In the order of receipt; of two under one receipt, which no edge of ours gives, the first.

    So of several adjustments under one key: the network's file was applied again.
    """
    found: dict[tuple[str, str], AnyFact] = {}
    receipts: set[str] = set()
    for fact in sorted(facts, key=lambda one: (order(one), type(one).__name__)):
        if fact.receipt_id not in receipts:
            receipts.add(fact.receipt_id)
            found.setdefault(_identity(fact), fact)
    return list(found.values())


def _identity(fact: AnyFact) -> tuple[str, str]:
    """What two facts share of which only the first counts."""
    return ("key", fact.key) if isinstance(fact, Adjustment) and fact.key else ("receipt", fact.receipt_id)


def _decide(
    transaction: Transaction, goal_id: int, statements: Sequence[AnyStatement], *, test: bool
) -> list[Row]:
    """The real conversions of a case, or its tests: neither knows of the other."""
    observations = [one for one in statements if isinstance(one, OBSERVATIONS)]
    if not observations:
        return []
    objections = {one.receipt_id: why for one in observations if (why := transaction.objection(one))}
    heard = within_limit([one for one in observations if one.receipt_id not in objections])
    barred = within_limit([one for one in observations if one.receipt_id in objections])
    adjustments = within_limit([one for one in statements if isinstance(one, Adjustment)])
    first = (heard or barred)[0]
    setting = transaction.setting(goal_id, own := transaction.own(first), heard or barred)
    groups = group(heard, barred, adjustments, setting.goal or UNKNOWN_GOAL, setting.status_of)
    case = Case(
        transaction=transaction,
        goal_id=goal_id,
        test=test,
        setting=setting,
        own=own,
        counts=groups[0],
        objections=objections,
        is_cut=len(heard) + len(barred) + len(adjustments) < len(statements),
    )
    return [conversion_of(case, each) for each in groups]


def _add(decision: Decision, goal_id: int, rows: Sequence[Row]) -> None:
    if not rows:
        return
    credited = {row.visit.receipt_id: row.visit for row in rows if row.visit}
    decision.cases[goal_id] = tuple(row.conversion for row in rows)
    decision.visits[goal_id] = tuple(sorted(credited.values(), key=order))
    decision.notices.extend(notice for row in rows for notice in row.notices)
