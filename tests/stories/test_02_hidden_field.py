"""Story 2: the shop keeps the ID as a hidden form field through a three-page form."""

from decimal import Decimal

import pytest
from playwright.async_api import Page

from tests.stories.conftest import BLOG, PAYOUT, REVENUE, World, approved, buy, follow

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_sale_whose_id_lives_in_a_form_is_one_approved_conversion(person: Page, world: World) -> None:
    await follow(person, world, world.link(url_id="2"))
    assert await person.locator("input[type=hidden][name=tid]").count() == 1
    transaction_id = await buy(person, world)

    (conversion,) = await world.conversions(transaction_id, approved(1))

    assert (conversion["affiliate_id"], conversion["url_id"]) == (BLOG, 2)
    assert (conversion["payout"], conversion["revenue"]) == (Decimal(PAYOUT), Decimal(REVENUE))
    assert [cookie for cookie in await person.context.cookies() if cookie["name"] == "shop_tid"] == []
