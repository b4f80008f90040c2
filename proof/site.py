"""A small web site on loopback that remembers what it was asked: the ground of shop and tracker."""

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 34rem; padding: 2.5rem 1.25rem; font: 1rem/1.55 system-ui, sans-serif;
       color: #1c2430; background: #fafaf8; }}
header {{ color: #667; font-size: .9rem; letter-spacing: .04em; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: .4rem 0 1rem; }}
label {{ display: block; margin: .9rem 0 .2rem; }}
input[type=text] {{ width: 100%; box-sizing: border-box; padding: .5rem; font: inherit;
                    border: 1px solid #b8bec8; border-radius: .3rem; }}
button, a.button {{ display: inline-block; margin-top: 1.4rem; padding: .6rem 1.2rem; font: inherit;
                    border: 0; border-radius: .3rem; background: #1c5d99; color: #fff;
                    text-decoration: none; cursor: pointer; }}
iframe {{ border: 0; }}
</style>
</head>
<body>
<header>{site}</header>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def page(site: str, title: str, body: str) -> web.Response:
    """A page; `body` is HTML."""
    return web.Response(text=_PAGE.format(site=site, title=title, body=body), content_type="text/html")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came in; `at_s` is Unix time."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    cookies: dict[str, str]
    at_s: float


class Site(ABC):
    """A site on 127.0.0.1 for the time of an `async with`; subclasses add routes.

    port: where it listens; 0 takes a free one. seen: every request, oldest first, at most `remembers`.
    """

    remembers = 1_000_000

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.seen: list[Seen] = []
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """What the site answers."""

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """An address of the site; to a browser `shop.localhost` is another site on the same loopback."""
        return f"http://{host}:{self.port}{path}"

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._memory()])
        application.add_routes(self.routes())
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        await self.opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.closing()
        if self._runner is not None:
            await self._runner.cleanup()

    async def opened(self) -> None:  # noqa: B027  a hook: most need nothing
        """Called once the site listens."""

    async def closing(self) -> None:  # noqa: B027  a hook, as above
        """Called before the site stops listening."""

    def _memory(self) -> Middleware:
        @web.middleware
        async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
            if len(self.seen) < self.remembers:
                self.seen.append(_seen(request))
            return await handler(request)

        return remember


def _seen(request: web.Request) -> Seen:
    return Seen(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers=dict(request.headers),
        cookies=dict(request.cookies),
        at_s=time.time(),
    )
