"""What is a conversion: the facts of a transaction and the history of the catalog -> its conversions.

docs/rules.md tells these rules at length, with an example for each clause; every example is a test.

A case is a transaction and a goal. What comes out is a function of the set of facts: neither their order nor
their repetition nor any clock has a part in it.

1. Identity. Observations with one order number are one conversion. On a goal that counts once, those
   without a number belong to the conversion that counts, and every other number repeats it; on a goal that
   may repeat, each number is a conversion, and an observation without one joins what is near, or opens one.
   Tests are grouped apart. (grouping.py) With an identifier that is a person's, once means once for each
   credited click. (episodes.py)
2. Merge. Of each field the most trusted statement speaks, then the latest received. (merge.py)
3. Permission. What may not make a conversion has no say beside what may. Offer, goal and affiliate are judged
   at the visit. (permission.py)
4. Credit. The own click within the click window, else the own impression within the view window; with an
   identifier that many clicks share, the last of each before the conversion. (credit.py)
5. Money. By the catalog of the visit or of the first observation, whichever is the later; exact, rounded
   once. (terms.py)
6. Names. A conversion keeps its ID whatever is learned later. (names.py)
7. Status. A ladder of reasons; the first that applies is the conversion's. (status.py)
8. Notices. An affiliate is told what it subscribed to. (notices.py)
"""

from collections.abc import Mapping, Sequence

import msgspec

from schemas.catalog import Status
from schemas.catalog_versions import History
from schemas.decisions import Conversion, Notice
from schemas.facts import Adjustment, AnyFact, Click, Impression
from streams.rules import episodes
from streams.rules.conversion import Case, Row, conversion_of
from streams.rules.episodes import Share
from streams.rules.former import Former, told_as
from streams.rules.grouping import UNKNOWN_GOAL, Group, group, take_back, unclear, undone
from streams.rules.merge import AnyStatement, makes, within_limit
from streams.rules.permission import Objection
from streams.rules.transaction import CatalogMissing, Setting, Transaction, transaction_of

__all__ = ["CatalogMissing", "Decision", "decide_transaction"]


class Decision(msgspec.Struct, frozen=True):
    """What a transaction's facts give.

    cases: by goal its conversions. visits: by receipt of each observation the click and the impression by
        which it is judged. They are sent with the cases, and so are known when they are no longer kept.
    notices: version and decided_at are the worker's to fill in.
    late: by receipt, why a statement of a person came too late to correct anything.
    history: the catalogs that it was decided by.
    """

    cases: dict[int, tuple[Conversion, ...]]
    visits: dict[str, list[Click | Impression]]
    notices: list[Notice]
    late: dict[str, str]
    history: History

    def told_as(self, former: Former, status: Status) -> list[Notice]:
        """What the affiliate of a conversion as it once was sent would be told of it in this status."""
        return told_as(former, status, self.history)


def decide_transaction(facts: Sequence[AnyFact], history: History) -> Decision:
    """All conversions of one transaction; CatalogMissing where a version is lacking that a rule reads."""
    transaction = transaction_of(facts, history)
    decision = Decision({}, {}, [], {}, history)
    if transaction.observations:
        decision.visits.update(transaction.judging())
        for goal_id, statements in transaction.by_goal().items():
            rows = []
            for alike in _apart(statements):
                rows += _decide(transaction, goal_id, alike, decision.late)
            if rows or any(decision.visits.get(one.receipt_id) for one in statements):
                _add(decision, goal_id, rows)
    return decision


def _apart(statements: list[AnyStatement]) -> list[list[AnyStatement]]:
    """The real ones, then the tests: neither knows of the other."""
    tests = [one for one in statements if one.test]
    return [[one for one in statements if not one.test], tests] if tests else [statements]


