"""The gate: what is no event, whatever it states: over a limit, on no path of ours, asked by nobody."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

from ingest.answers import Ending, Result
from ingest.routes import NOWHERE, Endpoint, Route
from schemas.reasons import Reason

_USUAL: Final = ("GET", "HEAD")
_METHODS: Final = {Endpoint.POSTBACK: ("GET", "HEAD", "POST"), Endpoint.ADJUST: ("POST",)}
_BY_BROWSERS: Final = frozenset({Endpoint.CLICK, Endpoint.IMPRESSION, Endpoint.PIXEL, Endpoint.IFRAME})


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a request is read at all."""

    query_bytes: int
    header_bytes: int
    parameters: int


class BodyFault(Enum):
    """Why a body could not be read."""

    TOO_LONG = "the body is too long"
    STALLED = "the body did not come in time"
    COMPRESSED = "the body must not be compressed"
    CUT = "the body is not what its headers say"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came.

    target: path and query, undecoded. peer: the address at the other end of the connection.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    header_bytes: int
    peer: str
    secure: bool
    body: bytes | BodyFault = b""


def over_limit(asked: Asked, query: str, limits: Limits) -> Result | None:
    """What is not even read."""
    if len(query) > limits.query_bytes:
        detail = f"the query is longer than {limits.query_bytes} bytes"
        return Result(ending=Ending.QUERY_TOO_LONG, reason=Reason.OVER_LIMIT, detail=detail)
    if asked.header_bytes > limits.header_bytes:
        detail = f"the headers are longer than {limits.header_bytes} bytes"
        return Result(ending=Ending.HEADERS_TOO_LONG, reason=Reason.OVER_LIMIT, detail=detail)
    if isinstance(asked.body, BodyFault):
        ending, reason = _FAULTS[asked.body]
        return Result(ending=ending, reason=reason, detail=asked.body.value)
    return None


_FAULTS: Final = {
    BodyFault.TOO_LONG: (Ending.BODY_TOO_LONG, Reason.OVER_LIMIT),
    BodyFault.STALLED: (Ending.BODY_STALLED, Reason.OVER_LIMIT),
    BodyFault.COMPRESSED: (Ending.MALFORMED, Reason.MALFORMED_EVENT),
    BodyFault.CUT: (Ending.MALFORMED, Reason.MALFORMED_EVENT),
}


def misplaced(asked: Asked, route: Route, endpoint: Endpoint) -> Result | None:
    """What is no event, whatever it states."""
    if route is NOWHERE:
        return Result(ending=Ending.UNKNOWN_PATH, reason=Reason.MALFORMED_EVENT, detail="no such path")
    methods = _METHODS.get(endpoint, _USUAL)
    if asked.method not in methods:
        detail = f"{endpoint.value} takes {', '.join(methods)}"
        return Result(ending=Ending.WRONG_METHOD, reason=Reason.MALFORMED_EVENT, detail=detail)
    if endpoint is Endpoint.NONE:
        return malformed("a=l asks for a pixel, a=lsr for a postback; neither was sent")
    if endpoint in _BY_BROWSERS and _is_prefetch(asked.headers):
        return Result(ending=Ending.PREFETCH, reason=Reason.PREFETCH)
    return None


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks before anybody followed the link (Purpose and X-Moz: older ones)."""
    stated = [headers[name] for name in _PREFETCH if name in headers]
    return any("prefetch" in value or "prerender" in value for value in stated)


_PREFETCH: Final = ("Sec-Purpose", "Purpose", "X-Moz")


def malformed(detail: str, reason: Reason = Reason.MALFORMED_EVENT) -> Result:
    """A request that cannot be read."""
    return Result(ending=Ending.MALFORMED, reason=reason, detail=detail)
