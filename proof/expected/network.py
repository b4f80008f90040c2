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
    """What reports make, with the network's word on each; by itself what could mean several."""
    groups = grouped([one for one in said if one.is_report], goes)
    unclear = []
    for word in (one for one in said if not one.is_report):
        meant = _meant(groups, word, goes)
        if len(meant) > 1:
            unclear.append(Group(number="", said=[word], ambiguous=True))
        elif meant:
            meant[0].said.append(word)
    return groups + unclear


def undone(groups: Iterable[Group]) -> list[Heard]:
    """What the network created of these and released afterwards."""
    return [one for group in groups for one in _taken_back(group) if one.is_report]


def silence(groups: Sequence[Group], created: Iterable[Heard], goes: Goes) -> None:
    """What was taken back is shown beside, and so is what was created and is none any more."""
    for group in groups:
        taken = _taken_back(group)
        group.said = [one for one in group.said if one not in taken]
        group.beside = [*group.beside, *taken]
    for one in created:
        meant = _meant(groups, one, goes)
        if len(meant) == 1:
            meant[0].beside.append(one)


def _taken_back(group: Group) -> list[Heard]:
    """What the network stated of it up to its last release, that one among it."""
    own = [one for one in group.said if one.said.kind == "adjustment"]
    releases = [one.age for one in own if one.said.action == "release"]
    return [] if group.ambiguous else [one for one in own if releases and one.age <= max(releases)]


def _meant(groups: Sequence[Group], one: Heard, goes: Goes) -> list[Group]:
    """The conversion of its number; without one the one that counts, or those opened before it."""
    if one.said.number:
        return [group for group in groups if group.number == one.said.number]
    if not goes.many:
        return [group for group in groups if group.counts][:1]
    return opened_before(groups, one)
