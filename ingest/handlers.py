"""Handlers: HTTP by aiohttp, on its low level: no router, no middleware, one call of the edge a request.

They cost a third of what a request may cost; our table of paths needs neither.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from ingest import answers
from ingest.answers import Answer, Ending, Face, Result
from ingest.counters import Counters
from ingest.edge import Edge
from ingest.gate import Asked, BodyFault
from ingest.routes import Endpoint
from schemas.reasons import Reason
from service.lifetime import listening

log = logging.getLogger(__name__)

BODY_S: Final = 10.0  # aiohttp itself never cuts a stalled body
KEEPALIVE_S: Final = 15.0  # also cuts half-sent headers
LINGER_S: Final = 1.0  # how long the rest of a body that nobody wants is read
# Above the edge's own limits, which answer with a reason; beyond these the connection is cut.
_MAX_LINE: Final = 131_072
_MAX_FIELD: Final = 65_536

OtherHandler = Callable[[Any], Awaitable[web.StreamResponse]]


class Front:
    """Serves the edge, and the paths of health beside it."""

    def __init__(
        self, edge: Edge, counters: Counters, max_body_bytes: int, others: list[web.RouteDef]
    ) -> None:
        self._edge = edge
        self._counters = counters
        self._max_body_bytes = max_body_bytes
        self._others: Mapping[str, OtherHandler] = {each.path: each.handler for each in others}
        self._runner: web.ServerRunner | None = None

    async def serve(self, host: str, port: int) -> int:
        """Requests are answered there; the port that was taken (port 0 takes a free one)."""
        self._runner = web.ServerRunner(
            _Server(
                self._handle,
                self._counters,
                access_log=None,
                keepalive_timeout=KEEPALIVE_S,
                lingering_time=LINGER_S,
                max_line_size=_MAX_LINE,
                max_field_size=_MAX_FIELD,
                auto_decompress=False,  # what a caller compressed badly aiohttp logs as a fault of ours
            ),
            handle_signals=False,
        )
        await self._runner.setup()
        with listening(host, port):
            await web.TCPSite(self._runner, host, port, backlog=1024).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Nothing is accepted any more, and what was begun has been answered."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        if not target.startswith("/"):  # absolute form, as proxies send it
            target = request.rel_url.raw_path_qs
        other = self._others.get(target.partition("?")[0])
        if other is not None:
            return await other(request)
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport else None
        asked = Asked(
            method=request.method,
            target=target,
            headers=request.headers,
            header_bytes=sum([len(name) + len(value) for name, value in request.raw_headers]),
            peer=peer[0] if isinstance(peer, tuple) else "",
            secure=request.secure,
            body=await _body(request, self._max_body_bytes) if request.method == "POST" else b"",
        )
        return _response(await self._edge.answer(asked))


def _response(answer: Answer) -> web.Response:
    """Location is set by hand: web.HTTPFound would rewrite the URL."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _body(request: web.BaseRequest, max_bytes: int) -> bytes | BodyFault:
    if (request.content_length or 0) > max_bytes:
        return BodyFault.TOO_LONG
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        return BodyFault.COMPRESSED
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            while part := await request.content.readany():
                size += len(part)
                if size > max_bytes:
                    return BodyFault.TOO_LONG
                parts.append(part)
    except TimeoutError:
        return BodyFault.STALLED
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):  # the last: the caller hung up
        return BodyFault.CUT
    return b"".join(parts)


def _headers_too_long(detail: str) -> Result:
    return Result(ending=Ending.HEADERS_TOO_LONG, reason=Reason.OVER_LIMIT, detail=detail)


class _Server(web.Server):
    """aiohttp's server, whose own errors are counted and answered like all others."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        counters: Counters,
        **more: Any,
    ) -> None:
        super().__init__(handler, **more)
        self.counters = counters

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    __slots__ = ("_counters",)

    def __init__(self, server: _Server, **more: Any) -> None:
        super().__init__(server, **more)
        self._counters = server.counters

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002  aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What was no HTTP, or over the parser's limits, or a fault of ours."""
        if status >= 500:  # noqa: PLR2004  HTTP's own bound
            log.error("a request failed: %s", exc, exc_info=exc)
            result = Result(ending=Ending.BUG, reason=Reason.UNAVAILABLE)
        elif isinstance(exc, LineTooLong):
            result = _headers_too_long("a line of the request is too long")
        elif message == "Too many headers received":  # aiohttp has no class for it; it takes 128
            result = _headers_too_long("the request has too many headers")
        else:
            detail = (message or "no HTTP request").splitlines()[0]
            result = Result(ending=Ending.MALFORMED, reason=Reason.MALFORMED_EVENT, detail=detail)
        self._counters.ended(Endpoint.NONE, result, 0.0)
        response = _response(answers.answer(Face.REDIRECT, result))
        response.force_close()
        return response
