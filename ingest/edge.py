"""The edge: one request in, one answer out. All that it needs is handed in; of HTTP's machinery it knows nothing."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import msgspec

from ingest import answers, body, cookies, observation, parameters, routes, visit
from ingest.admission import Admission
from ingest.answers import ENDINGS, Answer, Ending, Result
from ingest.caller import Proxies, clean
from ingest.counters import Counters
from ingest.parameters import Pair
from ingest.plan import Plan
from ingest.refusals import Refusals, shown
from ingest.request import Knowledge, Request
from ingest.routes import LINK, NOWHERE, PATHS, Endpoint, Route
from schemas import times
from schemas.decisions import Refusal
from schemas.reasons import Reason
from schemas.transaction_id import RANDOM_BYTES
from service.errors import Refused, Unavailable

_MAX_HOST: Final = 255
_MAX_PATH: Final = 500
_METHODS: Final = frozenset({"GET", "HEAD", "POST"})
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
    GARBLED = "the body is not what its headers say"


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


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge works with; edge is its name, draw gives random bytes, clock_ms Unix milliseconds, timer seconds."""

    edge: str
    admission: Admission
    refusals: Refusals
    counters: Counters
    proxies: Proxies
    limits: Limits
    draw: Callable[[int], bytes]
    clock_ms: Callable[[], int]
    timer: Callable[[], float]


class _Call(msgspec.Struct, frozen=True):
    """A request, read as far as it could be; trouble is what already ends it."""

    asked: Asked
    path: str
    route: Route
    endpoint: Endpoint
    pairs: list[Pair]
    trouble: Result | None = None


class Edge:
    """Answers requests; `known` is what it knows, None until there is a catalog."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.known: Knowledge | None = None

    async def answer(self, asked: Asked) -> Answer:
        """The answer; where it is a yes, the fact is durable."""
        counters, timer = self._tools.counters, self._tools.timer
        began = timer()
        counters.in_flight.inc()
        try:
            call = self._read(asked)
            plan = self._plan(call)
            result = await self._admitted(plan, call)
        finally:
            counters.in_flight.dec()
        counters.ended(call.endpoint, result, timer() - began)
        return answers.answer(routes.face(call.endpoint, call.route, call.pairs), result)

    def _read(self, asked: Asked) -> _Call:
        path, _, query = asked.target.partition("?")
        route = PATHS.get(path) or self._link(path)
        if trouble := _over_limit(asked, query, self._tools.limits):
            return _Call(asked, path, route, route.endpoint, [], trouble)
        pairs = parameters.split(query)
        try:
            if isinstance(asked.body, bytes) and asked.body:
                pairs += body.pairs(asked.body, asked.headers.get("Content-Type", ""))
        except body.Unreadable as error:
            trouble = _malformed(str(error))
        if len(pairs) > self._tools.limits.parameters:
            trouble = _malformed(f"more than {self._tools.limits.parameters} parameters", Reason.OVER_LIMIT)
        endpoint = routes.endpoint(path, route, pairs, asked.headers)
        return _Call(asked, path, route, endpoint, pairs, trouble or _misplaced(asked, route, endpoint))

    def _link(self, path: str) -> Route:
        known = self.known
        return LINK if known and known.catalog.catalog.link(path) else NOWHERE

    def _plan(self, call: _Call) -> Plan:
        known = self.known
        if call.trouble:
            return Plan(result=call.trouble)
        if known is None:
            return Plan(result=_unavailable("this edge has no catalog yet"))
        request = self._request(call, known)
        if call.endpoint is Endpoint.CLICK:
            if call.asked.method == "HEAD":
                return visit.look(request, known)
            return visit.click(request, known, self._tools.draw(RANDOM_BYTES))
        if call.asked.method == "HEAD":
            return Plan(result=Result(ending=Ending.LOOKED))
        if call.endpoint is Endpoint.IMPRESSION:
            return visit.impression(request, known, self._tools.draw(RANDOM_BYTES))
        return observation.observe(request, known, _KINDS[call.endpoint])

    def _request(self, call: _Call, known: Knowledge) -> Request:
        asked, pairs = call.asked, routes.stated(call.path, call.route, call.pairs)
        if call.route is LINK and (link := known.catalog.catalog.link(call.path)):
            pairs = visit.linked(link, pairs)
        return Request(
            pairs=pairs,
            host=clean(asked.headers.get("Host", ""))[:_MAX_HOST],
            caller=self._tools.proxies.caller(asked.peer, asked.headers, secure=asked.secure),
            cookies=cookies.of(asked.headers),
            received_ms=self._tools.clock_ms(),
        )

    async def _admitted(self, plan: Plan, call: _Call) -> Result:
        """The plan's result, once its fact is durable; else what can be said without a yes."""
        result = plan.result
        if plan.build is not None:
            try:
                receipt = await self._tools.admission.accept(plan.topic, plan.transaction_id, plan.build)
                return msgspec.structs.replace(result, receipt=receipt)
            except Unavailable as error:
                result = self._without_yes(plan, str(error))
            except Refused as error:
                result = _malformed(str(error))
        if ENDINGS[result.ending].outcome != "accepted" and result.ending not in _NO_REFUSALS:
            self._tell(call, plan, result)
        return result

    def _without_yes(self, plan: Plan, why: str) -> Result:
        """A person is redirected all the same, with the ID: its conversion then waits in sight, and is not lost.

        Without the cookie: an earlier click that was recorded is the better answer to a pixel.
        """
        if not plan.result.location:
            return _unavailable(why)
        self._tools.counters.unrecorded(plan.offer_id, plan.affiliate_id)
        return msgspec.structs.replace(
            plan.result, ending=Ending.UNRECORDED, reason=Reason.UNAVAILABLE, cookie=""
        )

    def _tell(self, call: _Call, plan: Plan, result: Result) -> None:
        def build() -> Refusal:
            peer = self._tools.proxies.caller(call.asked.peer, call.asked.headers, secure=False)
            return Refusal(
                refusal_id=self._tools.draw(16).hex(),
                at=times.from_ms(self._tools.clock_ms()),
                edge=self._tools.edge,
                path=clean(call.path)[:_MAX_PATH],
                outcome="unavailable" if ENDINGS[result.ending].outcome == "unavailable" else "refused",
                reason=int(result.reason),
                detail=result.detail,
                query=shown(call.pairs),
                offer_id=plan.offer_id,
                affiliate_id=plan.affiliate_id,
                transaction_id=plan.transaction_id,
                ip=peer.ip,
                user_agent=peer.user_agent,
            )

        if not self._tools.refusals.write(build):
            self._tools.counters.unwritten.inc()


