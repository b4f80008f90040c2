"""The edge: one request in, one answer out. What it needs is handed in; of sockets it knows nothing."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec

from ingest import adjustment, answers, body, cookies, gate, observation, parameters, routes, visit
from ingest.admission import Admission
from ingest.answers import ENDINGS, OVERLOADED, Answer, Ending, Face, Result
from ingest.caller import Proxies, clean
from ingest.counters import Counters
from ingest.credential import Credential
from ingest.gate import Asked, Limits
from ingest.load import CLASSES, Class
from ingest.parameters import Pair
from ingest.plan import Plan
from ingest.refusals import Refusals, shown
from ingest.request import Knowledge, Request
from ingest.routes import LINK, NOWHERE, PATHS, Endpoint, Route
from ingest.traces import Traces, page
from schemas import times
from schemas.decisions import Refusal
from schemas.reasons import Reason
from schemas.transaction_id import RANDOM_BYTES
from service.errors import Refused, Unavailable

_MAX_HOST: Final = 255
_MAX_PATH: Final = 500


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge works with.

    edge: its name. draw: so many random bytes. clock_ms: Unix milliseconds. timer: seconds from anywhere.
    credential: what callers of /adjust must show.
    """

    edge: str
    admission: Admission
    refusals: Refusals
    counters: Counters
    proxies: Proxies
    limits: Limits
    draw: Callable[[int], bytes]
    clock_ms: Callable[[], int]
    timer: Callable[[], float]
    credential: Credential = Credential("")


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
        counters.in_flight += 1
        try:
            call = self._read(asked)
            if call.endpoint is Endpoint.ADJUST and not call.trouble:
                result, answer = await self._adjusted(call)
            else:
                result = await self._admitted(self._plan(call), call)
                answer = answers.answer(routes.face(call.endpoint, call.route, call.pairs), result)
        finally:
            counters.in_flight -= 1
        counters.ended(call.endpoint, result, timer() - began)
        return answer

    def turned_away(
        self, target: str, headers: Mapping[str, str], shedding: Collection[Class]
    ) -> Answer | None:
        """503 for a request of a class that is shed: counted, of no other trace, and read no further."""
        path, _, query = target.partition("?")
        route = PATHS.get(path) or self._link(path)
        pairs = parameters.split(query[: self._tools.limits.query_bytes]) if route.hasoffers else []
        endpoint = routes.endpoint(path, route, pairs, headers)
        if CLASSES[endpoint] not in shedding:
            return None
        self._tools.counters.turned_away(endpoint)
        return answers.answer(routes.face(endpoint, route, pairs), OVERLOADED)

    def _read(self, asked: Asked) -> _Call:
        path, _, query = asked.target.partition("?")
        route = PATHS.get(path) or self._link(path)
        if trouble := gate.over_limit(asked, query, self._tools.limits):
            return _Call(asked, path, route, route.endpoint, [], trouble)
        if route.endpoint is Endpoint.ADJUST:  # its query states nothing, and is written down nowhere
            return _Call(asked, path, route, route.endpoint, [], gate.misplaced(asked, route, route.endpoint))
        pairs = parameters.split(query)
        try:
            if isinstance(asked.body, bytes) and asked.body:
                pairs += body.pairs(asked.body, asked.headers.get("Content-Type", ""))
        except body.Unreadable as error:
            trouble = gate.malformed(str(error))
        if len(pairs) > self._tools.limits.parameters:
            trouble = gate.malformed(
                f"more than {self._tools.limits.parameters} parameters", Reason.OVER_LIMIT
            )
        endpoint = routes.endpoint(path, route, pairs, asked.headers)
        return _Call(asked, path, route, endpoint, pairs, trouble or gate.misplaced(asked, route, endpoint))

    def _link(self, path: str) -> Route:
        known = self.known
        return LINK if known and known.catalog.catalog.link(path) else NOWHERE

    def _plan(self, call: _Call) -> Plan:
        known = self.known
        if call.trouble:
            return Plan(result=call.trouble)
        if known is None:
            return Plan(result=_NO_CATALOG)
        request = self._request(call, known)
        if call.asked.method == "HEAD":
            return _looked(call.endpoint, request, known)
        if call.endpoint is Endpoint.CLICK:
            return visit.click(request, known, self._tools.draw(RANDOM_BYTES))
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

    async def _adjusted(self, call: _Call) -> tuple[Result, Answer]:
        """How the request ended, and its answer: each adjustment is durable, or told why it is not."""
        plans, is_list = self._adjustments(call.asked)
        # At once, so that they share a sync; their receipts are in the order of the request.
        results = await asyncio.gather(*(self._admitted(plan, call) for plan in plans))
        if not is_list:
            return results[0], answers.answer(Face.ADJUSTMENTS, results[0])
        for result in results:
            self._tools.counters.refused(result)
        return answers.verdicts(results)

    def _adjustments(self, asked: Asked) -> tuple[list[Plan], bool]:
        """What each comes to, and whether they came as a list; one no where the request itself is refused."""
        known = self.known
        if objection := self._tools.credential.objection(asked.headers):
            return [Plan(result=objection)], False
        if known is None:
            return [Plan(result=_NO_CATALOG)], False
        try:
            members, is_list = adjustment.requested(asked.body if isinstance(asked.body, bytes) else b"")
        except body.Unreadable as error:
            return [Plan(result=gate.malformed(str(error)))], False
        peer = self._tools.proxies.caller(asked.peer, asked.headers, secure=asked.secure)
        caller = adjustment.Caller(ip=peer.ip, user_agent=peer.user_agent, received_ms=self._tools.clock_ms())
        return [adjustment.planned(member, known, caller) for member in members], is_list

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
                result = gate.malformed(str(error))
        if ENDINGS[result.ending].outcome != "accepted" and result.ending not in _NO_REFUSALS:
            self._tell(call, plan, result)
        return result

    def _without_yes(self, plan: Plan, why: str) -> Result:
        """A person is redirected all the same, with the ID: its conversion waits in sight then.

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
            # Whose request it was nobody knows: it may be of an offer that knows its customers by address.
            identifies = self.known is None or self.known.catalog.catalog.addresses_identify
            return Refusal(
                refusal_id=self._tools.draw(16).hex(),
                at=times.from_ms(self._tools.clock_ms()),
                edge=self._tools.edge,
                path=page(clean(call.path), Traces())[:_MAX_PATH],
                outcome="unavailable" if ENDINGS[result.ending].outcome == "unavailable" else "refused",
                reason=int(result.reason),
                detail=result.detail,
                query=shown(call.pairs),
                offer_id=plan.offer_id,
                affiliate_id=plan.affiliate_id,
                transaction_id=plan.transaction_id,
                ip="" if identifies else peer.ip,
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


def _looked(endpoint: Endpoint, request: Request, known: Knowledge) -> Plan:
    return (
        visit.look(request, known)
        if endpoint is Endpoint.CLICK
        else Plan(result=Result(ending=Ending.LOOKED))
    )


def _unavailable(detail: str) -> Result:
    return Result(ending=Ending.UNAVAILABLE, reason=Reason.UNAVAILABLE, detail=detail)


_NO_CATALOG: Final = _unavailable("this edge has no catalog yet")
