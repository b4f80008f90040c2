"""Story 20: somebody tries the integration with `test=1` on the click of the first sale; the sale counts."""

from decimal import Decimal

import pytest

from tests.stories.conftest import PAYOUT, World
from tests.stories.stating import clicked, standing, stated

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]


async def test_a_test_is_shown_and_the_sale_of_the_same_order_is_the_conversion(world: World) -> None:
    transaction = await clicked(world, source="launch")
    await stated(world, transaction, test="1", order_id="T-1", amount="100.00")
    await stated(world, transaction, order_id="T-1", amount="100.00")
    sale, tried = await standing(world, transaction, 2)
    assert (sale["status"], sale["payout"], sale["test"]) == ("approved", Decimal(PAYOUT), False)
    assert (tried["status"], tried["reason"], tried["payout"], tried["test"]) == ("rejected", 22, 0, True)
    (reported,) = world.warehouse.rows(
        "SELECT sum(conversions) AS conversions, sum(payout) AS payout FROM stats WHERE source = 'launch'"
    )
    assert reported == {"conversions": 1, "payout": Decimal(PAYOUT)}
