"""Story 7: image pixel and iframe, two postbacks and a reload: one conversion, its money once."""

from decimal import Decimal

import pytest
from playwright.async_api import Page

from tests.stories.conftest import PAYOUT, REVENUE, World, approved, buy, follow

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_what_is_reported_six_times_counts_once(person: Page, world: World) -> None:
    await follow(person, world, world.link(url_id="7", source="dual"))
    transaction_id = await buy(person, world)
    await person.wait_for_load_state("networkidle")
    await person.reload()
    await person.wait_for_load_state("networkidle")

    (conversion,) = await world.conversions(transaction_id, approved(6))

    assert conversion["observed_by"] == ["iframe", "pixel", "postback"]
    assert (conversion["payout"], conversion["revenue"]) == (Decimal(PAYOUT), Decimal(REVENUE))
    rows = world.warehouse.rows
    received = rows("SELECT kind FROM observations WHERE transaction_id = {t:String}", t=transaction_id)
    assert sorted(row["kind"] for row in received) == ["iframe"] * 2 + ["pixel"] * 2 + ["postback"] * 2
    in_report = rows(
        "SELECT sum(payout) AS payout, sum(conversions) AS conversions FROM stats WHERE source = 'dual'"
    )
    assert in_report == [{"payout": Decimal(PAYOUT), "conversions": 1}]
