"""What a person does again: with a derived identifier a once goal counts once for each credited click.

The same person has the same identifier for ever. So statements are shared out by the click that each is
credited to, and each share is decided as if it were alone:

1. An order number goes where its first statement goes, with permission if one has it.
2. What has no number goes to its own click.
3. What the network states without a number goes to the only share, else to the one that began before it;
   where several did, it could mean any of them.
4. A statement that was received more than the correction window after the first of its share is too late.
5. What no click is known of waits together, as long as it was received within the correction window of the
   first; what comes later waits by itself. So it is the same when the earlier is no longer kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from schemas import times
from schemas.facts import Adjustment
from streams.expiry import CORRECTION_MS, too_late
from streams.rules.grouping import Group
from streams.rules.merge import AnyStatement, order

NOBODYS: Final = ""  # of what no click is known yet
Name = tuple[str, str]  # of a share: its click; without one, its first receipt

ClickOf = Callable[[AnyStatement], str]
"""The receipt of the visit that a statement is credited to, NOBODYS where there is none."""


class Share(msgspec.Struct, kw_only=True):
    """What is decided together, in the order of receipt.

    click: the receipt of the visit that it is credited to. heard: what has permission. barred: what has none.
    adjustments: what the network states of it. unclear: the same, where it could mean other shares as well.
    undone: what it created and took back, which is only shown.
    """

    click: str = NOBODYS
    heard: Sequence[AnyStatement] = ()
    barred: Sequence[AnyStatement] = ()
    adjustments: Sequence[Adjustment] = ()
    unclear: Sequence[Adjustment] = ()
    undone: Sequence[Adjustment] = ()

    @property
    def first(self) -> AnyStatement:
        """What opens it: with permission if anything has it."""
        return (self.heard or self.barred)[0]


def shares(whole: Share, click_of: ClickOf) -> list[Share]:
    """The shares of a case, by when they began."""
    statements = [*whole.heard, *whole.barred]
    names = _names(statements, click_of)
    homes = _homes(statements, names)
    found: dict[Name, Share] = {}
    for kind, some in (("heard", whole.heard), ("barred", whole.barred)):
        for one in some:
            name = homes[one.conversion_unique_id] if one.conversion_unique_id else names[one.receipt_id]
            share = Share(click=name[0], heard=[], barred=[], adjustments=[], unclear=[])
            getattr(found.setdefault(name, share), kind).append(one)
    began = sorted(found.values(), key=lambda share: order(share.first))
    numbered = {number: found[name] for number, name in homes.items()}
    for one in whole.adjustments:
        meant = _meant(began, numbered, one)
        if len(meant) == 1:
            meant[0].adjustments = [*meant[0].adjustments, one]
        elif meant:
            meant[-1].unclear = [*meant[-1].unclear, one]
    for one in whole.undone:
        meant = [share for share in _meant(began, numbered, one) if not _is_late(share, one)]
        if len(meant) == 1:
            meant[0].undone = [*meant[0].undone, one]
    return began


def _began(statements: Iterable[AnyStatement]) -> dict[str, int]:
    """By order number when it was first stated."""
    began: dict[str, int] = {}
    for one in statements:
        number, received_ms = one.conversion_unique_id, times.to_ms(one.received_at)
        began[number] = min(began.get(number, received_ms), received_ms)
    return began


def _names(statements: Iterable[AnyStatement], click_of: ClickOf) -> dict[str, Name]:
    """By receipt the share that each would be in by itself."""
    found: dict[str, Name] = {}
    waits, since_ms = "", 0
    for one in sorted(statements, key=order):
        click = click_of(one)
        if click == NOBODYS:
            received_ms = times.to_ms(one.received_at)
            if not waits or received_ms - since_ms > CORRECTION_MS:
                waits, since_ms = one.receipt_id, received_ms
        found[one.receipt_id] = (click, waits if click == NOBODYS else "")
    return found


def _homes(statements: Sequence[AnyStatement], names: Mapping[str, Name]) -> dict[str, Name]:
    """By order number the share of its first statement; what has permission comes first, unless too late."""
    began = _began(statements)
    first: dict[str, AnyStatement] = {}
    for one in statements:
        number = one.conversion_unique_id
        if number and times.to_ms(one.received_at) - began[number] <= CORRECTION_MS:
            first.setdefault(number, one)
    return {number: names[one.receipt_id] for number, one in first.items()}


def _meant(began: Sequence[Share], numbered: Mapping[str, Share], one: Adjustment) -> list[Share]:
    """What the network may mean: its number's share, the only one, or those begun before it.

    One of so long ago that nothing corrects it is not counted: it may have expired.
    """
    if one.conversion_unique_id:
        return [numbered[one.conversion_unique_id]] if one.conversion_unique_id in numbered else []
    if len(began) == 1:
        return [*began]
    live = [share for share in began if not _is_late(share, one)]
    return live if len(live) == 1 else [share for share in live if order(share.first) < order(one)]


def _is_late(share: Share, one: AnyStatement) -> bool:
    """Whether it began so long ago that nothing corrects it."""
    return times.to_ms(one.received_at) - _born_ms(share) > CORRECTION_MS


def _born_ms(share: Share) -> int:
    return min(times.to_ms(one.received_at) for one in (*share.heard, *share.barred))


def in_time(share: Share) -> tuple[Share, dict[str, str]]:
    """The share without what is too late, and by receipt why that is."""
    every = [*share.heard, *share.barred, *share.adjustments, *share.unclear]
    late = _late(every, _born_ms(share))
    if not late:
        return share, late
    kept = {
        name: [one for one in getattr(share, name) if one.receipt_id not in late]
        for name in ("heard", "barred", "adjustments", "unclear")
    }
    return msgspec.structs.replace(share, **kept), late


def keep_in_time(group: Group) -> dict[str, str]:
    """The conversion has no more say of what is too late for it; by receipt why that is."""
    every = [*group.statements, *group.shown, *group.adjustments]
    late = _late(every, times.to_ms(group.opened[0]))
    if late:
        group.statements = [one for one in group.statements if one.receipt_id not in late]
        group.shown = [one for one in group.shown if one.receipt_id not in late]
        group.adjustments = [one for one in group.adjustments if one.receipt_id not in late]
    return late


def _late(statements: Iterable[AnyStatement], born_ms: int) -> dict[str, str]:
    return {
        one.receipt_id: why
        for one in statements
        if (why := too_late(times.to_ms(one.received_at), born_ms, born_ms))
    }
