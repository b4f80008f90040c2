"""Observations: what a pixel, iframe or postback comes to. Pure: clock and knowledge come in."""

from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from ingest import cookies, identity, moments, parameters, personal, unknown
from ingest.answers import Ending, Result
from ingest.caller import address, consent
from ingest.device import MAX_CHARACTERS as MAX_USER_AGENT
from ingest.parameters import Fields
from ingest.plan import Plan
from ingest.proving import Claim, Proof
from ingest.receipts import Receipt
from ingest.request import Knowledge, Request, number, texts
from ingest.traces import Traces
from schemas import money, times, transaction_id
from schemas.catalog import Catalog, Derived, Offer
from schemas.facts import GOAL_UNRESOLVED, UNVERIFIED, AnyFact, Pixel, Postback
from schemas.reasons import Reason
from schemas.transaction_id import Checked, Keyring, Verdict

Kind = Literal["pixel", "iframe", "postback"]

_TEXTS: Final = (
    *("status", "conversion_unique_id", "promo_code"),
    *("adv_sub", "adv_sub2", "adv_sub3", "adv_sub4", "adv_sub5"),
    *(f"adv_unique{n}" for n in range(1, 6)),
)
_CUT: Final = frozenset({*_TEXTS, "goal_id"})
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})


class _Stated(msgspec.Struct, frozen=True):
    """An observation's request, read, of a known transaction; problems is filled while it is read further."""

    request: Request
    known: Knowledge
    kind: Kind
    fields: Fields
    transaction_id: str
    caller_ip: str


def observe(request: Request, known: Knowledge, kind: Kind) -> Plan:
    """A statement about a transaction.

    1. Two values for one field: refused.
    2. A stated ID that is forged or malformed: refused. One of an unknown key: a postback is asked to come
       again, what a browser says is kept, and the joiner verifies it.
    3. No ID, and an offer whose identifier is not random: what is stated of the customer or the affiliate.
    4. Else a pixel or iframe that names its offer or advertiser takes this browser's last visit there; or, as
       the last resort, the address that it comes from, where that identifies customers.
    5. Nothing it can belong to: refused.
    With an ID it is a fact, whatever else is wrong with it.
    """
    fields = parameters.conversion(request.pairs, known.keyring)
    found = _transaction(request, known, kind, fields)
    offer_id, affiliate_id = (
        number(fields.values.get("offer_id", "")),
        number(fields.values.get("aff_id", "")),
    )
    if isinstance(found, Result):
        return Plan(result=found, offer_id=offer_id, affiliate_id=affiliate_id)
    if found.verdict is Verdict.UNKNOWN_KEY:
        fields.problems.append(UNVERIFIED)
    stated = _guarded(_Stated(request, known, kind, fields, found.transaction_id, request.caller.ip))
    contents = _contents(stated)  # before the answer, which names its problems

    def build(receipt: Receipt) -> AnyFact:
        contents["receipt_id"], contents["previous"] = receipt.receipt_id, receipt.previous
        return Postback(kind="postback", **contents) if kind == "postback" else Pixel(kind=kind, **contents)

    return Plan(
        result=Result(ending=Ending.ACCEPTED, problems=tuple(fields.problems)),
        topic="postbacks" if kind == "postback" else "pixels",
        build=build,
        offer_id=offer_id,
        affiliate_id=affiliate_id,
        transaction_id=found.transaction_id,
    )


def _transaction(request: Request, known: Knowledge, kind: Kind, fields: Fields) -> Checked | Result:
    """The transaction's ID, genuine or of an unknown key, or why there is none."""
    if fields.conflict:
        return _conflict(fields)
    stated = fields.values.get("transaction_id", "").strip()
    if not stated:
        return _unstated(request, known, kind, fields)
    checked = transaction_id.check(known.keyring, stated)
    if checked.verdict is Verdict.GENUINE:
        return checked
    if checked.verdict is not Verdict.UNKNOWN_KEY:
        detail = f"the transaction ID is {checked.verdict.value}"
        return Result(ending=Ending.MALFORMED, reason=Reason.INVALID_TRANSACTION_ID, detail=detail)
    return checked if kind != "postback" else _UNKNOWN_KEY


def _conflict(fields: Fields) -> Result:
    detail = f"two different values for {fields.conflict}"
    return Result(ending=Ending.MALFORMED, reason=Reason.CONFLICTING_VALUES, detail=detail)


_NO_ID: Final = Result(
    ending=Ending.MALFORMED, reason=Reason.INVALID_TRANSACTION_ID, detail="the transaction ID is missing"
)
_UNKNOWN_KEY: Final = Result(
    ending=Ending.UNAVAILABLE,
    reason=Reason.UNAVAILABLE,
    detail="the transaction ID is signed with a key that this edge does not have yet: send it again",
)


