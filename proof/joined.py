"""What joiners have said in the end, held against an undisturbed run and the naive reading of the facts."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from proof import expected, truth
from proof.histories import Histories, Told, by_topic
from schemas import decisions, times
from schemas.catalog import Catalog
from schemas.decisions import RULES_RELEASE, Case, Conversion, Notice, Quarantine, Status
from schemas.facts import Adjustment, AnyFact, Click, Impression
from schemas.reasons import Reason
from service.kafka import Record

MOST_STATES: Final = 5_000  # of one transaction, that are looked through for what explains a notice

_UNDATED: Final = times.from_ms(0)


class Standing(NamedTuple):
    """A case as it stands: its greatest version.

    contents: how many different ones this version was sent with; kept: the version that compaction keeps, the
    last one sent.
    """

    case: Case
    contents: int
    kept: int


class Outcome(NamedTuple):
    """Everything that joiners said.

    stated: each status that a conversion was ever said to have. notices: each as it was said last.
    held: the affiliates that a conversion was ever said to be of, where it could be told as theirs.
    """

    cases: dict[bytes, Standing]
    stated: set[tuple[str, Status]]
    notices: dict[str, Notice]
    quarantined: list[Quarantine]
    held: frozenset[tuple[str, int]] = frozenset()


def outcome(
    conversions: Iterable[Record], notices: Iterable[Record], quarantined: Iterable[Record]
) -> Outcome:
    """What these records say; of one partition in order."""
    sent: dict[bytes, list[Case]] = defaultdict(list)
    for record in conversions:
        sent[record.key].append(msgspec.json.decode(record.value, type=Case))
    stated = {
        (one.conversion_id, one.status)
        for cases in sent.values()
        for case in cases
        for one in case.conversions
    }
    held = {
        (one.conversion_id, one.affiliate_id)
        for cases in sent.values()
        for case in cases
        for one in case.conversions
        if one.status != "rejected"
    }
    told = [msgspec.json.decode(record.value, type=Notice) for record in notices]
    return Outcome(
        {key: _final(cases) for key, cases in sent.items()},
        stated,
        {notice.notice_id: notice for notice in sorted(told, key=lambda one: one.version)},
        [msgspec.json.decode(record.value, type=Quarantine) for record in quarantined],
        frozenset(held),
    )


def _final(cases: Sequence[Case]) -> Standing:
    version = max(case.version for case in cases)
    newest = [case for case in cases if case.version == version]
    return Standing(newest[-1], len({content(case) for case in newest}), cases[-1].version)


def content(case: Case) -> bytes:
    """All of a case but its version and the time of its decision."""
    return decisions.encode(msgspec.structs.replace(case, version=0, decided_at=_UNDATED))


def differences(
    found: Outcome, plain: Outcome, histories: Histories, catalogs: Mapping[int, Catalog]
) -> Iterator[str]:
    """Each way in which an outcome is not that of the undisturbed run and of the truth.

    1. A case's greatest version has one content, and is the one that compaction keeps.
    2. Each case is that of the undisturbed run, in all but its version and the time of its decision.
    3. Where every fact changes its case, the version is at least their number; undisturbed it is that number.
    4. Conversions are what the naive reading says.
    5. Partners are told nothing that no state of the facts explains, and everything that stands in the end.
    6. Who was told of a conversion that is not theirs in the end was told last that it is rejected.
    7. Nothing is in quarantine.
    """
    for name, each in (("", found), ("undisturbed, ", plain)):
        yield from (f"{name}{line}" for line in _unclear(each))
        yield from (f"{name}{line}" for line in _untrue(each, histories.told.values(), catalogs))
        yield from (f"{name}{line}" for line in _unexplained(each, plain, histories, catalogs))
        yield from (f"{name}{line}" for line in _not_taken_back(each))
        yield from (f"{name}quarantined: {one.reason} {one.detail}" for one in each.quarantined)
    yield from _unlike(found, plain)
    yield from _wrong_versions(found, plain, histories.told.values())
    yield from _untold(found, plain)


def _unclear(outcome: Outcome) -> Iterator[str]:
    for key, final in outcome.cases.items():
        if final.contents > 1:
            yield f"two contents: {key.decode()} version {_told(final.case.version)}"
        if final.kept != final.case.version:
            yield f"compacted: {key.decode()}: {_told(final.kept)} came after {_told(final.case.version)}"


def _unlike(found: Outcome, plain: Outcome) -> Iterator[str]:
    for key in sorted(found.cases.keys() | plain.cases.keys()):
        ours, other = _standing(found, key), _standing(plain, key)
        if ours is None and other is not None:
            yield f"missing: {key.decode()}"
        elif ours is not None and other is None:
            yield f"unexpected: {key.decode()}: {_shown(ours.conversions)}"
        elif ours is not None and other is not None and content(ours) != content(other):
            yield f"differs: {key.decode()}: {_first_difference(ours, other)}"


def _standing(outcome: Outcome, key: bytes) -> Case | None:
    """The case, if it has any conversion: an empty one is as good as none."""
    final = outcome.cases.get(key)
    return final.case if final and final.case.conversions else None


def _first_difference(ours: Case, other: Case) -> str:
    for one, two in itertools.zip_longest(ours.conversions, other.conversions):
        if one is None or two is None:
            return f"{len(ours.conversions)} conversions, undisturbed {len(other.conversions)}"
        for field in one.__struct_fields__:
            if getattr(one, field) != getattr(two, field):
                return f"{field} {getattr(one, field)!r}, undisturbed {getattr(two, field)!r}"
    return f"visits {_receipts(ours)}, undisturbed {_receipts(other)}"


def _receipts(case: Case) -> list[str]:
    return [visit.receipt_id for visit in case.visits]


def _shown(conversions: Iterable[Conversion]) -> str:
    return ", ".join(f"{one.status} {one.reason}" for one in conversions)


def _untrue(outcome: Outcome, told: Iterable[Told], catalogs: Mapping[int, Catalog]) -> Iterator[str]:
    rows = [
        _row(final.case, conversion)
        for final in outcome.cases.values()
        for conversion in final.case.conversions
    ]
    truths = [
        truth.truth(each.identifier, one, 0) for each in told for one in expected.read(each.facts, catalogs)
    ]
    return (f"untrue, {line}" for line in truth.differences(truths, rows))


def _row(case: Case, conversion: Conversion) -> dict[str, Any]:
    row = msgspec.structs.asdict(conversion)
    return {
        **row,
        "transaction_id": case.transaction_id,
        "goal_id": case.goal_id,
        "kinds": conversion.observed_by,
    }


# Versions


def _wrong_versions(found: Outcome, plain: Outcome, told: Iterable[Told]) -> Iterator[str]:
    counts = {each.identifier: len(each.facts) for each in told if _every_fact_counts(each)}
    for key, final in found.cases.items():
        if (count := counts.get(final.case.transaction_id)) is None:
            continue
        least = RULES_RELEASE << 32 | count
        if final.case.version < least:
            yield f"version fell: {key.decode()}: {_told(final.case.version)}, of {count} facts"
        before = plain.cases.get(key)
        if before and before.case.version != least:
            yield f"undisturbed, version: {key.decode()}: {_told(before.case.version)}, of {count} facts"


def _every_fact_counts(told: Told) -> bool:
    """Whether each fact changes the one case, whenever it comes: so its version is their number."""
    visits = [fact for fact in told.facts if isinstance(fact, Click | Impression)]
    goals = {fact.goal for fact in told.facts if not isinstance(fact, Click | Impression)}
    is_adjusted = any(isinstance(fact, Adjustment) for fact in told.facts)
    return told.is_random and len(visits) <= 1 and goals == {""} and not is_adjusted


def raised(found: Outcome, plain: Outcome) -> int:
    """How many cases stand in a greater version than undisturbed."""
    return sum(
        final.case.version > plain.cases[key].case.version
        for key, final in found.cases.items()
        if key in plain.cases
    )


def _told(version: int) -> str:
    return f"{version >> 32}.{version & 0xFFFFFFFF}"


# Notices


def _unexplained(
    outcome: Outcome, plain: Outcome, histories: Histories, catalogs: Mapping[int, Catalog]
) -> Iterator[str]:
    for notice_id, notice in outcome.notices.items():
        if notice_id in plain.notices and outcome is not plain:
            continue
        if _is_reversal(notice, outcome):
            continue
        if (notice.conversion_id, notice.status) not in outcome.stated:
            yield f"notice of nothing: {notice.transaction_id} {notice.status}"
        told = histories.told[notice.transaction_id]
        if told.is_random and not _was_so(notice, told, catalogs):
            yield f"notice unexplained: {notice.transaction_id} {notice.status}"


def _is_reversal(notice: Notice, outcome: Outcome) -> bool:
    """Whether it takes back what was said to be this affiliate's."""
    return notice.status == "rejected" and (notice.conversion_id, notice.affiliate_id) in outcome.held


