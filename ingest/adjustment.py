"""Adjustments: what the network itself states, read strictly. Pure: clock and knowledge come in."""

from typing import Any, Final, NamedTuple

import msgspec

from ingest import body, moments
from ingest.answers import Ending, Result
from ingest.plan import Plan
from ingest.receipts import Receipt
from ingest.request import Knowledge
from schemas import adjustments, times, transaction_id
from schemas.adjustments import MOST, Stated, Wrong
from schemas.catalog import Catalog
from schemas.facts import GOAL_UNRESOLVED, Adjustment, AnyFact
from schemas.reasons import Reason
from schemas.transaction_id import Keyring, Verdict


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and when: the edge's clock, Unix milliseconds."""

    ip: str
    user_agent: str
    received_ms: int


class Requested(NamedTuple):
    """What a request asks for; whether as a list, which is answered by one."""

    members: list[Any]
    is_list: bool


def requested(content: bytes) -> Requested:
    """The adjustments of a request's body: a JSON object, or a list of them; body.Unreadable where none."""
    found = body.json_of(content)
    if isinstance(found, body.Members):
        return Requested([found], is_list=False)
    if not isinstance(found, list) or not 1 <= len(found) <= MOST:
        raise body.Unreadable(f"the body must be an adjustment, or a list of 1 to {MOST}")
    return Requested(found, is_list=True)


def planned(member: object, known: Knowledge, caller: Caller) -> Plan:
    """What one adjustment comes to: a fact, a refusal that says why, or a request to send it again."""
    try:
        stated = adjustments.read(_texts(member))
        found = _transaction(stated.transaction_id, known.keyring)
        if isinstance(found, Result):
            return Plan(result=found)
        contents = _contents(stated, known, caller) | {"transaction_id": found}
    except Wrong as wrong:
        return Plan(result=Result(ending=Ending.MALFORMED, reason=wrong.reason, detail=str(wrong)))

    def build(receipt: Receipt) -> AnyFact:
        return Adjustment(
            kind="adjustment", receipt_id=receipt.receipt_id, previous=receipt.previous, **contents
        )

    return Plan(result=Result(ending=Ending.ACCEPTED), topic="adjustments", build=build, transaction_id=found)


def _texts(member: object) -> dict[str, str]:
    """Every field as text; Wrong where one is stated twice or is none."""
    if not isinstance(member, body.Members):
        raise Wrong("an adjustment is a JSON object")
    texts: dict[str, str] = {}
    for name, value in member:
        if name in texts:
            raise Wrong(f"{name[:40]!r} is stated twice", Reason.CONFLICTING_VALUES)
        try:
            texts[name] = body.text_of(value)
        except ValueError as error:
            raise Wrong(f"{name[:40]!r}: neither text nor number") from error
    return texts


def _transaction(text: str, keyring: Keyring) -> str | Result:
    checked = transaction_id.check(keyring, text)
    if checked.verdict is Verdict.UNKNOWN_KEY:
        return _UNKNOWN_KEY
    if checked.verdict is not Verdict.GENUINE:
        raise Wrong(f"the transaction ID is {checked.verdict.value}", Reason.INVALID_TRANSACTION_ID)
    return checked.transaction_id


_UNKNOWN_KEY: Final = Result(
    ending=Ending.UNAVAILABLE,
    reason=Reason.UNAVAILABLE,
    detail="the transaction ID is signed with a key that this edge does not have yet: send it again",
)


def _contents(stated: Stated, known: Knowledge, caller: Caller) -> dict[str, Any]:
    """Every field of the fact but its receipt and transaction."""
    catalog = known.catalog.catalog
    return {
        "received_at": times.from_ms(caller.received_ms),
        "occurred_at": times.from_ms(_occurred_ms(stated, catalog, caller.received_ms)),
        "edge": known.edge,
        "catalog_version": known.catalog.version,
        "offer_id": stated.offer_id,
        "goal": stated.goal,
        "goal_id": _goal_id(stated, catalog),
        "action": stated.action,
        "status": stated.status,
        "sale_amount": stated.amount,
        "sale_currency": stated.currency,
        "payout": stated.payout,
        "revenue": stated.revenue,
        "conversion_unique_id": stated.conversion_unique_id,
        "test": stated.test,
        "ip": caller.ip,
        "user_agent": caller.user_agent,
        "stated_by": stated.by,
        "why": stated.why,
        "key": stated.key,
        "by_file": stated.by_file,
    }


def _goal_id(stated: Stated, catalog: Catalog) -> int:
    """The goal's ID; a name that the offer here does not tell is the joiner's to resolve."""
    found = adjustments.number(stated.goal or "0")
    if found is not None:
        return found
    offer = catalog.offer(stated.offer_id)
    resolved = offer.resolve_goal(stated.goal) if offer else None
    return GOAL_UNRESOLVED if resolved is None else resolved


def _occurred_ms(stated: Stated, catalog: Catalog, received_ms: int) -> int:
    """When the sale happened that is created; what else is stated is stated now."""
    if not stated.datetime:
        return received_ms
    offer = catalog.offer(stated.offer_id)
    zone = catalog.time_zone_of(offer.advertiser_id if offer else 0)
    try:
        return moments.read(stated.datetime, zone, received_ms)
    except ValueError as error:
        raise Wrong(f"datetime: {str(error).partition(':')[0]}") from error