_NO_OFFER_KEY: Final = Result(
    ending=Ending.UNAVAILABLE,
    reason=Reason.UNAVAILABLE,
    detail="this edge does not have the key of the offer's identifiers: send it again",
)


def _unstated(request: Request, known: Knowledge, kind: Kind, fields: Fields) -> Checked | Result:
    """The ID of what the request names instead: a customer, an affiliate, this browser's last visit."""
    offer = known.catalog.catalog.offer(number(fields.values.get("offer_id", "")))
    shared = offer if offer and offer.identifier != "random" else None
    own = identity.at_statement(shared, fields, "", known.keyring) if shared else ""
    if fields.conflict:
        return _conflict(fields)
    found = Checked(Verdict.GENUINE, own) if own else _NO_ID
    if not own and kind != "postback":
        found = _remembered(request, known, fields, offer)
        if found is _NO_ID and shared:
            by_address = identity.at_statement(shared, fields, request.caller.ip, known.keyring)
            found = Checked(Verdict.GENUINE, by_address) if by_address else _NO_ID
    return _lacking(shared, fields, known.keyring) if found is _NO_ID and shared else found


def _lacking(offer: Offer, fields: Fields, keyring: Keyring) -> Result:
    """Why there is no ID, at an offer where something else may stand for it."""
    names = identity.lacking(offer, fields)
    if not names and not identity.has_key(offer, keyring):
        return _NO_OFFER_KEY
    detail = f"the transaction ID is missing, and so is what stands for it at offer {offer.id}: {names}"
    return Result(ending=Ending.MALFORMED, reason=Reason.INVALID_TRANSACTION_ID, detail=detail)


def _remembered(request: Request, known: Knowledge, fields: Fields, offer: Offer | None) -> Checked | Result:
    """The browser's last visit of the offer, or of the advertiser's offers, that the request names."""
    if "offer_id" in fields.values:
        if offer is None:
            return Result(ending=Ending.UNKNOWN_OFFER, reason=Reason.UNKNOWN_OFFER)
        offers = {offer.id}
    else:
        advertiser_id = number(fields.values.get("advertiser_id", ""))
        offers = {offer.id for offer in known.catalog.catalog.offers_of(advertiser_id)}
    last = cookies.last_visit(request.cookies, offers, known.keyring)
    return Checked(Verdict.GENUINE, last.transaction_id) if last else _NO_ID


def _guarded(stated: _Stated) -> _Stated:
    """The same without personal data, where the request may hold any."""
    catalog, fields, caller = stated.known.catalog.catalog, stated.fields, stated.request.caller
    named = number(fields.values.get("offer_id", "")) or transaction_id.offer_of(stated.transaction_id)
    offer = catalog.offer(named)
    variables = offer.identifier.derived if offer and isinstance(offer.identifier, Derived) else ()
    hides_ip = "ip" in variables if offer else catalog.addresses_identify
    if not (fields.personal or variables or hides_ip):
        return stated
    addresses = [fields.values.pop("ip", ""), "" if stated.kind == "postback" else caller.ip]
    traces = Traces([*(value for _, value in fields.personal), *(addresses if hides_ip else [])])
    if not hides_ip and addresses[0]:
        fields.values["ip"] = addresses[0]
    personal.guard(fields, traces, stated.known.keyring)
    hides_caller = hides_ip and stated.kind != "postback"  # a postback comes from the shop's server
    request = personal.without(stated.request, traces, hides_ip=hides_caller)
    return msgspec.structs.replace(stated, request=request)


def _contents(stated: _Stated) -> dict[str, Any]:
    """Every field of the fact but its receipt; what is not taken as sent is added to the problems."""
    request, known, fields = stated.request, stated.known, stated.fields
    values, catalog = fields.values, stated.known.catalog.catalog
    _name_cuts(fields)
    goal, goal_id = _goal(catalog, values)
    proof = _proof(stated)
    sale_amount, sale_currency = _sale(fields)
    received_ms, occurred_ms = request.received_ms, _occurred_ms(stated)
    received_at = times.from_ms(received_ms)
    contents: dict[str, Any] = {
        "transaction_id": stated.transaction_id,
        "received_at": received_at,
        "occurred_at": received_at if occurred_ms == received_ms else times.from_ms(occurred_ms),
        "edge": known.edge,
        "catalog_version": known.catalog.version,
        "proven_by": proof.proven_by,
        "proven_for": proof.proven_for,
        "offer_id": _id(fields, "offer_id"),
        "advertiser_id": _id(fields, "advertiser_id"),
        "affiliate_id": _id(fields, "aff_id"),
        "goal": goal,
        "goal_id": goal_id,
        "sale_amount": sale_amount,
        "sale_currency": sale_currency,
        "ip": request.caller.ip,
        "user_agent": request.caller.user_agent,
        "referer": request.caller.referer,
        "conversion_ip": _customer_ip(fields),
        "conversion_user_agent": values.get("user_agent", "")[:MAX_USER_AGENT],
        "user_id": known.keyring.pseudonym(values["user_id"]) if "user_id" in values else "",
        "consent": consent(values, opts_out=request.caller.opts_out),
        "test": _test(fields),
        "params": fields.params,
    }
    contents.update(texts(values, _TEXTS))
    fields.problems += unknown.named(catalog, values, transaction_id.offer_of(stated.transaction_id))
    contents["problems"] = tuple(fields.problems)
    return contents