_KINDS: Final[dict[Endpoint, observation.Kind]] = {
    Endpoint.PIXEL: "pixel",
    Endpoint.IFRAME: "iframe",
    Endpoint.POSTBACK: "postback",
}
# What is no event at all: counted, and not written down.
_NO_REFUSALS: Final = frozenset({Ending.LOOKED, Ending.PREFETCH, Ending.UNKNOWN_PATH, Ending.WRONG_METHOD})


def _over_limit(asked: Asked, query: str, limits: Limits) -> Result | None:
    if len(query) > limits.query_bytes:
        detail = f"the query is longer than {limits.query_bytes} bytes"
        return Result(ending=Ending.QUERY_TOO_LONG, reason=Reason.OVER_LIMIT, detail=detail)
    if asked.header_bytes > limits.header_bytes:
        detail = f"the headers are longer than {limits.header_bytes} bytes"
        return Result(ending=Ending.HEADERS_TOO_LONG, reason=Reason.OVER_LIMIT, detail=detail)
    if isinstance(asked.body, BodyFault):
        return Result(ending=_FAULTS[asked.body], reason=Reason.OVER_LIMIT, detail=asked.body.value)
    return None


_FAULTS: Final = {
    BodyFault.TOO_LONG: Ending.BODY_TOO_LONG,
    BodyFault.STALLED: Ending.BODY_STALLED,
    BodyFault.GARBLED: Ending.MALFORMED,
}


def _misplaced(asked: Asked, route: Route, endpoint: Endpoint) -> Result | None:
    """What is no event, whatever it states."""
    if route is NOWHERE:
        return Result(ending=Ending.UNKNOWN_PATH, reason=Reason.MALFORMED_EVENT, detail="no such path")
    if asked.method not in _METHODS or (asked.method == "POST" and endpoint is not Endpoint.POSTBACK):
        detail = f"{endpoint.value} takes GET{', POST' if endpoint is Endpoint.POSTBACK else ''} and HEAD"
        return Result(ending=Ending.WRONG_METHOD, reason=Reason.MALFORMED_EVENT, detail=detail)
    if endpoint is Endpoint.NONE:
        return _malformed("a=l asks for a pixel, a=lsr for a postback; neither was sent")
    if endpoint in _BY_BROWSERS and _is_prefetch(asked.headers):
        return Result(ending=Ending.PREFETCH, reason=Reason.PREFETCH)
    return None


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks before anybody followed the link (Sec-Purpose; Purpose and X-Moz in older ones)."""
    if not any(name in headers for name in _PREFETCH):
        return False
    return any(
        "prefetch" in value or "prerender" in value for name in _PREFETCH if (value := headers.get(name, ""))
    )


_PREFETCH: Final = ("Sec-Purpose", "Purpose", "X-Moz")


def _malformed(detail: str, reason: Reason = Reason.MALFORMED_EVENT) -> Result:
    return Result(ending=Ending.MALFORMED, reason=reason, detail=detail)


def _unavailable(detail: str) -> Result:
    return Result(ending=Ending.UNAVAILABLE, reason=Reason.UNAVAILABLE, detail=detail)
