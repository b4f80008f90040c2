"""The advertiser's shop: keeps the transaction ID through its pages as shops do, and reports the sale.

The path says how: `/KEEP/TELL/landing`. KEEP is where the ID lives between the pages: `cookie` (the
shop's own), `hidden` (a form field), `url` (re-encoded, upper-cased, among the shop's own parameters),
`none`. TELL joins with `+` what reports the sale: `pixel` and `iframe` (with the ID), `cookiepixel` and
`cookieiframe` (with the offer only, for the edge's cookie), `postback`, `postback2` (sent twice),
`nothing`. On every page `#next` leads on: landing, address, payment, and after the order /thanks.
"""

from html import escape
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from aiohttp import web

from proof.site import Site, page

KEEPS = frozenset({"cookie", "hidden", "url", "none"})
TELLS = frozenset({"pixel", "iframe", "cookiepixel", "cookieiframe", "postback", "postback2", "nothing"})
COOKIE = "shop_tid"
COOKIE_AGE_S = 30 * 86_400
NAME = "Linde & Sons, shoes"
POSTBACK_TIMEOUT_S = 60.0

_NEXT = {"landing": "address", "address": "payment", "payment": "order"}
_TEXTS = {
    "landing": ("Trail shoe Linde", "Light, grippy, repairable. In stock, at your door in two days.", "Buy"),
    "address": ("Where may we send it?", "", "On to payment"),
    "payment": ("How would you like to pay?", "", "Order now"),
}
_FIELDS = {
    "landing": "",
    "address": '<label for="street">Street and number</label><input type="text" id="street" name="street">',
    "payment": '<label for="account">Account</label><input type="text" id="account" name="account">',
}


class Sale(msgspec.Struct, kw_only=True):
    """What the next orders are and how the shop names them to us.

    numbered: whether the shop states its order number. more: further parameters, such as security_token, of
    postbacks only.
    """

    offer_id: int
    goal: str = ""
    amount: str = "100.00"
    currency: str = ""
    numbered: bool = True
    more: dict[str, str] = {}


class Order(msgspec.Struct, kw_only=True):
    """A completed order; `verdicts` are the edge's answers to its postbacks as (status, JSON)."""

    number: str
    transaction_id: str
    sale: Sale
    verdicts: list[tuple[int, dict[str, object]]] = []


