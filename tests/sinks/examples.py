"""Valid records to start from."""

from typing import Any

import msgspec

from schemas import decisions, facts
from schemas.decisions import Case, Conversion, Notice
from schemas.facts import Click, Postback
from service.kafka import Record

EPOCH = "0123456789abcdefghjkmnp"
AT = "2026-11-23T10:00:00.000Z"
CLICK = Click(
    receipt_id=f"{EPOCH}-1",
    transaction_id="t1",
    received_at=AT,
    occurred_at=AT,
    edge="e",
    catalog_version=1,
    offer_id=7,
    affiliate_id=42,
    advertiser_id=1,
    aff_click_id="theirs",
    is_unique=True,
)
POSTBACK = Postback(
    receipt_id=f"{EPOCH}-2",
    transaction_id="t1",
    received_at=AT,
    occurred_at=AT,
    edge="e",
    catalog_version=1,
    kind="postback",
)
CONVERSION = Conversion(
    conversion_id="c" * 32,
    status="approved",
    occurred_at=AT,
    received_at=AT,
    offer_id=7,
    affiliate_id=42,
    advertiser_id=1,
)
CASE = Case(transaction_id="t1", goal_id=0, version=1, decided_at=AT, conversions=(CONVERSION,))
NOTICE = Notice(
    notice_id="a" * 32,
    transaction_id="t1",
    conversion_id="c" * 32,
    version=1,
    affiliate_id=42,
    offer_id=7,
    subscription="b" * 16,
    status="approved",
    url="http://tracker.example/cb?cid=1",
    decided_at=AT,
)


def changed(example: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(example, **fields)


def click(sequence: int, **fields: Any) -> Click:
    one: Click = changed(CLICK, receipt_id=f"{EPOCH}-{sequence}", transaction_id=f"t{sequence}", **fields)
    return one


def record(topic: str, offset: int, value: bytes, partition: int = 0) -> Record:
    return Record(topic, partition, offset, 1_763_892_000_000, b"t1", value)


def statement(topic: str, offset: int) -> Record:
    """A pixel, postback or adjustment."""
    own = {"kind": topic.removesuffix("s"), **({"stated_by": "ann"} if topic == "adjustments" else {})}
    common = {name: getattr(POSTBACK, name) for name in facts.Fact.__struct_fields__}
    return record(topic, offset, facts.encode(facts.TYPES[topic](**common | own)))


def clicks(count: int, first: int = 0) -> list[Record]:
    return [record("clicks", n, facts.encode(click(n + 1))) for n in range(first, first + count)]


def case(offset: int, one: Case = CASE) -> Record:
    return record("conversions", offset, decisions.encode(one))
