"""Which statements are one conversion: rule 1 of streams.rules.decide.

Statements come, and stay, in the order of receipt (rules.merge.order); so do the conversions they make.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Literal

import msgspec

from schemas import times
from schemas.catalog import Goal, Status
from schemas.facts import Adjustment
from schemas.topics import CORRECTION_WINDOW_DAYS, DAY_MS
from streams.rules.merge import AnyStatement, Order, order, trust

Place = Literal["counts", "repeats", "separate", "ambiguous"]
StatusOf = Callable[[AnyStatement], Status | None]

UNKNOWN_GOAL: Final = Goal(
    id=0, name="unknown"
)  # of a goal that nobody knows yet, what the catalog takes as usual


CORRECTION_MS: Final = CORRECTION_WINDOW_DAYS * DAY_MS
FIRST_MS: Final = times.to_ms("0001-01-01T00:00:00.000Z")
LAST_MS: Final = times.to_ms("9999-12-31T23:59:59.999Z")


class Group(msgspec.Struct, kw_only=True):
    """The statements that are one conversion.

    place: `counts`, the conversion of a once goal; `repeats`, another order number of a once goal;
        `separate`, one of a goal that repeats; `ambiguous`, a statement that could mean several of those.
    number: the advertiser's order number, empty where none was stated.
    opened: when what opened it was received; what joins does not move it.
    statements: those that have a say. kinds: by which kinds of request they came.
    shown: those that have none beside them: without permission, or taken back by the network.
    adjustments: what the network states of it.
    """

    place: Place
    number: str
    opened: Order
    statements: list[AnyStatement]
    kinds: set[str]
    shown: list[AnyStatement] = []
    adjustments: list[Adjustment] = []


def group(
    heard: Sequence[AnyStatement],
    barred: Sequence[AnyStatement],
    adjustments: Sequence[Adjustment],
    goal: Goal,
    status_of: StatusOf,
) -> list[Group]:
    """The conversions of a case: what has permission makes them; the rest, and the network, speak of them.

    Where nothing has permission, what has none makes them.
    """
    if not heard:
        heard, barred = barred, ()
    groups = _many(heard, goal, status_of) if goal.repeat == "many" else _once(heard)
    if barred:
        groups += _show(groups, barred, goal, status_of)
    if adjustments:
        groups += _adjust(groups, adjustments)
    return groups


def undone(group: Group) -> list[Adjustment]:
    """What the network created of the conversion and took back."""
    released = _released(group)
    if released is None:
        return []
    return [one for one in group.statements if isinstance(one, Adjustment) and order(one) < released]


def take_back(groups: Sequence[Group], created: Iterable[Adjustment]) -> None:
    """What the network took back is shown, and has no say; so what it created and took back of others."""
    for each in groups:
        released = _released(each)
        if released is not None:
            each.shown += [one for one in each.adjustments if order(one) <= released]
            each.adjustments = [one for one in each.adjustments if order(one) > released]
    for one, meant in _meant(groups, created):
        if len(meant) == 1:
            meant[0].shown.append(one)


def unclear(one: Adjustment) -> Group:
    """What the network states and could mean of several conversions, by itself."""
    return _opened("ambiguous", "", [one])


def _released(group: Group) -> Order | None:
    """When the network last took back what it had stated of the conversion; None where it did not."""
    return max((order(one) for one in group.adjustments if one.action == "release"), default=None)


def _once(observations: Sequence[AnyStatement]) -> list[Group]:
    """The conversion that counts, then one for each other order number."""
    stated = {one.conversion_unique_id for one in observations}
    if len(stated - {""}) <= 1:
        return [_opened("counts", max(stated), observations)]
    numbers = _by_number(observations)
    counting = _counting(numbers)
    counts = [one for one in observations if one.conversion_unique_id in ("", counting)]
    return [_opened("counts", counting, counts), *_repeats(numbers, {"", counting})]


def _counting(numbers: dict[str, list[AnyStatement]]) -> str:
    """Of several order numbers the one with the most trusted source, then the one received first."""
    stated = [number for number in numbers if number]
    return max(stated, key=lambda number: max(map(trust, numbers[number])))


def _repeats(numbers: dict[str, list[AnyStatement]], but: set[str]) -> list[Group]:
    return [_opened("repeats", number, found) for number, found in numbers.items() if number not in but]


def _many(observations: Iterable[AnyStatement], goal: Goal, status_of: StatusOf) -> list[Group]:
    """A conversion for each order number; an observation without one joins one of them, or opens one."""
    numbers = _by_number(observations)
    bare = numbers.pop("", [])
    groups = [_opened("separate", number, found) for number, found in numbers.items()]
    for one in bare:
        meant = _before(groups, one) if _is_bare_status(one, status_of) else []
        home = meant[0] if meant else _without_its_kind(groups, one, goal.dedupe_window_ms)
        if len(meant) > 1 or home is None:
            place: Place = "ambiguous" if meant else "separate"
            insort(groups, _opened(place, "", [one]), key=_opening)
        else:
            home.statements.append(one)
            home.kinds.add(one.kind)
    for each in groups:
        each.statements.sort(key=order)
    return groups


def _is_bare_status(one: AnyStatement, status_of: StatusOf) -> bool:
    """Whether an advertiser states approved or rejected, and neither an order nor an amount."""
    if one.kind == "adjustment":
        return False  # what the network creates is meant as a conversion
    return one.sale_amount is None and status_of(one) in ("approved", "rejected")


def _before(groups: Iterable[Group], one: AnyStatement) -> list[Group]:
    """The conversions that a statement without number can mean, those opened before it; two are too many.

    A person's of long ago are not meant: nothing corrects them.
    """
    moment, earliest = order(one), _time(times.to_ms(one.received_at) - CORRECTION_MS)
    found = (each for each in groups if each.opened < moment and each.opened[0] >= earliest)
    return list(islice(filter(_is_one, found), 2))


def _near(groups: Iterable[Group], one: AnyStatement, window_ms: int) -> Iterable[Group]:
    """The conversions opened at most this long before or after it."""
    received_ms = times.to_ms(one.received_at)
    earliest, latest = _time(received_ms - window_ms), _time(received_ms + window_ms)
    return (each for each in groups if _is_one(each) and earliest <= each.opened[0] <= latest)


def _time(ms: int) -> str:
    """The time as text, whose order is that of time; an edge's clock may stand at an end of the calendar."""
    return times.from_ms(min(max(ms, FIRST_MS), LAST_MS))


