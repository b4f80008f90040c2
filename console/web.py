"""The command `console`: a read-only web page and API over the reports, the traces and the lag.

On loopback it asks nobody for a token, and answers only to loopback's own names, so that no page of a
stranger can read it through a browser (DNS rebinding). Anywhere else it wants ROUNDTRIP_CONSOLE_TOKEN, as a
bearer token or as the password that a browser asks for.
"""

import argparse
import asyncio
import base64
import binascii
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from console import lag, page, render, report, trace
from console.lag import Lag
from console.lookout import Figures, Lookout
from console.report import Asked
from console.reports import REPORTS
from service import lifetime, settings
from service.clickhouse import ClickHouse
from service.errors import No, Problem, Refused, Unavailable, Unreachable, Usage
from service.health import Health
from service.lifetime import Lifetime
from service.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE: Final = 4  # looks into ClickHouse and Kafka; a page that is reloaded a hundred times waits its turn
LOOK_S: Final = 70.0  # more than a report may take in ClickHouse
MAX_REQUEST_BYTES: Final = 8_192
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Of what a look may end with; any other Problem is a plain no: 404.
STATUS_OF: Final = {Usage: 400, Refused: 400, Unreachable: 503, Unavailable: 503, TimeoutError: 503}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing: it is told everything by ROUNDTRIP_* settings."""
    parser.epilog = "Everything is set by ROUNDTRIP_* variables: docs/settings.md."


def run(_: argparse.Namespace) -> int:
    """The exit code of a console that ran until it was stopped."""
    config = settings.read("console")
    if not config.console_token and not _is_loopback(config.host):
        where = f"ROUNDTRIP_HOST={config.host} is open to others"
        raise Usage(f"{where}: set ROUNDTRIP_CONSOLE_TOKEN, or use 127.0.0.1")
    return lifetime.run("console", config, main)


async def main(life: Lifetime) -> None:
    """Serves until the stop."""
    config = life.settings
    health = Health("console")
    clickhouse = ClickHouse(config)
    health.check("clickhouse", lambda: asyncio.to_thread(_problem_of, clickhouse))
    lookout = Lookout(config, Figures(health.registry))
    health.note("joiner", lookout.note)
    life.spawn(lookout.run(), "lookout")
    console = Console(config, clickhouse, lookout)
    app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[console.guard])
    app.add_routes([*console.routes(), *health.routes()])
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=15.0, shutdown_timeout=1.0)
    await runner.setup()
    life.on_close("pages", runner.cleanup)
    with lifetime.listening(config.host, config.port):
        await web.TCPSite(runner, config.host, config.port).start()
    log.info("the page is at http://%s:%d/", config.host, runner.addresses[0][1])
    await life.wait()


def _problem_of(clickhouse: ClickHouse) -> str:
    try:
        clickhouse.check()
    except Problem as problem:
        return str(problem)
    return ""


class Console:
    """The pages of one process. Every look is made in a thread, a few at once, and has a deadline."""

    def __init__(self, config: Settings, clickhouse: ClickHouse, lookout: Lookout) -> None:
        self._settings = config
        self._clickhouse = clickhouse
        self._lookout = lookout
        self._turns = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """What it answers, beside health."""
        return [
            web.get("/", self._page),
            web.get("/trace", self._trace_page),
            web.get("/style.css", self._style),
            web.get("/api/report", self._listing),
            web.get("/api/report/{name}", self._report),
            web.get("/api/trace/{id}", self._trace),
            web.get("/api/lag", self._lag),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only those who may look; a Problem is an answer, not a trace."""
        if request.path not in ("/healthz", "/readyz") and (refusal := self._refusal(request)):
            return refusal
        try:
            answer = await handler(request)
        except (Problem, Refused, Unavailable, TimeoutError) as error:
            answer = _refused(error)
        answer.headers.update(HEADERS)
        return answer

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not self._settings.console_token:
            name = request.url.host or ""
            return None if _is_loopback(name) else web.Response(status=403, text="ask for 127.0.0.1\n")
        given = _token_of(request).encode(errors="surrogateescape")  # a header may hold any bytes
        if hmac.compare_digest(given, self._settings.console_token.encode()):
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="Roundtrip", charset="UTF-8"'}
        return web.Response(status=401, text="the token is missing or wrong\n", headers=challenge)

    async def _look(self, look: Callable[[], T]) -> T:
        async with asyncio.timeout(LOOK_S), self._turns:
            return await asyncio.to_thread(look)

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=await self._look(self._front), content_type="text/html")

    def _front(self) -> str:
        lags = self._lags()
        asked = [Asked(name=name, limit=page.MOST_ROWS) for name in page.REPORTS]
        reports = [report.answer(each, self._settings, self._clickhouse) for each in asked]
        return page.front(reports, lags)

    def _lags(self) -> list[Lag]:
        return self._lookout.judged(lag.measure(self._settings, time.time()))

    async def _trace_page(self, request: web.Request) -> web.Response:
        asked = request.query.get("id", "")
        try:
            stories = await self._look(lambda: trace.told(asked, self._clickhouse))
        except No as error:
            return web.Response(status=404, text=page.story(asked, str(error)), content_type="text/html")
        return web.Response(text=page.story(asked, trace.text(stories)), content_type="text/html")

    async def _style(self, _request: web.Request) -> web.Response:
        return web.Response(text=page.STYLE, content_type="text/css")

    async def _listing(self, _request: web.Request) -> web.Response:
        return _json([{"name": one.name, "by": one.by, "about": one.about} for one in REPORTS.values()])

    async def _report(self, request: web.Request) -> web.Response:
        asked = _asked(request)
        return _json(
            await self._look(lambda: report.document(report.answer(asked, self._settings, self._clickhouse)))
        )

    async def _trace(self, request: web.Request) -> web.Response:
        return _json(await self._look(lambda: trace.told(request.match_info["id"], self._clickhouse)))

    async def _lag(self, _request: web.Request) -> web.Response:
        lags = await self._look(self._lags)
        well = all(each.verdict == "well" for each in lags)
        return _json({"well": well, "places": [msgspec.structs.asdict(each) for each in lags]})


def _asked(request: web.Request) -> Asked:
    """The command's words as a query: `?from=&to=&by=a,b&where=k=v&where=…&tz=&limit=`."""
    query = request.query
    limit = query.get("limit", str(report.MOST_ROWS))
    if not limit.isascii() or not limit.isdigit() or not 0 < int(limit) <= report.MOST_ROWS:
        raise Usage(f"limit={limit}: a whole number from 1 to {report.MOST_ROWS}")
    return Asked(
        name=request.match_info["name"],
        start=query.get("from", ""),
        end=query.get("to", ""),
        by=tuple(word for word in query.get("by", "").split(",") if word),
        where=tuple(query.getall("where", [])),
        tz=query.get("tz", "UTC"),
        limit=int(limit),
    )


def _json(value: Any) -> web.Response:
    return web.Response(body=render.as_json(value), content_type="application/json")


def _refused(error: Exception) -> web.Response:
    status = STATUS_OF.get(type(error), 404)
    why = "no answer in time; ask for less" if isinstance(error, TimeoutError) else str(error)
    answer = _json({"problem": why})
    answer.set_status(status)
    return answer


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token_of(request: web.Request) -> str:
    """The bearer token, or the password that a browser asked for; empty where neither is there."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
