"""Handlers: HTTP by aiohttp, on its low level: no router, no middleware, one call of the edge a request.

They cost a third of what a request may cost; our table of paths needs neither.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ingest.connections import Bounds, Connections, response
from ingest.counters import Counters
from ingest.edge import Edge
from ingest.gate import Asked, BodyFault
from ingest.listener import Listener
from ingest.pulse import Pulse
from service.lifetime import listening

BODY_S: Final = 10.0  # aiohttp itself never cuts a stalled body
# At the stop, what is in work has this long, and as long again once it was told: the disk answers within 1 s,
# and a stalled body must not eat the time that the journal needs to be shipped.
FINISH_S: Final = 2.0

OtherHandler = Callable[[Any], Awaitable[web.StreamResponse]]


class Front:
    """Serves the edge, and the paths of health beside it."""

    def __init__(self, edge: Edge, counters: Counters, bounds: Bounds, pulse: Pulse) -> None:
        self._edge = edge
        self._counters = counters
        self._bounds = bounds
        self._pulse = pulse
        self._others: Mapping[str, OtherHandler] = {}
        self._runner: web.ServerRunner | None = None
        self._listener: Listener | None = None

    async def serve(self, host: str, port: int, others: Sequence[web.RouteDef] = ()) -> int:
        """Requests are answered there; the port that was taken (port 0 takes a free one).

        Other processes may share it: each gets a part of the new connections. The other paths are answered
        whatever the load.
        """
        self._others = {each.path: each.handler for each in others}
        connections = Connections(self._handle, self._bounds, self._counters, self._pulse)
        self._runner = web.ServerRunner(connections, handle_signals=False, shutdown_timeout=FINISH_S)
        await self._runner.setup()
        self._listener = Listener(connections)
        with listening(host, port):
            return await self._listener.open(host, port)

    async def close(self) -> None:
        """Nothing is accepted any more, and what was begun has been answered."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        if not target.startswith("/"):  # absolute form, as proxies send it
            target = request.rel_url.raw_path_qs
        other = self._others.get(target.partition("?")[0])
        if other is not None:
            return await other(request)
        if self._pulse.shedding:
            away = self._edge.turned_away(target, request.headers, self._pulse.shedding)
            if away is not None:
                return response(away)
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport else None
        asked = Asked(
            method=request.method,
            target=target,
            headers=request.headers,
            header_bytes=sum([len(name) + len(value) for name, value in request.raw_headers]),
            peer=peer[0] if isinstance(peer, tuple) else "",
            secure=request.secure,
            body=await _body(request, self._bounds.body_bytes) if request.method == "POST" else b"",
        )
        return response(await self._edge.answer(asked))


async def _body(request: web.BaseRequest, max_bytes: int) -> bytes | BodyFault:
    if (request.content_length or 0) > max_bytes:
        return BodyFault.TOO_LONG
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        return BodyFault.COMPRESSED
    body = bytearray()  # not a list: a body may come byte by byte
    try:
        async with asyncio.timeout(BODY_S):
            while part := await request.content.readany():
                body += part
                if len(body) > max_bytes:
                    return BodyFault.TOO_LONG
    except TimeoutError:
        return BodyFault.STALLED
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):  # the last: the caller hung up
        return BodyFault.CUT
    return bytes(body)
