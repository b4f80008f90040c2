"""The world of the stories: a stack, a shop, an affiliate with its tracker, and a person with a browser."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from proof.affiliate import Affiliate
from proof.own_stack import OwnStack
from proof.shop import Sale, Shop
from service.clickhouse import ClickHouse
from tests.conftest import CHROMIUM, Warehouse

OFFER, BLOG = 7, 42
PATIENCE_MS = 120_000  # with a browser on a busy machine
CLUB_KEY = "what the club signs with, kept in a file"
PAYOUT, REVENUE = "8.00", "10.00"  # 8 % and 10 % of the shop's basket of 100.00
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CATALOG = """
[network]
time_zone = "Europe/Berlin"
default_url = "{shop}/none/nothing/landing"
rates = [{{ from = "EUR", to = "USD", rate = "1.10", since = "2026-01-01" }}]

[[advertisers]]
id = 1
name = "Linde & Sons"
time_zone = "Europe/Berlin"

[[affiliates]]
id = 42
name = "Running Blog"
status = "active"

[[affiliates.postbacks]]
url = "{tracker}/cb?cid={{aff_click_id}}&sum={{payout}}&status={{status}}"
on = ["approved", "rejected"]

[[affiliates]]
id = 43
name = "Its own percentage"

[[affiliates]]
id = 44
name = "A gold partner"
tier = "gold"

[[affiliates]]
id = 45
name = "Wants each amount"

[[affiliates.postbacks]]
url = "{tracker}/cb?cid={{aff_click_id}}&sum={{payout}}&status={{status}}"
on = ["approved"]
amounts = true

[[offers]]
id = 19
advertiser_id = 1
name = "Other prices"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}"
proof = "none"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"
terms = [
    {{ affiliate = 43, payout = {{ percent = "9" }} }},
    {{ tier = "gold", country = ["DE", "AT"], payout = {{ percent = "10" }} }},
]

[[offers]]
id = 7
advertiser_id = 1
name = "Shoes"
status = "active"
url = "{shop}/cookie/postback/landing?tid={{transaction_id}}&s={{aff_sub}}"
landing_pages = [
    {{ id = 2, url = "{shop}/hidden/postback/landing?tid={{transaction_id}}" }},
    {{ id = 3, url = "{shop}/url/postback/landing?tid={{transaction_id}}" }},
    {{ id = 7, url = "{shop}/hidden/pixel+iframe+postback2/landing?tid={{transaction_id}}" }},
]
hosts = ["shop.localhost"]
fallback_url = "{shop}/none/nothing/landing"
affiliates = "all"
tracking = ["postback", "iframe", "pixel"]

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers.goals]]
id = 70
name = "refill"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"
repeat = "many"

[[advertisers]]
id = 2
name = "Club"
postback = {{ keys = [{{ id = "k1", secret = "file:{secret}" }}], token = "the club's own static token" }}

[[offers]]
id = 20
advertiser_id = 2
name = "By e-mail address"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}&s={{aff_sub}}"
hosts = ["shop.localhost"]
identifier = {{ derived = ["email"] }}
proof = "none"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers]]
id = 21
advertiser_id = 2
name = "By name and address"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}&s={{aff_sub}}"
hosts = ["shop.localhost"]
identifier = {{ derived = ["user_name", "ip"] }}
proof = "none"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers]]
id = 22
advertiser_id = 2
name = "By affiliate"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}&s={{aff_sub}}"
hosts = ["shop.localhost"]
identifier = "affiliate"
proof = "none"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers]]
id = 23
advertiser_id = 2
name = "Proven"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}&s={{aff_sub}}"
hosts = ["shop.localhost"]
identifier = "random"
proof = "signature"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers]]
id = 24
advertiser_id = 1
name = "Seen ads"
url = "{shop}/none/cookiepixel/landing?tid={{transaction_id}}"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers]]
id = 25
advertiser_id = 2
name = "By token"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}"
proof = "token"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers]]
id = 26
advertiser_id = 1
name = "To be paused"
status = "active"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}"
fallback_url = "{shop}/none/nothing/landing?paused=1&tid={{transaction_id}}"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"

[[offers]]
id = 27
advertiser_id = 1
name = "Approved by hand"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}"

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"
approval = "manual"

[[offers]]
id = 28
advertiser_id = 1
name = "By postback alone"
url = "{shop}/none/nothing/landing?tid={{transaction_id}}"
tracking = ["postback"]

[[offers.goals]]
id = 0
name = "sale"
payout = {{ percent = "8" }}
revenue = {{ percent = "10" }}
currency = "USD"
"""


class World(msgspec.Struct):
    """Everybody who takes part; `edge` is the collector as a browser names it. catalog: the file in force."""

    stack: OwnStack
    catalog: Path
    shop: Shop
    affiliate: Affiliate
    warehouse: Warehouse
    http: aiohttp.ClientSession

    @property
    def edge(self) -> str:
        return self.stack.addresses.collector.replace("127.0.0.1", "edge.localhost")

    def link(self, **more: str) -> str:
        """A tracking link of the blog."""
        return f"{self.edge}/click?{urlencode({'offer_id': OFFER, 'aff_id': BLOG, **more})}"

    async def conversions(self, transaction_id: str, settled: Callable[[list[dict[str, Any]]], bool]) -> Any:
        return await self.warehouse.until(
            settled,
            "SELECT * FROM conversions WHERE transaction_id = {tid:String}",
            tid=transaction_id,
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(
    own_stack: Callable[[Path | None], OwnStack], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with (
        Affiliate() as affiliate,
        Shop("", Sale(offer_id=OFFER)) as shop,
        aiohttp.ClientSession() as http,
    ):
        catalog = tmp_path_factory.mktemp("catalog") / "catalog.toml"
        (secret := catalog.with_name("club.key")).write_text(CLUB_KEY)
        addresses = {"shop": shop.url("", "shop.localhost"), "tracker": affiliate.url("")}
        catalog.write_text(CATALOG.format(**addresses, secret=secret), "utf-8")
        stack = own_stack(catalog)
        shop.edge_url = stack.addresses.collector
        yield World(stack, catalog, shop, affiliate, Warehouse(ClickHouse(stack.settings)), http)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_FLAGS, timeout=PATIENCE_MS
        )
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def person(browser: Browser) -> AsyncIterator[Page]:
    """A person who has never been here: a fresh browser profile."""
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield await context.new_page()
    await context.close()


async def follow(person: Page, world: World, link: str) -> None:
    """The person reads the affiliate's blog and follows its link to the shop."""
    await person.goto(world.affiliate.url(f"/blog?{urlencode({'link': link})}", "blog.localhost"))
    await person.click("#link")
    await person.wait_for_url("**/landing*")


async def buy(person: Page, world: World) -> str:
    """The person goes through the shop's pages and orders; the transaction ID that the shop kept."""
    for _ in range(3):
        await person.click("#next")
    await person.wait_for_selector("#order")
    number = await person.inner_text("#order")
    (order,) = [order for order in world.shop.orders if order.number == number]
    return order.transaction_id


def approved(observations: int) -> Callable[[list[dict[str, Any]]], bool]:
    """One approved conversion with that many observations."""

    def holds(rows: list[dict[str, Any]]) -> bool:
        return len(rows) == 1 and rows[0]["status"] == "approved" and rows[0]["observations"] == observations

    return holds