def _not_taken_back(outcome: Outcome) -> Iterator[str]:
    """What was told last of conversions that are not of that affiliate any more, nor a duplicate's.

    Where it has another one of the transaction, that may be the same under another ID; and what is taken back
    may be so under the ID that it had last, under which nothing else was told.
    """
    standing = [
        (final.case.transaction_id, one) for final in outcome.cases.values() for one in final.case.conversions
    ]
    have = {(name, one.affiliate_id) for name, one in standing}
    own = {
        (one.conversion_id, one.affiliate_id)
        for _, one in standing
        if one.reason != Reason.DUPLICATE_CONVERSION
    }
    last: dict[tuple[str, str], Notice] = {}
    for notice in sorted(outcome.notices.values(), key=lambda one: one.version):
        last[notice.conversion_id, notice.subscription] = notice
    reversed_by = _subscribed_to_rejections(outcome)
    renamed = _rejected_only(outcome)
    for notice in last.values():
        is_own = (notice.conversion_id, notice.affiliate_id) in own
        has_another = (notice.transaction_id, notice.affiliate_id) in have
        if is_own or has_another or notice.status == "rejected" or notice.subscription not in reversed_by:
            continue
        if renamed[notice.transaction_id, notice.subscription]:
            renamed[notice.transaction_id, notice.subscription] -= 1
            continue
        yield f"not taken back: {notice.transaction_id} {notice.affiliate_id} {notice.status}"


