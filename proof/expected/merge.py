"""Rule 2: what has a say in a conversion, and what of each field the most trusted said last."""

from collections.abc import Sequence

from proof.expected.identity import Group
from proof.expected.words import Heard

UNSTATED = {
    **dict.fromkeys(("amount", "payout", "revenue"), (None,)),
    **dict.fromkeys(("currency", "status"), ("",)),
    "offer_id": (0,),
}


def merged(group: Group) -> list[Heard]:
    """What has a say, the most trusted and latest last."""
    allowed = [one for one in group.said if not one.forbidden]
    if not any(one.is_report for one in allowed):
        allowed = group.said
    return sorted(allowed, key=lambda one: (one.trust, one.age))


def made_by(speaking: Sequence[Heard]) -> Heard:
    """The first observation; of a word of the network's alone that one."""
    return min(speaking, key=lambda one: (not one.is_report, one.age))


def last_of(speaking: Sequence[Heard], field: str) -> object:
    """The last that was stated of a field; None where nothing was."""
    stated = (getattr(one.said, field) for one in reversed(speaking))
    return next(
        (one for one in stated if one is not None and one != "" and (field != "offer_id" or one)), None
    )


def stated_offer(said: Sequence[Heard]) -> int:
    """The offer that is stated while no visit is known; 0 where none is."""
    found = last_of(sorted(said, key=lambda one: (one.trust, one.age)), "offer_id")
    return found if isinstance(found, int) else 0
