"""Connections: how many a process holds open, and what one of them may hold."""

import asyncio
import logging
import re
import resource
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from ingest import answers, curt
from ingest.answers import Answer, Ending, Face, Result
from ingest.counters import Counters
from ingest.pulse import Pulse
from ingest.routes import Endpoint
from schemas.reasons import Reason

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 15.0  # idle, or with a half-sent head, however it dribbles
LINGER_S: Final = 1.0  # how long the rest of a body that nobody wants is read
UNREAD_S: Final = 10.0  # an answer that the caller does not take; aiohttp waits for ever
# What is read ahead of a body before the sender must wait; aiohttp holds twice as much, its own is 256 KiB.
BODY_AHEAD_BYTES: Final = 32_768
AHEAD: Final = 8  # requests read ahead of the one in work; browsers send none, aiohttp takes 32
# Over the edge's own limits, which answer with a reason; who sends even more is cut.
HEAD_SLACK_BYTES: Final = 65_536
_RAW: Final = re.compile(rb"[\x80-\xff]")
OTHER_FILES: Final = 256  # a process's files besides its connections: journal, catalog, Kafka, libraries


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What callers may take.

    connections: open at once. head_bytes: request line and headers. body_bytes: body.
    """

    connections: int
    head_bytes: int
    body_bytes: int


def room(wanted: int) -> int:
    """How many connections the process may hold: fewer where the system gives it fewer open files.

    Without files to spare not even the journal could begin its next one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + OTHER_FILES:
        soft = min(hard, wanted + OTHER_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= wanted + OTHER_FILES:
        return wanted
    fits = max(soft - OTHER_FILES, soft // 2)
    log.warning("ROUNDTRIP_MAX_CONNECTIONS=%d needs more than %d open files: %d it is", wanted, soft, fits)
    return fits


def response(answer: Answer) -> web.Response:
    """Location is set by hand: web.HTTPFound would rewrite the URL."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


class Connections(web.Server):
    """The open connections of a process; above the bound new ones are closed at once."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        bounds: Bounds,
        counters: Counters,
        pulse: Pulse,
    ) -> None:
        super().__init__(
            handler,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=bounds.head_bytes + HEAD_SLACK_BYTES,
            max_field_size=bounds.head_bytes + HEAD_SLACK_BYTES,
            read_bufsize=BODY_AHEAD_BYTES,
            auto_decompress=False,  # what a caller compressed badly aiohttp logs as a fault of ours
        )
        self.bounds = bounds
        self.counters = counters
        self.pulse = pulse
        counters.connections.set_function(lambda: len(self._connections))

    def __call__(self) -> web.RequestHandler:
        """What serves the next connection."""
        if len(self._connections) < self.bounds.connections:
            return _Connection(self, loop=self._loop, **self._kwargs)
        self.counters.closed.labels("limit").inc()
        return _Surplus()  # type: ignore[return-value]  # all that an event loop needs


class _Surplus(asyncio.Protocol):
    """A connection above the bound."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Connection(web.RequestHandler):
    """One connection. aiohttp bounds the requests and the body that it reads ahead; the rest stands here.

    1. A head that has no end within KEEPALIVE_S, or is too long, ends the connection.
    2. So does an answer that is not taken within UNREAD_S; none waits in memory behind another.
    3. While its class is shed, a plain GET is turned away unread.
    4. What a browser would have percent-encoded in the request line and a shop's server did not, is.
    """

    __slots__ = ("_all", "_begun_bytes", "_given_up", "_wire")

    def __init__(self, every: Connections, **more: object) -> None:
        super().__init__(every, **more)  # type: ignore[arg-type]
        self._all = every
        self._begun_bytes = 0
        self._given_up: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None  # aiohttp forgets its own before the last byte has left
        self._max_msg_queue_size = AHEAD
        self._msg_queue_resume_size = AHEAD // 2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = self.transport
        if self._wire is not None:
            self._wire.set_write_buffer_limits(high=0)  # rule 2: pause_writing at the first byte that waits

    def connection_lost(self, exc: BaseException | None) -> None:
        self._taken()
        self._wire = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._given_up = self._loop.call_later(UNREAD_S, self._give_up)

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def _taken(self) -> None:
        if self._given_up is not None:
            self._given_up.cancel()
            self._given_up = None

    def _give_up(self) -> None:
        self._all.counters.closed.labels("unread").inc()
        if self._wire is not None:
            self._wire.abort()

    def data_received(self, data: bytes) -> None:
        if self._all.pulse.shedding and self._turned_away(data):
            return
        if not data.isascii() and not self._begun_bytes and self._is_waiting():
            data = _readable(data)
        super().data_received(data)
        if not self._is_waiting():
            self._begun_bytes = 0
            return
        self._begun_bytes += len(data)
        if self._begun_bytes > self._all.bounds.head_bytes + HEAD_SLACK_BYTES:
            self._refuse_head()

    def _is_waiting(self) -> bool:
        """Whether nothing is in work and no request is there as a whole."""
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    def _turned_away(self, data: bytes) -> bool:
        is_first = not self._begun_bytes and not self._paused and self.transport is not None
        if not is_first or not self._is_waiting() or self._force_close or self._close:
            return False
        no = curt.no(data, self._all.pulse.shedding)
        if no is None:
            return False
        self._all.counters.turned_away(no.endpoint)
        self._next_keepalive_close_time = self._loop.time() + KEEPALIVE_S
        self.transport.write(no.wire)  # type: ignore[union-attr]  # asked above
        return True

    def _refuse_head(self) -> None:
        result = _headers_too_long("request line and headers are too long")
        self._all.counters.ended(Endpoint.NONE, result, 0.0)
        if self.transport is not None:
            self.transport.write(curt.wire(answers.answer(Face.REDIRECT, result)))
        self.force_close()

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
        self._all.counters.ended(Endpoint.NONE, result, 0.0)
        answer = response(answers.answer(Face.REDIRECT, result))
        answer.force_close()
        return answer


def _readable(received: bytes) -> bytes:
    """The same, its first line percent-encoded where it is no ASCII: aiohttp would refuse it."""
    line, end, rest = received.partition(b"\r\n")
    return _RAW.sub(lambda found: b"%%%02X" % found[0][0], line) + end + rest


def _headers_too_long(detail: str) -> Result:
    return Result(ending=Ending.HEADERS_TOO_LONG, reason=Reason.OVER_LIMIT, detail=detail)
