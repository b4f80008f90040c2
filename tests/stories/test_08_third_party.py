"""Story 8: the affiliate's own click ID comes back to the affiliate's own tracker."""

import pytest
from playwright.async_api import Page

from tests.stories.conftest import BLOG, PAYOUT, World, approved, buy, follow

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OWN_ID = "blog/2026 11 23&x=1#é"  # what an affiliate's ID may look like, and what must not break the URL


async def test_the_affiliates_tracker_gets_exactly_its_own_id_back(person: Page, world: World) -> None:
    await follow(person, world, world.link(aff_click_id=OWN_ID))
    transaction_id = await buy(person, world)
    (conversion,) = await world.conversions(transaction_id, approved(1))

    def told(rows: list[dict[str, object]]) -> bool:
        return bool(rows)

    (delivery,) = await world.warehouse.until(
        told,
        "SELECT * FROM deliveries WHERE conversion_id = {c:String}",
        c=conversion["conversion_id"],
    )

    assert (delivery["outcome"], delivery["http_status"], delivery["affiliate_id"]) == (
        "delivered",
        200,
        BLOG,
    )
    calls = [call for call in world.affiliate.calls if call.query.get("cid") == OWN_ID]
    assert [call.query for call in calls] == [{"cid": OWN_ID, "sum": PAYOUT, "status": "approved"}]
    assert world.affiliate.pixels == [], "server to server only: no pixel of the affiliate could have fired"
