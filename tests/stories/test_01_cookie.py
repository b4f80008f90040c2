"""Story 1: the shop keeps the ID in a cookie of its own; two pages later its server posts back."""

from decimal import Decimal

import pytest
from playwright.async_api import Page

from tests.stories.conftest import BLOG, OFFER, PAYOUT, REVENUE, World, approved, buy, follow

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_sale_whose_id_lives_in_a_cookie_is_one_approved_conversion(
    person: Page, world: World
) -> None:
    await follow(person, world, world.link(aff_sub="autumn"))
    transaction_id = await buy(person, world)

    (conversion,) = await world.conversions(transaction_id, approved(1))

    assert conversion["offer_id"] == OFFER
    assert conversion["affiliate_id"] == BLOG
    assert conversion["credited_by"] == "click"
    assert conversion["aff_sub"] == "autumn"
    assert conversion["observed_by"] == ["postback"]
    assert (conversion["payout"], conversion["payout_currency"]) == (Decimal(PAYOUT), "USD")
    assert (conversion["revenue"], conversion["revenue_currency"]) == (Decimal(REVENUE), "USD")
    (cookie,) = [c for c in await person.context.cookies() if c["name"] == "shop_tid"]
    assert cookie["value"] == transaction_id
