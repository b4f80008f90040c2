"""Story 19: an affiliate's own percentage, gold partners' in Germany, a basket in euro, paid in dollars."""

from decimal import Decimal

import pytest

from tests.stories.conftest import BLOG, World
from tests.stories.stating import clicked, standing, stated

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

ITS_OWN, GOLD = "43", "44"


@pytest.mark.parametrize(
    ("affiliate", "country", "rule", "payout"),
    [
        (str(BLOG), "DE", "goal", "8.80"),
        (ITS_OWN, "DE", "terms[0]", "9.90"),
        (GOLD, "DE", "terms[1]", "11.00"),
        (GOLD, "FR", "goal", "8.80"),
    ],
)
async def test_the_row_names_the_price_and_the_rate(
    world: World, affiliate: str, country: str, rule: str, payout: str
) -> None:
    transaction = await clicked(world, country, offer_id="19", aff_id=affiliate)
    await stated(world, transaction, amount="100.00", currency="EUR")
    (sale,) = await standing(world, transaction, 1)
    assert (sale["status"], sale["country_code"], sale["payout_rule"]) == ("approved", country, rule)
    assert (sale["payout"], sale["payout_currency"], sale["payout_rate"]) == (
        Decimal(payout),
        "USD",
        Decimal("1.1"),
    )
    assert (sale["revenue"], sale["revenue_rule"]) == (Decimal("11.00"), "goal")
