"""Health: /healthz (am I alive), /readyz (can I keep my promise), /metrics (Prometheus)."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector, generate_latest

from service.lifetime import listening

Check = Callable[[], str | Awaitable[str]]
"""Says what is wrong, or nothing."""

CHECK_S = 2.0  # a balancer asks every few seconds; a check that takes longer has failed
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """The health of one process: its named checks and its metrics."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._ready = Gauge(
            "roundtrip_ready", "1 when every check of /readyz passes", ["service"], registry=self.registry
        )
        self._service = service
        self._checks: dict[str, Check] = {}
        self._notes: dict[str, Callable[[], str]] = {}
        self._runner: web.AppRunner | None = None

    def check(self, name: str, check: Check) -> None:
        """/readyz asks this too: empty text means well, any other says what is wrong."""
        self._checks[name] = check

    def note(self, name: str, note: Callable[[], str]) -> None:
        """/readyz says this too, where it is not empty, and is no less ready for it."""
        self._notes[name] = note

    def mark_down(self, why: str) -> None:
        """/readyz fails from now on: the first step of an ordered stop, so that balancers look elsewhere."""
        self._checks["stopping"] = lambda: why

    async def problems(self) -> dict[str, str]:
        """Every check by name, with what is wrong, or empty text."""
        names = list(self._checks)
        found = await asyncio.gather(*(_asked(self._checks[name]) for name in names))
        self._ready.labels(self._service).set(not any(found))
        return dict(zip(names, found, strict=True))

    def routes(self) -> list[web.RouteDef]:
        """The three paths, for an aiohttp application that serves others too."""
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        found = await self.problems()
        ready = not any(found.values())
        body = {"ready": ready, "checks": {name: problem or "ok" for name, problem in found.items()}}
        if notes := {name: said for name, note in self._notes.items() if (said := note())}:
            body["notes"] = notes
        return web.Response(
            status=200 if ready else 503,
            body=msgspec.json.encode(body) + b"\n",
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        await self.problems()
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": _METRICS_TYPE})

    async def serve(self, host: str, port: int, setting: str = "ROUNDTRIP_PORT") -> int:
        """The three paths answer there; the port that was taken (port 0 takes a free one).

        setting: by which the port was chosen; an error names it.
        """
        app = web.Application()
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        with listening(host, port, setting):
            await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Nothing is served any more."""
        if self._runner is not None:
            await self._runner.cleanup()


async def _asked(check: Check) -> str:
    """What a check says; one that fails or hangs says that."""
    try:
        async with asyncio.timeout(CHECK_S):
            answer = check()
            return await answer if inspect.isawaitable(answer) else answer
    except TimeoutError:
        return f"no answer in {CHECK_S:.0f} s"
