"""What the network itself states: what of it counts, and which conversion it means."""

from collections.abc import Iterable, Sequence

from proof.expected.identity import Goes, Group, grouped, opened_before
from proof.expected.words import Heard, Statement, age


def once_said(statements: Iterable[Statement]) -> list[Statement]:
    """Each receipt once; of several adjustments under one key the first received."""
    receipts: dict[str, Statement] = {}
    for one in sorted(statements, key=age):
        receipts.setdefault(one.receipt, one)
    keys: dict[tuple[str, str], Statement] = {}
    for one in receipts.values():
        keys.setdefault(("key", one.key) if one.key else ("receipt", one.receipt), one)
    return [*keys.values()]


def conversions(said: Sequence[Heard], goes: Goes) -> list[Group]:
    """All conversions of a case. What was released is shown, and has no say."""
    live = sorted(said, key=lambda one: one.age)
    shown: list[Heard] = []
    for release in [one for one in live if one.said.action == "release"]:
        home = _of(release, live, goes)
        taken = [one for one in home.said if _is_the_networks(one) and one.age < release.age] if home else []
        live = [one for one in live if one not in taken and one is not release]
        shown += [*taken, release]
    groups = _grouped(live, goes)
    for one in shown:
        home = _meant(groups, one, goes)
        if home:
            home.beside.append(one)
    return groups


def _grouped(live: Sequence[Heard], goes: Goes) -> list[Group]:
    groups = grouped([one for one in live if one.is_report], goes)
    for one in live:
        if not one.is_report and one.said.action == "state":
            home = _meant(groups, one, goes)
            if home:
                home.said.append(one)
    return groups


def _of(release: Heard, live: Sequence[Heard], goes: Goes) -> Group | None:
    return _meant(_grouped(live, goes), release, goes)


def _is_the_networks(one: Heard) -> bool:
    return one.said.kind == "adjustment"


def _meant(groups: list[Group], one: Heard, goes: Goes) -> Group | None:
    """The conversion of its number; without one the one that counts, or the only one opened before it."""
    if one.said.number:
        return next((group for group in groups if group.number == one.said.number), None)
    if not goes.many:
        return next((group for group in groups if group.counts), None)
    before = opened_before([group for group in groups if group.said[0].is_report], one)
    if len(before) > 1:
        groups.append(Group(number="", said=[one], ambiguous=True))
    return before[0] if len(before) == 1 else None