def _name_cuts(fields: Fields) -> None:
    for name, text in fields.values.items():
        if len(text) > parameters.MAX_TEXT and name in _CUT:
            fields.problems.append(f"{name}: cut at {parameters.MAX_TEXT} characters")


def _id(fields: Fields, name: str) -> int:
    text = fields.values.get(name, "")
    found = number(text)
    if text and not found:
        fields.problems.append(f"{name}: no ID: {text[:40]!r}")
    return found


def _proof(stated: _Stated) -> Proof:
    """What the request proves; of a postback whose offer is known, whether that is enough is said at once."""
    request, known, fields = stated.request, stated.known, stated.fields
    catalog, is_server = known.catalog.catalog, stated.kind == "postback"
    named = number(fields.values.get("offer_id", "")) or transaction_id.offer_of(stated.transaction_id)
    offer = catalog.offer(named)
    advertiser_id = offer.advertiser_id if offer else number(fields.values.get("advertiser_id", ""))
    proof = known.proofs.of(
        Claim(
            pairs=request.pairs,
            values=fields.values,
            named=catalog.advertiser(advertiser_id),
            ip=stated.caller_ip,
            now_ms=request.received_ms,
            is_server=is_server,
        ),
        fields.problems,
    )
    if is_server and offer and (lack := known.proofs.lacking(offer, proof)):
        fields.problems.append(lack)
    return proof


def _goal(catalog: Catalog, values: dict[str, str]) -> tuple[str, int]:
    """The goal as stated, and its ID; a name is resolved where the request names the offer too."""
    stated = values.get("goal_id", "").strip()[: parameters.MAX_TEXT]
    if not stated:
        return "", 0
    if (found := number(stated)) or set(stated) == {"0"}:
        return stated, found
    offer = catalog.offer(number(values.get("offer_id", "")))
    resolved = offer.resolve_goal(stated) if offer else None
    return stated, GOAL_UNRESOLVED if resolved is None else resolved


def _sale(fields: Fields) -> tuple[Decimal | None, str]:
    """Amount and currency. An amount in a currency that nobody knows does not count.

    Without its currency it would be taken for one in the payout's: 10000 "YEN" for 10000 dollars.
    """
    amount = _amount(fields)
    text = fields.values.get("currency", "").strip().upper()
    if not text or money.is_currency(text):
        return amount, text
    lost = ", so the amount does not count" if amount is not None else ""
    fields.problems.append(f"currency: not an ISO 4217 code: {text[:10]!r}{lost}")
    return None, ""


def _amount(fields: Fields) -> Decimal | None:
    text = fields.values.get("amount", "").strip()
    if not text:
        return None
    try:
        return money.parse(text)
    except ValueError as error:
        fields.problems.append(f"amount: {error}")
        return None


def _test(fields: Fields) -> bool:
    text = fields.values.get("test", "").strip().lower()
    if text not in _TRUE | _FALSE:
        fields.problems.append(f"test: neither 1 nor 0: {text[:10]!r}")
    return text in _TRUE


def _customer_ip(fields: Fields) -> str:
    text = fields.values.get("ip", "")
    found = address(text)
    if text and not found:
        fields.problems.append("ip: no IP address")
    return found


def _occurred_ms(stated: _Stated) -> int:
    """When the caller says that it happened, where it may say so."""
    received_ms, values, problems = stated.request.received_ms, stated.fields.values, stated.fields.problems
    text = values.get("datetime", "").strip()
    if not text:
        return received_ms
    if stated.kind != "postback":
        problems.append("datetime: only a server may state it")
        return received_ms
    catalog = stated.known.catalog.catalog
    offer = catalog.offer(number(values.get("offer_id", "")))
    advertiser_id = offer.advertiser_id if offer else number(values.get("advertiser_id", ""))
    zone = catalog.time_zone_of(advertiser_id)
    try:
        claimed = moments.read(text, zone, received_ms)
    except ValueError as error:
        problems.append(f"datetime: {error}")
        return received_ms
    if not advertiser_id and moments.is_local(text) and _other_zones(catalog, zone):
        problems.append(f"datetime: without a zone or an offer: read in {zone}")
    return claimed


def _other_zones(catalog: Catalog, zone: str) -> bool:
    """Whether the click's advertiser, whom only the joiner knows, may have another zone."""
    return bool(catalog.time_zones - {zone})