def _without_its_kind(groups: Iterable[Group], one: AnyStatement, window_ms: int) -> Group | None:
    return next((each for each in _near(groups, one, window_ms) if one.kind not in each.kinds), None)


def _show(
    groups: list[Group], barred: Iterable[AnyStatement], goal: Goal, status_of: StatusOf
) -> list[Group]:
    """Each is shown with the conversion that it speaks of; those that speak of another make it."""
    alone = []
    named = _named(groups)
    for one in barred:
        home = named.get(one.conversion_unique_id) or _beside(groups, one, goal)
        if home is None:
            alone.append(one)
        else:
            home.shown.append(one)
    return _many(alone, goal, status_of) if goal.repeat == "many" else _repeats(_by_number(alone), set())


def _beside(groups: list[Group], one: AnyStatement, goal: Goal) -> Group | None:
    """The conversion that an observation without permission speaks of, where no order number says so."""
    if goal.repeat == "once":
        return None if one.conversion_unique_id and groups[0].number else groups[0]
    return None if one.conversion_unique_id else next(iter(_near(groups, one, goal.dedupe_window_ms)), None)


def _adjust(groups: list[Group], adjustments: Iterable[Adjustment]) -> list[Group]:
    """Each goes to the conversion that it means, or waits for it; those that may mean several come back."""
    ambiguous = []
    for one, meant in _meant(groups, adjustments):
        if len(meant) > 1:
            ambiguous.append(unclear(one))
        elif meant:
            meant[0].adjustments.append(one)
    return ambiguous


def _meant(
    groups: Sequence[Group], adjustments: Iterable[Adjustment]
) -> Iterator[tuple[Adjustment, list[Group]]]:
    """Each with what it means: its number's conversion, else what counts, else those opened before it."""
    named = _named(groups)
    for one in adjustments:
        if one.conversion_unique_id:
            yield one, [named[one.conversion_unique_id]] if one.conversion_unique_id in named else []
        elif groups[0].place == "counts":
            yield one, [groups[0]]
        else:
            yield one, _before(groups, one)


def _by_number(observations: Iterable[AnyStatement]) -> dict[str, list[AnyStatement]]:
    found: dict[str, list[AnyStatement]] = {}
    for one in observations:
        found.setdefault(one.conversion_unique_id, []).append(one)
    return found


def _named(groups: Iterable[Group]) -> dict[str, Group]:
    return {each.number: each for each in groups if each.number}


def _opened(place: Place, number: str, statements: Sequence[AnyStatement]) -> Group:
    return Group(
        place=place,
        number=number,
        opened=order(statements[0]),
        statements=list(statements),
        kinds={one.kind for one in statements},
    )


def _opening(group: Group) -> Order:
    return group.opened


def _is_one(group: Group) -> bool:
    return group.place != "ambiguous"
