"""What a person does again: with a derived identifier a once goal counts once for each credited click.

The same person has the same identifier for ever. So statements are shared out by the click that each is
credited to, and each share is decided as if it were alone:

1. An order number goes where its first statement goes, with permission if one has it.
2. What has no number goes to its own click.
3. What the network states without a number goes to the only share, else to the one that began before it;
   where several did, it could mean any of them.
4. A statement that was received more than the correction window after the first of its share is too late.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from schemas import times
from schemas.facts import Adjustment
from streams import expiry
from streams.grouping import Group
from streams.merge import AnyStatement, order

NOBODYS: Final = ""  # of what no click is known yet

ClickOf = Callable[[AnyStatement], str]
"""The receipt of the visit that a statement is credited to, NOBODYS where there is none."""


class Share(msgspec.Struct, kw_only=True):
    """What is decided together, in the order of receipt.

    click: the receipt of the visit that it is credited to. heard: what has permission. barred: what has none.
    adjustments: what the network states of it. unclear: the same, where it could mean other shares as well.
    """

    click: str = NOBODYS
    heard: Sequence[AnyStatement] = ()
    barred: Sequence[AnyStatement] = ()
    adjustments: Sequence[Adjustment] = ()
    unclear: Sequence[Adjustment] = ()

    @property
    def first(self) -> AnyStatement:
        """What opens it: with permission if anything has it."""
        return (self.heard or self.barred)[0]


def shares(whole: Share, click_of: ClickOf) -> list[Share]:
    """The shares of a case, by when they began."""
    homes = _homes([*whole.heard, *whole.barred], click_of)
    found: dict[str, Share] = {}
    for one in [*whole.heard, *whole.barred]:
        click = homes[one.conversion_unique_id] if one.conversion_unique_id else click_of(one)
        found.setdefault(click, Share(click=click, heard=[], barred=[], adjustments=[], unclear=[]))
    for name in ("heard", "barred"):
        for one in getattr(whole, name):
            click = homes[one.conversion_unique_id] if one.conversion_unique_id else click_of(one)
            getattr(found[click], name).append(one)
    began = sorted(found.values(), key=lambda share: order(share.first))
    for one in whole.adjustments:
        _add(began, found, homes, one)
    return began


def _homes(statements: Iterable[AnyStatement], click_of: ClickOf) -> dict[str, str]:
    """By order number the click of its first statement; what has permission comes first."""
    first: dict[str, AnyStatement] = {}
    for one in statements:
        if one.conversion_unique_id:
            first.setdefault(one.conversion_unique_id, one)
    return {number: click_of(one) for number, one in first.items()}


def _add(began: Sequence[Share], found: dict[str, Share], homes: dict[str, str], one: Adjustment) -> None:
    if one.conversion_unique_id:
        meant = [found[homes[one.conversion_unique_id]]] if one.conversion_unique_id in homes else []
    else:
        meant = [share for share in began if len(began) == 1 or order(share.first) < order(one)]
    if len(meant) == 1:
        meant[0].adjustments = [*meant[0].adjustments, one]
    elif meant:
        meant[-1].unclear = [*meant[-1].unclear, one]


def in_time(share: Share) -> tuple[Share, dict[str, str]]:
    """The share without what is too late, and by receipt why that is."""
    every = [*share.heard, *share.barred, *share.adjustments, *share.unclear]
    born_ms = min(times.to_ms(one.received_at) for one in (*share.heard, *share.barred))
    late = _late(every, born_ms)
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
        if (why := expiry.too_late(times.to_ms(one.received_at), born_ms, born_ms))
    }
