"""Story 14: the shop approves, rejects returned goods, states another amount: one conversion, its last."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from tests.stories.conftest import PAYOUT, World
from tests.stories.stating import clicked, standing, stated

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

OWN_ID, AMOUNTS_ID = "changed-mind-14", "each-amount-14"
WANTS_AMOUNTS = "45"


async def test_the_last_status_and_amount_of_an_order_stand_and_are_told(world: World) -> None:
    transaction = await clicked(world, aff_click_id=OWN_ID)
    of_order = {"order_id": "M-1", "amount": "100.00"}

    await stated(world, transaction, **of_order, status="approved")
    (first,) = await standing(world, transaction, 1)
    await stated(world, transaction, **of_order, status="rejected")
    (returned,) = await standing(world, transaction, 2)
    await stated(world, transaction, order_id="M-1", amount="40.00", status="approved")
    (last,) = await standing(world, transaction, 3)

    assert [(one["status"], one["payout"]) for one in (first, returned, last)] == [
        ("approved", Decimal(PAYOUT)),
        ("rejected", 0),
        ("approved", Decimal("3.20")),
    ]
    assert len({one["conversion_id"] for one in (first, returned, last)}) == 1
    assert (last["sale_amount"], last["observations"]) == (Decimal(40), 3)
    await world.affiliate.wait_until(lambda _: len(told(world, OWN_ID)) >= 3, 120.0)
    assert [call["status"] for call in told(world, OWN_ID)] == ["approved", "rejected", "approved"]


async def test_an_amount_alone_changes_no_status(world: World) -> None:
    transaction = await clicked(world)
    await stated(world, transaction, order_id="M-2", amount="100.00")
    await stated(world, transaction, order_id="M-2", status="rejected")
    await stated(world, transaction, order_id="M-2", amount="40.00")
    (last,) = await standing(world, transaction, 3)
    assert (last["status"], last["reason"], last["sale_amount"]) == ("rejected", 221, Decimal(40))
    assert (last["payout"], last["payout_nominal"]) == (0, Decimal("3.20"))


async def test_who_subscribed_to_amounts_is_told_each(world: World) -> None:
    transaction = await clicked(world, aff_id=WANTS_AMOUNTS, aff_click_id=AMOUNTS_ID)
    for number, amount in enumerate(("100.00", "40.00"), 1):
        await stated(world, transaction, order_id="M-3", amount=amount)
        await standing(world, transaction, number)
    await world.affiliate.wait_until(lambda _: len(told(world, AMOUNTS_ID)) >= 2, 120.0)
    calls = told(world, AMOUNTS_ID)
    assert [(call["status"], call["sum"]) for call in calls] == [("approved", "8.00"), ("approved", "3.20")]


def told(world: World, own_id: str) -> list[Mapping[str, str]]:
    return [call.query for call in world.affiliate.calls if call.query.get("cid") == own_id]