class Shop(Site):
    """A shop for the time of an `async with`.

    edge_url: the collector that it reports to. sale: what is sold next; change it between orders at will.
    orders: what was bought, oldest first.
    """

    def __init__(self, edge_url: str, sale: Sale, port: int = 0) -> None:
        super().__init__(port)
        self.edge_url = edge_url.rstrip("/")
        self.sale = sale
        self.orders: list[Order] = []
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        """The pages."""
        return [
            web.get("/{keep}/{tell}/thanks", self._thanks),
            web.route("*", "/{keep}/{tell}/order", self._order),
            web.route("*", "/{keep}/{tell}/{step}", self._page),
        ]

    async def opened(self) -> None:
        """The shop's server can call the edge."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POSTBACK_TIMEOUT_S))

    async def closing(self) -> None:
        """The shop's server calls nobody any more."""
        if self._session is not None:
            await self._session.close()

    async def _page(self, request: web.Request) -> web.Response:
        keep, _ = _variant(request)
        step = request.match_info["step"]
        if step not in _NEXT:
            raise web.HTTPNotFound(text=f"no page {step}")
        transaction_id = await _kept(request, keep)
        title, text, label = _TEXTS[step]
        answer = page(NAME, title, f"<p>{text}</p>" + _onward(keep, step, label, transaction_id))
        if keep == "cookie" and step == "landing" and transaction_id:
            answer.set_cookie(COOKIE, transaction_id, max_age=COOKIE_AGE_S, httponly=True, samesite="Lax")
        return answer

    async def _order(self, request: web.Request) -> web.Response:
        keep, tells = _variant(request)
        transaction_id = await _kept(request, keep)
        number = f"LS-{self.port}-{len(self.orders) + 1}"
        order = Order(number=number, transaction_id=transaction_id, sale=msgspec.structs.replace(self.sale))
        self.orders.append(order)
        for _ in range(2 if "postback2" in tells else 1 if "postback" in tells else 0):
            order.verdicts.append(await self._postback(order))
        raise web.HTTPSeeOther(f"thanks?order={quote(number)}")

    async def _postback(self, order: Order) -> tuple[int, dict[str, object]]:
        assert self._session is not None  # noqa: S101  a request is being answered, so the site is open
        query = urlencode(_statement(order, order.transaction_id) | order.sale.more)
        async with self._session.get(f"{self.edge_url}/postback?{query}") as answer:
            return answer.status, await answer.json(content_type=None)

    async def _thanks(self, request: web.Request) -> web.Response:
        _, tells = _variant(request)
        number = request.query.get("order", "")
        order = next((order for order in self.orders if order.number == number), None)
        if order is None:
            raise web.HTTPNotFound(text="no such order")
        body = f'<p>Your order has the number <strong id="order">{escape(number)}</strong>.</p>'
        body += "".join(self._tag(tell, order) for tell in sorted(tells))
        return page(NAME, "Thank you!", body)

    def _tag(self, tell: str, order: Order) -> str:
        """The HTML by which the thank-you page reports; empty where the server does."""
        transaction_id = "" if tell.startswith("cookie") else order.transaction_id
        kind = tell.removeprefix("cookie")
        source = escape(f"{self.edge_url}/{kind}?{urlencode(_statement(order, transaction_id))}")
        if kind == "pixel":
            return f'<img id="{tell}" src="{source}" width="1" height="1" alt="">'
        if kind == "iframe":
            return f'<iframe id="{tell}" src="{source}" width="1" height="1" title=""></iframe>'
        return ""


def _variant(request: web.Request) -> tuple[str, frozenset[str]]:
    keep = request.match_info["keep"]
    tells = frozenset(request.match_info["tell"].split("+"))
    if keep not in KEEPS or not tells <= TELLS:
        raise web.HTTPNotFound(text=f"no such shop: /{keep}/{'+'.join(sorted(tells))}")
    return keep, tells


async def _kept(request: web.Request, keep: str) -> str:
    """The transaction ID as the shop finds it on this request: on the landing page in its address."""
    arrived = request.query.get("tid", "")
    if keep == "cookie":
        return arrived or request.cookies.get(COOKIE, "")
    if keep == "hidden" and request.method == "POST":
        return str((await request.post()).get("tid", ""))
    return arrived


def _onward(keep: str, step: str, label: str, transaction_id: str) -> str:
    """The page's form or link to the next page; `#next` in every variant."""
    onward, fields = _NEXT[step], _FIELDS[step]
    if keep == "url":
        # As found in the wild: a template that encodes each character, a shop system that upper-cases.
        encoded = "".join(f"%{ord(character):02X}" for character in transaction_id.upper())
        href = f"{onward}?ref=%E2%9C%93&tid={encoded}&utm_campaign=Herbst%2FSchuhe&step={step}"
        return f'{fields}<a id="next" class="button" href="{escape(href)}">{label}</a>'
    hidden = f'<input type="hidden" name="tid" value="{escape(transaction_id)}">' if keep == "hidden" else ""
    return f'<form method="post" action="{onward}">{fields}{hidden}<button id="next">{label}</button></form>'


def _statement(order: Order, transaction_id: str) -> dict[str, str]:
    sale = order.sale
    stated = {
        "transaction_id": transaction_id,
        "offer_id": str(sale.offer_id) if sale.offer_id else "",
        "goal_id": sale.goal,
        "amount": sale.amount,
        "currency": sale.currency,
        "conversion_unique_id": order.number if sale.numbered else "",
    }
    return {name: value for name, value in stated.items() if value}
