"""Rule 1: which reports are one conversion."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from proof.expected.words import Age, Heard

LIMIT = 1_000  # observations that count in a case
CORRECTED_MS = 120 * 86_400_000  # after its first statement nothing corrects a conversion


class Group(msgspec.Struct, kw_only=True):
    """What reports one conversion.

    said: with a say; beside: shown, and no more. counts: False where a once goal has counted already.
    ambiguous: it could mean several conversions, and is none of them.
    """

    number: str
    said: list[Heard]
    beside: list[Heard] = []
    counts: bool = True
    ambiguous: bool = False

    @property
    def began(self) -> Age:
        """When what opened it was received; what joins without a number does not move it."""
        return min(one.age for one in self.said if one.said.number == self.number and one.is_report)


class Goes(msgspec.Struct, frozen=True, kw_only=True):
    """How the goal counts. is_status: whether a word says approved or rejected."""

    many: bool
    window_ms: int
    is_status: Callable[[str], bool]


def limited(said: Iterable[Heard]) -> list[Heard]:
    """Of more than a case may have those that count: the most trusted, then the first received.

    What has permission, what has none, and what the network states of it are counted apart.
    """
    kinds: tuple[list[Heard], ...] = ([], [], [])
    for one in sorted(said, key=lambda one: (-one.trust, one.age)):
        kinds[2 if not one.is_report else 1 if one.forbidden else 0].append(one)
    return [one for kind in kinds for one in kind[:LIMIT]]


def grouped(reports: Iterable[Heard], goes: Goes) -> list[Group]:
    """The conversions: made by what has permission; what has none is shown beside, or stands alone."""
    reports = sorted(reports, key=lambda one: one.age)
    allowed = [one for one in reports if not one.forbidden]
    others = [one for one in reports if one.forbidden]
    join = _many if goes.many else _once
    if not allowed:
        return join(others, goes)
    groups = join(allowed, goes)
    alone = []
    for one in others:
        home = _home(groups, one, goes)
        if home:
            home.beside.append(one)
        else:
            alone.append(one)
    more = join(alone, goes)
    for group in more:
        group.counts = goes.many
    return groups + more


def _numbered(said: Sequence[Heard]) -> list[Group]:
    numbers = dict.fromkeys(one.said.number for one in said if one.said.number)
    return [Group(number=each, said=[one for one in said if one.said.number == each]) for each in numbers]


def _once(said: Sequence[Heard], _goes: Goes) -> list[Group]:
    """One number counts: that of the most trusted source, then the one received first."""
    groups = _numbered(said)
    unnumbered = [one for one in said if not one.said.number]
    if not groups:
        return [Group(number="", said=unnumbered)] if unnumbered else []
    counting = min(groups, key=lambda group: (-max(one.trust for one in group.said), group.began))
    for group in groups:
        group.counts = group is counting
    counting.said += unnumbered
    return groups


def _many(said: Sequence[Heard], goes: Goes) -> list[Group]:
    """Each number is one; without a number it joins what is near and has none of its kind, or opens one."""
    groups = _numbered(said)
    for one in said:
        if one.said.number:
            continue
        before = opened_before(groups, one)
        bare = one.said.kind != "adjustment" and one.said.amount is None and goes.is_status(one.said.status)
        near = [
            group
            for group in sorted(groups, key=lambda group: group.began)
            if _is_near(group, one, goes) and one.said.kind not in {other.said.kind for other in group.said}
        ]
        if bare and len(before) == 1:
            before[0].said.append(one)
        elif bare and before:
            groups.append(Group(number="", said=[one], ambiguous=True))
        elif near:
            near[0].said.append(one)
        else:
            groups.append(Group(number="", said=[one]))
    return groups


def opened_before(groups: Iterable[Group], one: Heard) -> list[Group]:
    """The conversions that what names none may mean."""
    return [
        group
        for group in groups
        if not group.ambiguous
        and group.began < one.age
        and one.said.received_ms - group.began[0] <= CORRECTED_MS
    ]


def _is_near(group: Group, one: Heard, goes: Goes) -> bool:
    return not group.ambiguous and abs(one.said.received_ms - group.began[0]) <= goes.window_ms


def _home(groups: list[Group], one: Heard, goes: Goes) -> Group | None:
    """The conversion beside which what has no permission is shown."""
    named = [group for group in groups if one.said.number and group.number == one.said.number]
    if named:
        return named[0]
    if goes.many:
        near = [group for group in groups if not one.said.number and _is_near(group, one, goes)]
        return min(near, key=lambda group: group.began, default=None)
    counting = next(group for group in groups if group.counts)
    return None if counting.number and one.said.number else counting
