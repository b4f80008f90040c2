"""Visits: what a click or an impression comes to. Pure: clock, randomness and knowledge come in."""

from typing import Any, Final

import msgspec

from ingest import click_macros, cookies, identity, parameters, personal, redirect
from ingest.answers import Ending, Result
from ingest.caller import consent
from ingest.click_macros import Scene
from ingest.cookies import Entry
from ingest.parameters import Fields, Pair
from ingest.plan import Plan
from ingest.receipts import Receipt
from ingest.redirect import Destination
from ingest.request import Knowledge, Request, number, texts
from ingest.traces import Traces, page
from schemas import macros, times, transaction_id
from schemas.catalog import Catalog, Derived, Link, Offer
from schemas.facts import Click, Impression
from schemas.reasons import Reason

_MAX_URL: Final = 8_192  # of a fact's redirect_url; a longer one still goes out whole
_TEXTS: Final = (
    *("aff_sub", "aff_sub2", "aff_sub3", "aff_sub4", "aff_sub5", "aff_click_id", "source", "creative_id"),
    *(f"aff_unique{n}" for n in range(1, 6)),
)


class _Visit(msgspec.Struct, frozen=True):
    """A visit's request, read, of an offer that exists; traces: where it may hold personal data."""

    request: Request
    known: Knowledge
    fields: Fields
    offer: Offer
    affiliate_id: int
    transaction_id: str
    traces: Traces | None = None


def click(request: Request, known: Knowledge, random: bytes) -> Plan:
    """A person followed a tracking link: where to, and the fact of it.

    1. Two values for one field: refused.
    2. An unknown offer: refused; the person goes to the network's default page where there is one.
    3. Else it is a fact, wherever it goes: to the offer, or to a fallback with its reason.
    """
    visit = _read(request, known, random)
    if isinstance(visit, Plan):
        return _turned_away(visit, known.catalog.catalog)
    goal = _destination(visit)
    url = _filled(goal, visit)

    def build(receipt: Receipt) -> Click:
        return Click(
            **_common(visit, receipt, cookies.CLICK),
            url_id=goal.url_id,
            redirect_url=(page(url, visit.traces) if visit.traces else url)[:_MAX_URL],
            redirect_reason=int(goal.reason),
        )

    return Plan(
        result=Result(
            ending=_ending(goal), reason=goal.reason, location=url, cookie=_cookie(visit, cookies.CLICK)
        ),
        topic="clicks",
        build=build,
        offer_id=visit.offer.id,
        affiliate_id=visit.affiliate_id,
        transaction_id=visit.transaction_id,
    )


def look(request: Request, known: Knowledge) -> Plan:
    """HEAD: where a click would go, without an ID, a cookie or a fact."""
    visit = _read(request, known, b"")
    if isinstance(visit, Plan):
        return _turned_away(visit, known.catalog.catalog)
    goal = _destination(visit)
    ending = Ending.LOOKED if goal.template else Ending.NOWHERE
    return Plan(result=Result(ending=ending, reason=goal.reason, location=_filled(goal, visit)))


def impression(request: Request, known: Knowledge, random: bytes) -> Plan:
    """A person was shown an ad: the fact of it; whether it may be credited is the joiner's affair."""
    visit = _read(request, known, random)
    if isinstance(visit, Plan):
        return visit

    def build(receipt: Receipt) -> Impression:
        url_id = number(visit.fields.values.get("url_id", ""))
        return Impression(**_common(visit, receipt, cookies.VIEW), url_id=url_id)

    return Plan(
        result=Result(ending=Ending.ACCEPTED, cookie=_cookie(visit, cookies.VIEW)),
        topic="impressions",
        build=build,
        offer_id=visit.offer.id,
        affiliate_id=visit.affiliate_id,
        transaction_id=visit.transaction_id,
    )


def linked(link: Link, pairs: list[Pair]) -> list[Pair]:
    """The parameters of a click on another platform's link: whose it is, its path says."""
    fixed = {"offer_id": str(link.offer_id), "aff_id": str(link.affiliate_id)}
    if link.url_id:
        fixed["url_id"] = str(link.url_id)
    return [*fixed.items(), *(pair for pair in pairs if pair[0] not in fixed)]


def _read(request: Request, known: Knowledge, random: bytes) -> _Visit | Plan:
    """The visit, with a new ID where there is randomness for one; or its refusal."""
    fields = parameters.visit(request.pairs)
    offer_id, affiliate_id = (
        number(fields.values.get("offer_id", "")),
        number(fields.values.get("aff_id", "")),
    )
    offer = known.catalog.catalog.offer(offer_id)
    shared = ""
    if offer is not None and offer.identifier != "random":
        shared = identity.at_visit(offer, fields, request.caller.ip, known.keyring)
    if fields.conflict or offer is None:
        return Plan(result=_refusal(fields), offer_id=offer_id, affiliate_id=affiliate_id)
    new_id = shared or transaction_id.make(known.keyring, request.received_ms, random) if random else ""
    visit = _Visit(request, known, fields, offer, affiliate_id, new_id)
    return _guarded(visit) if fields.personal or isinstance(offer.identifier, Derived) else visit


