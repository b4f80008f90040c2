"""What `adjust --dry-run` forecasts of judged histories is what the rules decide, or is said to be open."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from console.adjust_file import Line
from console.adjust_plan import Defaults, Effect, Plan
from console.adjust_rows import Known, Row
from schemas import adjustments
from schemas.decisions import Conversion
from schemas.facts import Adjustment, AnyFact
from streams.rules.decide import decide_transaction
from tests.streams import facts_of_a_shop as shop
from tests.streams.judged import Judged, histories

HISTORIES = [each for each in histories() if not each.late]
SAYS: list[dict[str, str]] = [
    {"status": "approved"},
    {"status": "pending"},
    {"status": "rejected"},
    {"payout": "7.00"},
    {"amount": "100"},
    {"amount": "100", "currency": "USD", "status": "approved"},
    {"revenue": "0", "status": "approved"},
    {"action": "release"},
    {"action": "create", "amount": "10"},
]


def rows(facts: list[AnyFact], judged: Judged) -> dict[str, Row]:
    """By conversion ID, as ClickHouse shows them."""
    received = {fact.receipt_id: datetime.fromisoformat(fact.received_at) for fact in facts}
    return {
        one.conversion_id: _row(one, goal, facts[0].transaction_id, received)
        for bundle in judged.bundles(facts)
        for goal, case in decide_transaction(bundle, shop.history(*judged.catalogs)).cases.items()
        for one in case
    }


def _row(one: Conversion, goal: int, transaction_id: str, received: dict[str, datetime]) -> Row:
    fields: dict[str, Any] = msgspec.structs.asdict(one) | {
        "goal_id": goal,
        "transaction_id": transaction_id,
        "reported_at": min(received[each] for each in one.receipts),
        "adjusted_at": one.adjusted_at and datetime.fromisoformat(one.adjusted_at),
    }
    return Row(**{name: fields[name] for name in Row.__struct_fields__})


def an_hour_after(facts: list[AnyFact]) -> int:
    """In ms of the shop's time, as `at` takes them."""
    last = max(datetime.fromisoformat(fact.received_at) for fact in facts)
    return (last - datetime.fromisoformat(shop.at(0))) // timedelta(milliseconds=1) + 60 * 60_000


def stated(sent: dict[str, str], offset_ms: int) -> Adjustment:
    """The fact that an edge makes of it."""
    said = adjustments.read(sent)
    return shop.adjustment(
        90,
        offset_ms,
        transaction_id=said.transaction_id,
        goal_id=int(said.goal or 0),
        conversion_unique_id=said.conversion_unique_id,
        action=said.action,
        status=said.status,
        sale_amount=said.amount,
        sale_currency=said.currency,
        payout=said.payout,
        revenue=said.revenue,
        test=said.test,
    )


def lines(before: dict[str, Row]) -> Iterator[dict[str, str]]:
    for name in before:
        for says in SAYS:
            yield {"conversion_id": name, **says}


@pytest.mark.parametrize("judged", HISTORIES, ids=lambda judged: judged.title)
def test_a_forecast_comes_true(judged: Judged) -> None:
    facts = judged.facts()
    before = rows(facts, judged)
    offset_ms = an_hour_after(facts)
    defaults = Defaults(by="Anna", at=datetime.fromisoformat(shop.at(offset_ms)))
    for texts in lines(before):
        known = Known()
        for row in before.values():
            known.add(msgspec.structs.replace(row))
        (effect,) = Plan(known, shop.history(*judged.catalogs), defaults).effects(
            [Line(number=2, texts=texts)]
        )
        after = rows([*facts, stated(effect.sent, offset_ms)], judged) if effect.sent else before
        assert _told(effect, before, after) == effect, texts


def _told(effect: Effect, before: dict[str, Row], after: dict[str, Row]) -> Effect:
    """The forecast as it came out; what is open is any."""
    name = effect.conversion_id
    if effect.is_open or not name:
        return effect
    was, now = before[name], after[name]
    differ = {
        side: getattr(now, side) - getattr(was, side)
        for side in ("payout", "revenue")
        if getattr(now, side) != getattr(was, side)
    }
    assert {each.side: each.by for each in effect.amounts} == differ
    return msgspec.structs.replace(effect, before=was.status, after=now.status)


def test_the_comparison_sees_what_did_not_come_true() -> None:
    judged = HISTORIES[0]
    before = rows(judged.facts(), judged)
    (name,) = before
    promised = Effect(number=2, kind="changes", told="", conversion_id=name, after="rejected")
    assert _told(promised, before, before) != promised
    assert before[name].payout == Decimal(4)
