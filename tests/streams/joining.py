"""Sample facts, a decider that is easy to predict, and what reads the joiner's records back."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from schemas import decisions, facts, times, transaction_id
from schemas.decisions import Case, Conversion, Notice, Quarantine, Status
from schemas.facts import UNVERIFIED, AnyFact, Click, Impression, Pixel, Postback, Statement
from schemas.transaction_id import Keyring
from service.kafka import Outgoing, Record
from streams.rules.decide import CatalogMissing
from streams.rules.former import Former
from streams.rules.merge import order

NOON_MS = times.to_ms("2026-11-23T12:00:00.000Z")
EPOCH = "0000000000000000000test"


_Kind = TypeVar("_Kind", Click, Pixel, Postback)


class Verdict(msgspec.Struct):
    cases: dict[int, tuple[Conversion, ...]]
    visits: dict[str, list[Click]]
    notices: list[Notice]
    late: dict[str, str] = {}

    def told_as(self, _former: Former, _status: Status) -> list[Notice]:
        """Nobody is told that a conversion is not theirs."""
        return []


def decide(known: Sequence[AnyFact], newest_catalog: int = 1) -> Verdict:
    """A conversion a goal: approved and told once there is a click, its amount the greatest stated one."""
    if (needed := max(fact.catalog_version for fact in known)) > newest_catalog:
        raise CatalogMissing(needed)
    clicks = sorted((each for each in known if isinstance(each, Click)), key=lambda each: each.receipt_id)
    stated: dict[int, list[Statement]] = defaultdict(list)
    for fact in known:
        if isinstance(fact, Statement):
            stated[fact.goal_id].append(fact)
    cases = {
        goal: (_conversion(goal, clicks, said),) for goal, said in stated.items() if not _taken_back(said)
    }
    notices = [_notice(known[0], each) for found in cases.values() for each in found if clicks]
    return Verdict(cases, {one.receipt_id: clicks[-1:] for said in stated.values() for one in said}, notices)


def judging(some: Iterable[Sequence[Click | Impression]]) -> tuple[Click | Impression, ...]:
    """What a case carries of the visits by which its observations are judged."""
    found = {visit.receipt_id: visit for visits in some for visit in visits}
    return tuple(sorted(found.values(), key=order))


def _taken_back(said: list[Statement]) -> bool:
    return any(each.status == "never" for each in said)


def _conversion(goal: int, clicks: list[Click], said: list[Statement]) -> Conversion:
    return Conversion(
        conversion_id=hashlib.sha256(f"{said[0].transaction_id}:{goal}".encode()).hexdigest()[:32],
        status="approved" if clicks else "pending",
        affiliate_id=42 if clicks else 0,
        occurred_at=min(each.occurred_at for each in said),
        received_at=min(each.received_at for each in said),
        click_receipt_id=clicks[-1].receipt_id if clicks else "",
        sale_amount=max(each.sale_amount or Decimal(0) for each in said),
        observations=len(said),
        receipts=tuple(sorted(each.receipt_id for each in said)),
    )


def _notice(fact: AnyFact, conversion: Conversion) -> Notice:
    return Notice(
        notice_id=conversion.conversion_id[::-1],
        transaction_id=fact.transaction_id,
        conversion_id=conversion.conversion_id,
        version=0,
        affiliate_id=42,
        offer_id=7,
        subscription="0" * 16,
        status=conversion.status,
        url="https://tracker.example/",
        decided_at=times.from_ms(0),
    )


def click(transaction: str = "t1", sequence: int = 1, **changed: object) -> Click:
    return _made(Click, transaction, sequence, {"offer_id": 7, "affiliate_id": 42} | changed)


def impression(transaction: str = "t1", sequence: int = 1, **changed: object) -> Impression:
    return _made(Impression, transaction, sequence, {"offer_id": 7, **changed})


def postback(transaction: str = "t1", sequence: int = 2, **changed: object) -> Postback:
    return _made(Postback, transaction, sequence, {"kind": "postback", "sale_amount": Decimal(9)} | changed)


def unverified_pixel(signs: Keyring, sequence: int) -> Pixel:
    """As an edge ships one whose ID names a key that it lacks."""
    stated = transaction_id.make(signs, NOON_MS, sequence.to_bytes(7))
    return _made(Pixel, stated, sequence, {"kind": "pixel", "problems": (UNVERIFIED,)})


def _made(kind: type[_Kind], transaction: str, sequence: int, changed: dict[str, object]) -> _Kind:
    at = times.from_ms(NOON_MS + 1_000 * sequence)
    common = {
        "receipt_id": f"{EPOCH}-{sequence}",
        "transaction_id": transaction,
        "received_at": at,
        "occurred_at": at,
        "edge": "e1",
        "catalog_version": 1,
    }
    return kind(**(common | changed))


TOPICS = {Click: "clicks", Impression: "impressions", Pixel: "pixels", Postback: "postbacks"}


def record(fact: AnyFact, offset: int = 0, partition: int = 0) -> Record:
    topic = TOPICS[type(fact)]
    return Record(topic, partition, offset, NOON_MS, fact.transaction_id.encode(), facts.encode(fact))


def cases(sent: Sequence[Outgoing]) -> list[Case]:
    return [msgspec.json.decode(each.value, type=Case) for each in sent if each.topic == "conversions"]


def last_cases(sent: Sequence[Outgoing]) -> dict[tuple[str, int], Case]:
    """What a reader holds in the end: of each case the greatest version."""
    kept: dict[tuple[str, int], Case] = {}
    for case in cases(sent):
        key = case.transaction_id, case.goal_id
        if key not in kept or kept[key].version <= case.version:
            kept[key] = case
    return kept


def content(case: Case) -> Case:
    """The case without what depends on how it came about."""
    return msgspec.structs.replace(case, version=0, decided_at=times.from_ms(0))


def quarantines(sent: Sequence[Outgoing]) -> list[Quarantine]:
    return [msgspec.json.decode(each.value, type=Quarantine) for each in sent if each.topic == "quarantine"]


def version(distinct_facts: int) -> int:
    return decisions.RULES_RELEASE << 32 | distinct_facts
