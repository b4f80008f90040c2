"""Story 10: the shop knows only which affiliate sent the customer, and its own order number."""

from urllib.parse import urlencode

import pytest

from schemas import shared_id
from tests.stories.conftest import BLOG, OFFER, PAYOUT, World, approved

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

BY_AFFILIATE = 22


async def test_an_order_is_credited_to_the_affiliate_s_last_click(world: World) -> None:
    edge = world.stack.addresses.collector
    for sub in ("earlier", "last"):
        link = urlencode({"offer_id": BY_AFFILIATE, "aff_id": BLOG, "aff_sub": sub})
        async with world.http.get(f"{edge}/click?{link}", allow_redirects=False) as answer:
            assert f"tid={shared_id.affiliate(BY_AFFILIATE, BLOG)}" in answer.headers["Location"]
    for elsewhere in ({"offer_id": BY_AFFILIATE, "aff_id": 43}, {"offer_id": OFFER, "aff_id": BLOG}):
        link = urlencode({**elsewhere, "aff_sub": "of no concern"})
        async with world.http.get(f"{edge}/click?{link}", allow_redirects=False) as answer:
            assert answer.status == 302
    stated = urlencode({"offer_id": BY_AFFILIATE, "aff_id": BLOG, "order_id": "TEN-1", "amount": "100.00"})
    async with world.http.get(f"{edge}/postback?{stated}") as answer:
        assert (answer.status, (await answer.json())["problems"]) == (200, [])
    (row,) = await world.warehouse.until(
        approved(1), "SELECT * FROM conversions WHERE offer_id = {offer:UInt32}", offer=BY_AFFILIATE
    )
    assert (row["transaction_id"], row["conversion_unique_id"]) == (
        shared_id.affiliate(BY_AFFILIATE, BLOG),
        "TEN-1",
    )
    assert (row["affiliate_id"], row["aff_sub"], str(row["payout"])) == (BLOG, "last", PAYOUT + "0000")
