"""Story 3: the ID is carried in the URL; the shop re-encodes and upper-cases it and adds parameters."""

from decimal import Decimal

import pytest
from playwright.async_api import Page

from tests.stories.conftest import BLOG, PAYOUT, REVENUE, World, approved, buy, follow

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_sale_whose_id_lives_in_the_url_is_one_approved_conversion(
    person: Page, world: World
) -> None:
    await follow(person, world, world.link(url_id="3"))
    kept = await buy(person, world)
    assert kept != kept.lower(), "the shop did not upper-case the ID: this story shows nothing"

    (conversion,) = await world.conversions(kept.lower(), approved(1))

    assert (conversion["affiliate_id"], conversion["url_id"]) == (BLOG, 3)
    assert (conversion["payout"], conversion["revenue"]) == (Decimal(PAYOUT), Decimal(REVENUE))
