"""Story 14: the shop approves, rejects returned goods, states another amount: one conversion, its last."""

from decimal import Decimal

import pytest

from tests.stories.conftest import PAYOUT, World
from tests.stories.stating import clicked, standing, stated

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

OWN_ID = "changed-mind-14"


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
    await world.affiliate.wait_until(lambda _: len(told(world)) >= 2, 30.0)
    assert told(world) == ["approved", "rejected"]


def told(world: World) -> list[str]:
    return [call.query["status"] for call in world.affiliate.calls if call.query.get("cid") == OWN_ID]