def _rejected_only(outcome: Outcome) -> Counter[tuple[str, str]]:
    """By transaction and subscription, of how many conversions only that they are rejected was told."""
    said: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in outcome.notices.values():
        said[one.transaction_id, one.subscription, one.conversion_id].add(one.status)
    return Counter(key[:2] for key, statuses in said.items() if statuses == {"rejected"})


def _subscribed_to_rejections(outcome: Outcome) -> set[str]:
    """As far as can be seen from what was told: by one of them something was rejected."""
    return {one.subscription for one in outcome.notices.values() if one.status == "rejected"}


def _was_so(notice: Notice, told: Told, catalogs: Mapping[int, Catalog]) -> bool:
    """Whether some part of the facts, as their topics give them, makes such a conversion."""
    return any(
        (one.status, one.affiliate_id, one.test) == (notice.status, notice.affiliate_id, False)
        and one.reason != Reason.DUPLICATE_CONVERSION
        for facts in itertools.islice(_states(told), MOST_STATES)
        for one in expected.read(facts, catalogs)
    )


def _states(told: Told) -> Iterator[list[AnyFact]]:
    """All that a joiner may know of a transaction: of each topic what lies before some point."""
    topics = by_topic(told.facts)
    prefixes = [[facts[:count] for count in range(len(facts), -1, -1)] for facts in topics.values()]
    for parts in itertools.product(*prefixes):
        yield [fact for part in parts for fact in part]


def _untold(found: Outcome, plain: Outcome) -> Iterator[str]:
    """What stands in the end was told, if need be under an ID that the conversion had before.

    A duplicate need not be: who never saw it as another tells nothing.
    """
    standing = {
        (one.conversion_id, one.status, one.affiliate_id)
        for final in plain.cases.values()
        for one in final.case.conversions
        if one.reason != Reason.DUPLICATE_CONVERSION
    }
    names = {one.conversion_id for final in found.cases.values() for one in final.case.conversions}
    earlier = Counter(
        map(_said, (told for told in found.notices.values() if told.conversion_id not in names))
    )
    for notice_id, notice in plain.notices.items():
        told = notice.conversion_id, notice.status, notice.affiliate_id
        if told in standing and notice_id not in found.notices:
            if not earlier[_said(notice)]:
                yield f"notice missing: {notice.transaction_id} {notice.status}"
            earlier[_said(notice)] -= 1


def _said(notice: Notice) -> tuple[str, int, str, Status]:
    return notice.transaction_id, notice.affiliate_id, notice.subscription, notice.status
