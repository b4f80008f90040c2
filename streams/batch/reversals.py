"""Who was told of a conversion that is not theirs any more is told that it is rejected.

A late click gives it to another affiliate, an order number that comes late joins it to another, a creation is
taken back: then no conversion says so to who had it. The case as it was last sent names the conversion with
its affiliate, visit and catalog, so that the notice can be made of it, as the affiliate subscribed then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from schemas import decisions
from schemas.decisions import Conversion, Notice
from schemas.facts import AnyFact, Click, Impression
from schemas.reasons import Reason
from streams.batch.reading import Standing
from streams.batch.sending import Line, Place, Verdict, line_of
from streams.rules.former import Former
from streams.rules.merge import AnyStatement
from streams.state import damage
from streams.state.layout import Emitted

Now = Mapping[int, Sequence[Conversion]]  # by goal


class Was(NamedTuple):
    """A conversion as it was, and the version under which that was sent; 0 where nobody can say."""

    former: Former
    version: int


class LookedBack(NamedTuple):
    """reversals: what is due to those who had conversions. perhaps: what may have been told of these."""

    reversals: list[Notice]
    perhaps: list[Line]


def formers(
    before: Iterable[Standing],
    earlier: Verdict | None,
    verdict: Verdict,
    cases: Mapping[Place, Emitted],
    facts: Sequence[AnyFact],
    path: Path,
) -> list[Was]:
    """The conversions that an affiliate had, and that are told to it otherwise now, or not at all.

    before: as the cases of the state at `path` have them; earlier: what these may have been before.
    """
    found: list[Was] = []
    if names := _altered(before, verdict.cases):
        found = _as_sent(cases, names, _statements(facts), path)
    if earlier:
        names = _altered((one for case in earlier.cases.values() for one in case), verdict.cases)
        found += _as_decided(earlier, names, facts)
    return found


def _altered(before: Iterable[Standing | Conversion], now: Now) -> set[str]:
    """The IDs of conversions that an affiliate had and that are told to it otherwise now, or not at all."""
    had = [one for one in before if one.affiliate_id and one.reason != Reason.DUPLICATE_CONVERSION]
    if not had:
        return set()
    present = {one.conversion_id: one for case in now.values() for one in case}
    return {one.conversion_id for one in had if not _is_same(one, present.get(one.conversion_id))}


def _is_same(one: Standing | Conversion, now: Conversion | None) -> bool:
    return (
        now is not None
        and _is_had(one.affiliate_id, now)
        and (one.status, str(one.payout)) == (now.status, str(now.payout))
    )


def _is_had(affiliate_id: int, now: Conversion) -> bool:
    """Whether the affiliate has the conversion, and is told of it."""
    return now.affiliate_id == affiliate_id and now.reason != Reason.DUPLICATE_CONVERSION


def _as_sent(
    cases: Mapping[Place, Emitted],
    names: Collection[str],
    statements: Sequence[AnyStatement],
    path: Path,
) -> list[Was]:
    """These conversions as they were last sent; the cases are of the state at `path`."""
    found = []
    for (bundle, goal_id), emitted in cases.items():
        case = damage.read(path, _case, emitted.record)
        found += [
            Was(former, emitted.version)
            for former in _formers(bundle.transaction_id, goal_id, case.conversions, case.visits, statements)
            if former.conversion.conversion_id in names
        ]
    return found


def _as_decided(verdict: Verdict, names: Collection[str], facts: Sequence[AnyFact]) -> list[Was]:
    """These conversions as fewer facts give them."""
    statements, transaction_id = _statements(facts), facts[0].transaction_id
    visits = [visit for judging in verdict.visits.values() for visit in judging]
    return [
        Was(former, 0)
        for goal_id, case in verdict.cases.items()
        for former in _formers(transaction_id, goal_id, case, visits, statements)
        if former.conversion.conversion_id in names
    ]


class _Case(msgspec.Struct):
    conversions: tuple[Conversion, ...] = ()
    visits: tuple[Click | Impression, ...] = ()


_case = msgspec.json.Decoder(_Case).decode


def _statements(facts: Iterable[AnyFact]) -> list[AnyStatement]:
    return [fact for fact in facts if not isinstance(fact, Click | Impression)]


def _formers(
    transaction_id: str,
    goal_id: int,
    conversions: Iterable[Conversion],
    visits: Iterable[Click | Impression],
    statements: Sequence[AnyStatement],
) -> list[Former]:
    by_receipt = {visit.receipt_id: visit for visit in visits}
    return [
        Former(
            transaction_id=transaction_id,
            goal_id=goal_id,
            conversion=one,
            visit=by_receipt[one.click_receipt_id],
            statements=statements,
        )
        for one in conversions
        if one.click_receipt_id in by_receipt
    ]


def look_back(
    found: Sequence[Was],
    verdict: Verdict,
    told: Mapping[str, bytes],
    inherited: Collection[str],
    *,
    doubtful: bool,
) -> LookedBack:
    """What the affiliates of these were told, and are to be told now.

    told: what they are known to have been told. inherited: IDs of those that they have under another one now.
    doubtful: they may have been told more.
    """
    if not found:
        return NOTHING
    perhaps = [
        _line(notice, was.version) for was in found for notice in verdict.told_as(was.former, _status(was))
    ]
    lines = [*map(line_of, told.values()), *perhaps]
    present = {one.conversion_id: one for case in verdict.cases.values() for one in case}
    reversals: dict[str, Notice] = {}
    for was in found:
        one = was.former.conversion
        now = present.get(one.conversion_id)
        if one.conversion_id in inherited or (now and _is_had(one.affiliate_id, now)):
            continue
        asked = _subscriptions(was, verdict) if doubtful else ()
        for notice in verdict.told_as(was.former, "rejected"):
            last = _last(lines, notice)
            if last.status != "rejected" if last else notice.subscription in asked:
                reversals[notice.notice_id] = notice
    return LookedBack([*reversals.values()], perhaps)


def come_back(
    before: Iterable[Standing], newest: int, due: Iterable[Notice], told: Mapping[str, bytes]
) -> list[Line]:
    """Of conversions that their affiliate was told of and did not have last: that it was told so, perhaps.

    Also by another worker, of which only its cases are known. newest: the version of those last sent.
    """
    again = [one for one in due if one.notice_id in told]
    if not again:
        return []
    had = {
        (one.conversion_id, one.affiliate_id) for one in before if one.reason != Reason.DUPLICATE_CONVERSION
    }
    return [
        Line("", one.conversion_id, one.subscription, "rejected", newest)
        for one in again
        if (one.conversion_id, one.affiliate_id) not in had
    ]


NOTHING: Final = LookedBack([], [])


def _status(was: Was) -> decisions.Status:
    return was.former.conversion.status


def _subscriptions(was: Was, verdict: Verdict) -> set[str]:
    """Those that would have told something that can be taken back."""
    return {
        one.subscription for status in ("approved", "pending") for one in verdict.told_as(was.former, status)
    }


def _last(lines: Iterable[Line], notice: Notice) -> Line | None:
    to = notice.conversion_id, notice.subscription
    return max((one for one in lines if one.to == to), key=lambda one: one.version, default=None)


def _line(notice: Notice, version: int) -> Line:
    return Line(notice.notice_id, notice.conversion_id, notice.subscription, notice.status, version)