def _decide(
    transaction: Transaction, goal_id: int, statements: Sequence[AnyStatement], late: dict[str, str]
) -> list[Row]:
    """The real conversions of a case, or its tests."""
    observations = [one for one in statements if makes(one)]
    if not observations:
        return []
    objections = transaction.objections(observations)
    adjustments: list[Adjustment] = []
    if len(observations) < len(statements):
        adjustments = [one for one in statements if one.kind == "adjustment" and not makes(one)]
    heard: list[AnyStatement] = []
    barred: list[AnyStatement] = []
    for one in observations:
        (barred if one.receipt_id in objections else heard).append(transaction.weighed(one))
    whole = Share(
        heard=within_limit(heard), barred=within_limit(barred), adjustments=within_limit(adjustments)
    )
    is_cut = len(whole.heard) + len(whole.barred) + len(whole.adjustments) < len(statements)
    rows = []
    for part in _parts(transaction, goal_id, whole, late):
        rows += _conversions(transaction, goal_id, part, objections, is_cut=is_cut)
    return rows


class _Part(msgspec.Struct, frozen=True):
    """A share in its conversions. own: the visit that it is about; setting: what the catalog says there."""

    share: Share
    own: Click | Impression | None
    setting: Setting
    groups: Sequence[Group]


def _parts(transaction: Transaction, goal_id: int, whole: Share, late: dict[str, str]) -> list[_Part]:
    """What the network created and took back is none: all else is as if it had not been."""
    while whole.heard or whole.barred:
        too_late: dict[str, str] = {}
        parts = [
            _part(transaction, goal_id, share, too_late)
            for share in _shares(transaction, goal_id, whole, too_late)
        ]
        taken = (
            [one for part in parts for each in part.groups for one in undone(each)]
            if whole.adjustments
            else []
        )
        if not taken:
            late |= too_late
            for part in parts:
                if whole.adjustments:
                    take_back(part.groups, part.share.undone)
            return parts
        gone = {one.receipt_id for one in taken}
        left = [one for one in whole.heard if one.receipt_id not in gone]
        whole = msgspec.structs.replace(whole, heard=left, undone=[*whole.undone, *taken])
    return []


def _shares(transaction: Transaction, goal_id: int, whole: Share, late: dict[str, str]) -> list[Share]:
    """What is decided as if it were alone: of a person's once goal what each click brought, else all."""
    if not transaction.is_persons:
        return [whole]
    setting = transaction.setting(goal_id, transaction.own(whole.first), whole.heard or whole.barred)
    if setting.goal and setting.goal.repeat == "many":
        return [whole]
    found = []
    for share in episodes.shares(whole, transaction.click_of):
        kept, too_late = episodes.in_time(share)
        late |= too_late
        found.append(kept)
    return found


def _part(transaction: Transaction, goal_id: int, share: Share, late: dict[str, str]) -> _Part:
    """late: a person's conversions of a goal that repeats are corrected each by itself."""
    setting = transaction.setting(goal_id, own := transaction.own(share.first), share.heard or share.barred)
    goal = setting.goal or UNKNOWN_GOAL
    groups = group(share.heard, share.barred, share.adjustments, goal, setting.status_of)
    if transaction.is_persons and goal.repeat == "many":
        for each in groups:
            late |= episodes.keep_in_time(each)
    return _Part(share, own, setting, groups)


def _conversions(
    transaction: Transaction,
    goal_id: int,
    part: _Part,
    objections: Mapping[str, Objection],
    *,
    is_cut: bool,
) -> list[Row]:
    share = part.share
    case = Case(
        transaction=transaction,
        goal_id=goal_id,
        test=share.first.test,
        setting=part.setting,
        own=part.own,
        click=share.click,
        counts=part.groups[0],
        objections=objections,
        is_cut=is_cut,
    )
    return [conversion_of(case, each) for each in [*part.groups, *map(unclear, share.unclear)]]


def _add(decision: Decision, goal_id: int, rows: Sequence[Row]) -> None:
    for row in rows:
        decision.notices.extend(row.notices)
    decision.cases[goal_id] = tuple([row.conversion for row in rows])
