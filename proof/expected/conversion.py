"""A conversion whole: what was said of it, put together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from proof.expected import book, names
from proof.expected.book import Catalogs
from proof.expected.identity import Group
from proof.expected.merge import made_by, merged, stated_offer
from proof.expected.money import ZERO, sale, side_of
from proof.expected.status import Scene, status_of
from proof.expected.words import Expected, Heard
from schemas.reasons import Reason


class Told(NamedTuple):
    """What is decided together: an affiliate's order, or one statement without a number; else everything."""

    transaction_id: str
    order: str
    catalogs: Catalogs


def conversion(told: Told, group: Group, groups: Sequence[Group], *, once: bool) -> Expected:
    """The conversion that a group is, among the others of its case."""
    speaking = merged(group)
    maker = made_by(speaking)
    visit = maker.visit
    version, catalog = book.in_force(told.catalogs, visit, maker.said)
    offer_id = visit.offer_id if visit else stated_offer(_reports(group) or group.said)
    goal = book.goal_in(book.offer_in(catalog, offer_id), maker.goal_id)
    sides = [side_of(side, speaking, maker, goal, catalog) for side in ("payout", "revenue")]
    scene = Scene(
        catalogs=told.catalogs,
        group=group,
        speaking=speaking,
        made_by=maker,
        visit=visit,
        lacking=next((side.lacking for side in sides if side.lacking), 0),
        needs_number=told.transaction_id.startswith("a") and not group.number,
    )
    status, reason = status_of(scene)
    is_owed = status == "approved" and not maker.said.test
    amount, currency = sale(speaking, goal)
    return Expected(
        **_shown(group),
        **_named(told, group, maker, once=once),
        goal_id=maker.goal_id,
        number=group.number,
        status=status,
        reason=int(reason),
        duplicate_of=_repeated(told, groups, once=once) if reason == Reason.DUPLICATE_CONVERSION else "",
        test=maker.said.test,
        offer_id=offer_id,
        affiliate_id=visit.affiliate_id if visit else 0,
        credited_by=visit.kind if visit else "",
        visit=visit.receipt if visit else "",
        is_before=visit is not None and maker.said.occurred_ms < visit.occurred_ms,
        occurred_ms=maker.said.occurred_ms,
        received_ms=maker.said.received_ms,
        payout=sides[0].owed if is_owed else ZERO,
        revenue=sides[1].owed if is_owed else ZERO,
        payout_currency=sides[0].currency,
        revenue_currency=sides[1].currency,
        nominal=(sides[0].nominal, sides[1].nominal),
        rules=(sides[0].rule, sides[1].rule),
        rates=(sides[0].rate, sides[1].rate),
        amount=amount or ZERO,
        currency=currency,
        version=version,
    )


def _reports(group: Group) -> list[Heard]:
    return [one for one in group.said if one.is_report]


def _shown(group: Group) -> dict[str, Any]:
    """All that speaks of it, whether it has a say or none."""
    every = [one.said for one in sorted([*group.said, *group.beside], key=lambda one: one.age)]
    own = [one for one in every if one.kind == "adjustment"]
    return {
        "receipts": tuple(sorted(one.receipt for one in every)),
        "observations": len(every),
        "kinds": tuple(sorted({one.kind for one in every})),
        "adjusted": (own[-1].by, own[-1].why) if own else ("", ""),
    }


def _named(told: Told, group: Group, maker: Heard, *, once: bool) -> dict[str, Any]:
    """Its name, what it absorbs, and its case: a person's is of a click, before it is known of a receipt."""
    receipts = _shown(group)["receipts"]
    of_click = maker.visit.receipt if maker.visit else receipts[0]
    return {
        "name": names.name_of(told.transaction_id, group, maker, once=once),
        "absorbs": names.absorbed(told.transaction_id, group, once=once),
        "case": of_click if told.transaction_id.startswith("d") else told.order,
    }


def _repeated(told: Told, groups: Sequence[Group], *, once: bool) -> str:
    """The name of the one that counts."""
    counting = next(group for group in groups if group.counts)
    return names.name_of(told.transaction_id, counting, made_by(merged(counting)), once=once)
