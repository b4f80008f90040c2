"""Story 15: one click, three orders: three conversions where the goal repeats; else one and two copies."""

from decimal import Decimal

import pytest

from tests.stories.conftest import PAYOUT, World
from tests.stories.stating import clicked, standing, stated

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

ORDERS = ("O-1", "O-2", "O-3")


async def test_three_orders_of_a_goal_that_may_repeat_are_three_conversions(world: World) -> None:
    transaction = await clicked(world)
    for order in ORDERS:
        await stated(world, transaction, goal="refill", offer_id="7", order_id=order, amount="100.00")
    found = await standing(world, transaction, 3)
    assert [(one["conversion_unique_id"], one["status"], one["payout"]) for one in found] == [
        (order, "approved", Decimal(PAYOUT)) for order in ORDERS
    ]


async def test_of_a_goal_that_counts_once_the_first_is_paid_and_two_repeat_it(world: World) -> None:
    transaction = await clicked(world)
    for order in ORDERS:
        await stated(world, transaction, order_id=order, amount="100.00")
    counts, *copies = await standing(world, transaction, 3)
    assert (counts["conversion_unique_id"], counts["status"]) == ("O-1", "approved")
    assert counts["payout"] == Decimal(PAYOUT)
    assert [(one["status"], one["reason"], one["payout"]) for one in copies] == [("rejected", 12, 0)] * 2
    assert {one["duplicate_of"] for one in copies} == {counts["conversion_id"]}
