"""The affiliate: a blog with the tracking link, and a tracker that our partner postbacks call."""

import asyncio
from collections import Counter
from collections.abc import Callable
from html import escape

from aiohttp import web

from proof.site import Seen, Site, page

GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


class Affiliate(Site):
    """An affiliate's two sites in one.

    `/blog?link=…&banner=…` is a page with a tracking link (`#link`) and, where given, an ad's impression
    pixel; `/pixel` is the affiliate's own pixel, to be shown in our iframe; all under `/cb` is the tracker.

    answers: statuses that the tracker gives to the next calls, in this order; after them 200.
    delay_s: how long the tracker thinks before it answers.
    """

    def __init__(self, port: int = 0, *, answers: list[int] | None = None, delay_s: float = 0.0) -> None:
        super().__init__(port)
        self.answers = answers or []
        self.delay_s = delay_s
        self._called = asyncio.Condition()

    def routes(self) -> list[web.RouteDef]:
        """The blog, the pixel, the tracker."""
        return [
            web.get("/blog", self._blog),
            web.get("/pixel", self._pixel),
            web.get("/cb{rest:.*}", self._call),
            web.post("/cb{rest:.*}", self._call),
        ]

    @property
    def calls(self) -> list[Seen]:
        """What the tracker was told, oldest first, failed calls included."""
        return [seen for seen in self.seen if seen.path.startswith("/cb")]

    @property
    def pixels(self) -> list[Seen]:
        """When the affiliate's own pixel was shown."""
        return [seen for seen in self.seen if seen.path == "/pixel"]

    def repeated(self) -> dict[str, int]:
        """Calls that came more than once, by path and query: empty where each partner call arrived once."""
        counts = Counter(f"{call.path}?{sorted(call.query.items())}" for call in self.calls)
        return {call: count for call, count in counts.items() if count > 1}

    async def wait_for_calls(self, count: int, timeout_s: float = 30.0) -> list[Seen]:
        """The calls, once there are at least `count`; TimeoutError after the deadline."""
        return await self.wait_until(lambda calls: len(calls) >= count, timeout_s)

    async def wait_until(self, settled: Callable[[list[Seen]], bool], timeout_s: float) -> list[Seen]:
        """The calls, once `settled` holds of them; TimeoutError after the deadline."""
        async with asyncio.timeout(timeout_s), self._called:
            await self._called.wait_for(lambda: settled(self.calls))
        return self.calls

    async def _blog(self, request: web.Request) -> web.Response:
        link, banner = request.query.get("link", ""), request.query.get("banner", "")
        body = "<p>Forty kilometres a week, on wet leaves: what held, and what did not.</p>"
        if banner:
            body += f'<p><img id="banner" src="{escape(banner)}" width="1" height="1" alt=""></p>'
        if link:
            body += f'<p><a id="link" class="button" href="{escape(link)}">See it in the shop</a></p>'
        return page("Running Blog", "Eight shoes, one autumn", body)

    async def _pixel(self, _request: web.Request) -> web.Response:
        return web.Response(body=GIF, content_type="image/gif", headers={"Cache-Control": "no-store"})

    async def _call(self, _request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        async with self._called:
            self._called.notify_all()
        await asyncio.sleep(self.delay_s)
        return web.Response(status=status, text="OK" if status < 400 else "try again")  # noqa: PLR2004  HTTP's errors
