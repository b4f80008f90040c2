"""The shop keeps the ID in each way that shops do; the affiliate's sites record what they were told."""

import asyncio
import html
import re
from urllib.parse import urljoin

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from proof.affiliate import Affiliate
from proof.shop import Sale, Shop

ASKED: web.AppKey[list[tuple[str, dict[str, str]]]] = web.AppKey("asked", list)
TID = "06fk3q8y7x0w5v1t2s9r4p6n8m0k3h5g"


@pytest.fixture
async def edge():
    """An edge that accepts everything and remembers what it was asked under ASKED."""
    app = web.Application()
    asked = app[ASKED] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, dict(request.query)))
        return web.json_response({"outcome": "accepted"})

    app.router.add_get("/{path}", answer)
    async with TestServer(app) as server:
        yield server


async def buy(session: aiohttp.ClientSession, url: str) -> str:
    """Follows #next from the landing page to the thank-you page; its HTML."""
    text = await (await session.get(url)).text()
    for _ in range(3):
        link = re.search(r'<a id="next"[^>]*href="([^"]*)"', text)
        if link:
            url = urljoin(url, html.unescape(link[1]))
            answer = await session.get(aiohttp.client.URL(url, encoded=True))
        else:
            form = re.search(r'<form method="post" action="([^"]*)">', text)
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))
            url = urljoin(url, form[1])
            answer = await session.post(url, data=fields)
        text = await answer.text()
    return text


@pytest.mark.parametrize(
    ("keep", "kept"), [("cookie", TID), ("hidden", TID), ("url", TID.upper()), ("none", "")]
)
async def test_the_order_carries_the_id_as_the_shop_kept_it(edge: TestServer, keep: str, kept: str):
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        Shop(str(edge.make_url("")), Sale(offer_id=7)) as shop,
        aiohttp.ClientSession(cookie_jar=jar) as person,
    ):
        await buy(person, shop.url(f"/{keep}/nothing/landing?tid={TID}"))
        assert [order.transaction_id for order in shop.orders] == [kept if keep != "none" else ""]


async def test_each_way_of_telling_reports_the_sale_in_its_own_way(edge: TestServer):
    async with Shop(str(edge.make_url("")), Sale(offer_id=7, amount="9.50", currency="EUR")) as shop:
        async with aiohttp.ClientSession() as person:
            url = shop.url(f"/hidden/pixel+cookieiframe+postback2/landing?tid={TID}")
            thanks = html.unescape(await buy(person, url))
        number = shop.orders[0].number
        sale = {"offer_id": "7", "amount": "9.50", "currency": "EUR", "conversion_unique_id": number}
        assert edge.app[ASKED] == [("/postback", {"transaction_id": TID, **sale})] * 2
        assert shop.orders[0].verdicts == [(200, {"outcome": "accepted"})] * 2
        assert f'<img id="pixel" src="{shop.edge_url}/pixel?transaction_id={TID}&offer_id=7&' in thanks
        assert f'<iframe id="cookieiframe" src="{shop.edge_url}/iframe?offer_id=7&' in thanks


async def test_an_order_without_number_and_with_a_token_is_told_so(edge: TestServer):
    sale = Sale(offer_id=0, goal="lead", amount="", numbered=False, more={"security_token": "s"})
    async with Shop(str(edge.make_url("")), sale) as shop, aiohttp.ClientSession() as person:
        await buy(person, shop.url(f"/hidden/postback/landing?tid={TID}"))
    assert edge.app[ASKED] == [
        ("/postback", {"transaction_id": TID, "goal_id": "lead", "security_token": "s"})
    ]


async def test_a_shop_that_does_not_exist_is_not_found(edge: TestServer):
    async with Shop(str(edge.make_url("")), Sale(offer_id=7)) as shop, aiohttp.ClientSession() as person:
        for path in (
            "/jar/pixel/landing",
            "/cookie/fax/landing",
            "/cookie/pixel/basket",
            "/cookie/pixel/thanks?order=x",
        ):
            assert (await person.get(shop.url(path))).status == 404


async def test_the_tracker_records_each_call_and_answers_as_told():
    async with Affiliate(answers=[500, 503]) as affiliate, aiohttp.ClientSession() as network:
        waiting = asyncio.create_task(affiliate.wait_for_calls(3, timeout_s=60))
        statuses = [(await network.get(affiliate.url("/cb?cid=c1&sum=2.00"))).status for _ in range(3)]
        assert statuses == [500, 503, 200]
        assert [call.query for call in await waiting] == [{"cid": "c1", "sum": "2.00"}] * 3
        assert list(affiliate.repeated().values()) == [3]


async def test_the_blog_shows_the_tracking_link_and_the_banner():
    async with Affiliate() as affiliate, aiohttp.ClientSession() as person:
        blog = aiohttp.client.URL(affiliate.url("/blog")).with_query(
            link="http://t/click?a=1&b=2", banner="http://t/i"
        )
        text = await (await person.get(blog)).text()
        assert 'href="http://t/click?a=1&amp;b=2"' in text
        assert 'src="http://t/i"' in text
        assert (await (await person.get(affiliate.url("/pixel"))).read())[:6] == b"GIF89a"
        assert len(affiliate.pixels) == 1
