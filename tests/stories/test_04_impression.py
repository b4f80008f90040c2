"""Story 4: a person sees an ad, does not click, comes to the shop later in the same browser, and buys."""

import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from proof.shop import Sale
from schemas.facts import Impression
from tests.conftest import CHROMIUM
from tests.stories.conftest import BLOG, CHROMIUM_FLAGS, PATIENCE_MS, PAYOUT, REVENUE, World, follow
from tests.stories.stating import shipped, stated, verdict

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

ADS = 24
LETS_COOKIES_THROUGH = {"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": False}}
BY_HTTPS = {"X-Forwarded-Proto": "https"}  # as a proxy before the collector says; loopback is one here


@pytest_asyncio.fixture(loop_scope="session")
async def viewer(tmp_path: Path) -> AsyncIterator[Page]:
    """A person whose browser sends third-party cookies, at an edge that is reached by https."""
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(LETS_COOKIES_THROUGH))
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path,
            executable_path=CHROMIUM,
            args=CHROMIUM_FLAGS,
            extra_http_headers=BY_HTTPS,
            timeout=PATIENCE_MS,
        )
        context.set_default_timeout(PATIENCE_MS)
        yield await context.new_page()
        await context.close()


@pytest.fixture
def shop(world: World) -> Iterator[World]:
    """The world, whose shop sells what the ads show, and whose pages name the edge as browsers do."""
    before = world.shop.sale, world.shop.edge_url
    world.shop.sale, world.shop.edge_url = Sale(offer_id=ADS), world.edge
    yield world
    world.shop.sale, world.shop.edge_url = before


@pytest.mark.browser
async def test_a_sale_after_an_ad_that_was_only_seen_is_a_view_through_conversion(
    viewer: Page, shop: World
) -> None:
    seen = await sees(viewer, shop, "seen")
    order = await buys(viewer, shop)

    row = await verdict(shop, seen["transaction_id"], "approved", 0)
    assert (row["credited_by"], row["click_receipt_id"]) == ("impression", seen["receipt_id"])
    assert (row["affiliate_id"], row["aff_sub"], row["conversion_unique_id"]) == (BLOG, "seen", order)
    assert (row["payout"], row["revenue"]) == (Decimal(PAYOUT), Decimal(REVENUE))
    assert (row["observed_by"], row["clicked_at"]) == (["pixel"], seen["occurred_at"])


@pytest.mark.browser
async def test_with_a_click_between_ad_and_sale_the_click_gets_it(viewer: Page, shop: World) -> None:
    seen = await sees(viewer, shop, "seen-first")
    await follow(viewer, shop, shop.link(offer_id=str(ADS), aff_sub="then-clicked"))
    order = await buys(viewer, shop)

    (row,) = await shop.warehouse.until(
        lambda rows: [row["status"] for row in rows] == ["approved"],
        "SELECT * FROM conversions WHERE conversion_unique_id = {order:String}",
        order=order,
    )
    assert (row["credited_by"], row["aff_sub"]) == ("click", "then-clicked")
    assert row["transaction_id"] != seen["transaction_id"]
    assert await shop.conversions(seen["transaction_id"], lambda _: True) == []


@pytest.mark.browser
async def test_where_the_browser_keeps_the_cookie_back_nobody_is_credited(person: Page, shop: World) -> None:
    await sees(person, shop, "kept-back")
    order = await buys(person, shop)

    refused = await shop.warehouse.until(
        bool,
        "SELECT * FROM refusals WHERE path = '/pixel' AND query LIKE {order:String}",
        order=f"%{order}%",
    )
    assert {row["detail"] for row in refused} == {"the transaction ID is missing"}
    by_order = "SELECT * FROM conversions WHERE conversion_unique_id = {order:String}"
    assert shop.warehouse.rows(by_order, order=order) == []


@pytest.mark.parametrize(
    ("age_s", "status", "reason", "told"),
    [
        (86_400 - 600, "approved", 0, ""),
        (86_400 + 7_200, "rejected", 208, "after the view window: 1 d 2 h, allowed 1 d"),
    ],
)
async def test_only_inside_the_view_window(
    world: World, age_s: int, status: str, reason: int, told: str
) -> None:
    transaction = await shipped(world, Impression, age_s)
    await stated(world, transaction, amount="100.00")

    row = await verdict(world, transaction, status, reason)
    assert (row["credited_by"], row["reason_detail"]) == ("impression", told)
    assert row["payout"] == (Decimal(PAYOUT) if status == "approved" else 0)


async def sees(person: Page, world: World, word: str) -> dict[str, object]:
    """The person reads the blog, where the ad is shown; the impression as it is stored."""
    shown = {"offer_id": ADS, "aff_id": BLOG, "aff_sub": word}
    banner = f"{world.edge}/impression?{urlencode(shown)}"
    await person.goto(world.affiliate.url(f"/blog?{urlencode({'banner': banner})}", "blog.localhost"))
    await person.wait_for_load_state("networkidle")
    (seen,) = await world.warehouse.until(
        bool, "SELECT * FROM impressions WHERE aff_sub = {word:String}", word=word
    )
    return seen


async def buys(person: Page, world: World) -> str:
    """The person comes to the shop by itself, and orders; the order's number."""
    await person.goto(world.shop.url("/none/cookiepixel/landing", "shop.localhost"))
    for _ in range(3):
        await person.click("#next")
    await person.wait_for_selector("#order")
    await person.wait_for_load_state("networkidle")
    return await person.inner_text("#order")