def _guarded(visit: _Visit) -> _Visit:
    """The visit without personal data, but for the URL that the person goes to."""
    caller, fields, offer = visit.request.caller, visit.fields, visit.offer
    hides_ip = isinstance(offer.identifier, Derived) and "ip" in offer.identifier.derived
    traces = Traces([*(value for _, value in fields.personal), *([caller.ip] if hides_ip else [])])
    personal.guard(fields, traces, visit.known.keyring)
    request = personal.without(visit.request, traces, hides_ip=hides_ip)
    return msgspec.structs.replace(visit, request=request, traces=traces)


def _refusal(fields: Fields) -> Result:
    if not fields.conflict:
        return Result(ending=Ending.UNKNOWN_OFFER, reason=Reason.UNKNOWN_OFFER)
    detail = f"two different values for {fields.conflict}"
    return Result(ending=Ending.MALFORMED, reason=Reason.CONFLICTING_VALUES, detail=detail)


def _turned_away(refused: Plan, catalog: Catalog) -> Plan:
    """A person is behind a refused click: for an unknown offer there may be the network's default page."""
    template = catalog.default_template
    if template is None or refused.result.ending is not Ending.UNKNOWN_OFFER:
        return refused
    result = msgspec.structs.replace(
        refused.result, ending=Ending.TURNED_AWAY, location=macros.fill(template, {})
    )
    return msgspec.structs.replace(refused, result=result)


def _destination(visit: _Visit) -> Destination:
    values = visit.fields.values
    wish = (values.get("url", ""), number(values.get("url_id", "")))
    return redirect.destination(visit.known.catalog.catalog, visit.offer, visit.affiliate_id, wish)


def _ending(goal: Destination) -> Ending:
    if goal.template is None:
        return Ending.NOWHERE
    return Ending.FALLBACK if goal.reason else Ending.ACCEPTED


def _filled(goal: Destination, visit: _Visit) -> str:
    """The URL to go to; empty where there is none."""
    if goal.template is None:
        return ""
    scene = Scene(
        catalog=visit.known.catalog.catalog,
        offer=visit.offer,
        affiliate_id=visit.affiliate_id,
        url_id=goal.url_id,
        stated=visit.fields.values,
        params=visit.fields.params,
        caller=visit.request.caller,
        transaction_id=visit.transaction_id,
        received_ms=visit.request.received_ms,
    )
    return click_macros.fill(goal.template, scene)


def _cookie(visit: _Visit, kind: cookies.Kind) -> str:
    """None for a person who opts out of being followed (Sec-GPC)."""
    asker = visit.request.caller
    if asker.opts_out:
        return ""
    stated_s = visit.request.received_ms // 1000 if visit.transaction_id > "9" else 0  # shared IDs: letters
    added = Entry(kind, visit.offer.id, visit.transaction_id, stated_s)
    return cookies.written(visit.request.cookies, added, secure=asker.secure)


def _common(visit: _Visit, receipt: Receipt, kind: cookies.Kind) -> dict[str, Any]:
    """The fields of both kinds of visit."""
    request, values, known = visit.request, visit.fields.values, visit.known
    asker, device = request.caller, request.caller.device
    at = times.from_ms(request.received_ms)
    seen_ms = cookies.seen_ms(request.cookies, kind, visit.offer.id, known.keyring)
    fields: dict[str, Any] = {
        "receipt_id": receipt.receipt_id,
        "transaction_id": visit.transaction_id,
        "received_at": at,
        "occurred_at": at,
        "edge": known.edge,
        "catalog_version": known.catalog.version,
        "previous": receipt.previous,
        "offer_id": visit.offer.id,
        "affiliate_id": visit.affiliate_id,
        "advertiser_id": visit.offer.advertiser_id,
        "host": request.host,
        "country_code": asker.country_code,
        "device_type": device.device_type,
        "device_os": device.device_os,
        "os_version": device.os_version,
        "device_brand": device.device_brand,
        "browser": device.browser,
        "language": asker.language,
        "client_hints": asker.client_hints,
        "consent": consent(values, opts_out=asker.opts_out),
        "ip": asker.ip,
        "user_agent": asker.user_agent,
        "referer": asker.referer,
        "is_bot": device.is_bot,
        "is_unique": request.received_ms - seen_ms > cookies.UNIQUE_MS,
        "params": visit.fields.params,
    }
    fields.update(texts(values, _TEXTS))
    return fields
