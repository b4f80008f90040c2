"""Decisions: what the joiner, the notifier and the edge conclude, one JSON object a Kafka record."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from schemas.facts import Click, GoalId, Impression, Time, TransactionId
from schemas.wire import decoded

RULES_RELEASE = 2  # the highest part of a case's version: raised whenever the rules give other results
ZERO = Decimal(0)

Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Status = Literal["approved", "pending", "rejected"]


class Conversion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conversion as it stands.

    conversion_id: 32 hex digits; stays the same whatever is learned later (design, names and versions).
    conversion_unique_id: the advertiser's order number, empty where none was stated.
    reason: why the status is not simply approved (schemas.reasons); reason_detail: the same with its numbers.
    duplicate_of: the conversion_id that this one repeats.
    payout, revenue: owed now, 0 unless approved; *_nominal: what the terms give.
    payout_rule, revenue_rule: which price: `goal` or `terms[N]`; *_rate: the exchange rate, 1 within one
        currency, 0 where no price was looked up.
    credited_by: `click` or `impression`, empty while nothing is credited.
    occurred_at, received_at: of the observation that made it.
    observations: how many; observed_by: their kinds, sorted; receipts: their receipt IDs, sorted.
    aff_sub … is_bot: the credited click's.
    absorbs: IDs under which parts of it were known before an order number joined them.
    adjusted_by, adjusted_at, adjusted_why: who of the network stated something of it last, when, and why.
    spoke: of several statements those that spoke, `FIELD RECEIPT`. unheard: those that have no say,
        `RECEIPT: why`.
    """

    conversion_id: str
    conversion_unique_id: str = ""
    offer_id: int = 0
    affiliate_id: int = 0
    advertiser_id: int = 0
    status: Status
    reason: int = 0
    reason_detail: str = ""
    duplicate_of: str = ""
    payout: Decimal = ZERO
    payout_currency: str = ""
    revenue: Decimal = ZERO
    revenue_currency: str = ""
    payout_nominal: Decimal = ZERO
    revenue_nominal: Decimal = ZERO
    payout_rule: str = ""
    revenue_rule: str = ""
    payout_rate: Decimal = ZERO
    revenue_rate: Decimal = ZERO
    sale_amount: Decimal = ZERO
    sale_currency: str = ""
    credited_by: Literal["", "click", "impression"] = ""
    click_receipt_id: str = ""
    clicked_at: Time | None = None
    occurred_at: Time
    received_at: Time
    observations: int = 0
    observed_by: tuple[str, ...] = ()
    receipts: tuple[str, ...] = ()
    aff_sub: str = ""
    aff_sub2: str = ""
    aff_sub3: str = ""
    aff_sub4: str = ""
    aff_sub5: str = ""
    aff_click_id: str = ""
    aff_unique1: str = ""
    aff_unique2: str = ""
    aff_unique3: str = ""
    aff_unique4: str = ""
    aff_unique5: str = ""
    source: str = ""
    url_id: int = 0
    creative_id: str = ""
    country_code: str = ""
    device_type: str = ""
    device_os: str = ""
    is_bot: bool = False
    promo_code: str = ""
    adv_sub: str = ""
    adv_sub2: str = ""
    adv_sub3: str = ""
    adv_sub4: str = ""
    adv_sub5: str = ""
    test: bool = False
    flags: tuple[str, ...] = ()
    absorbs: tuple[str, ...] = ()
    catalog_version: int = 0
    adjusted_by: str = ""
    adjusted_at: Time | None = None
    adjusted_why: str = ""
    spoke: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All conversions of one (transaction_id, goal_id, number), replacing what was emitted before.

    number: with affiliate identifiers each order number is a case of its own, and a statement without one by
        itself, under its receipt_id. With derived ones the receipt_id of the credited visit, or of the first
        statement while there is none: what a person did long ago stands while it buys again. Else empty.
    version: (RULES_RELEASE << 32) + how many distinct facts the transaction has ever had.
    decided_at: the worker's clock; no part of the content.
    visits: the clicks and impressions by which its observations are judged, whole: they are known when they
        have expired, and a lost state comes back from this topic.
    """

    transaction_id: TransactionId
    goal_id: GoalId
    number: str = ""
    version: Version
    decided_at: Time
    conversions: tuple[Conversion, ...] = ()
    visits: tuple[Click | Impression, ...] = ()


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an affiliate's tracker is to be told, once.

    notice_id: 32 hex digits, hash of conversion, subscription, status and, where subscribed, the amount.
    subscription: 16 hex digits, hash of affiliate and its URL as written in the catalog, or that one's `id`.
    url: complete, macros filled in.
    """

    notice_id: str
    transaction_id: str
    conversion_id: str
    version: int
    affiliate_id: int
    offer_id: int
    subscription: str
    status: Status
    url: str
    decided_at: Time


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt to tell a partner.

    subscription: the notice's; with the version, how the notifier knows what it told last.
    outcome: `delivered` (2xx), `refused` (our policy forbids the address, or something newer was told),
        `failed` (may be tried again), `dead` (given up). ended: nothing more will be tried.
    """

    notice_id: str
    transaction_id: str
    conversion_id: str
    version: int
    affiliate_id: int
    offer_id: int
    subscription: str = ""
    url: str
    attempt: int
    outcome: Literal["delivered", "refused", "failed", "dead"]
    http_status: int = 0
    detail: str = ""
    ended: bool
    at: Time
    took_ms: int = 0


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that could not be used, with all that is needed to use it later.

    identity: the receipt_id where it can be read, else the SHA-256 of the bytes, hex.
    reader: who could not use it: `collector`, `joiner`, `writer` or `notifier`. A record that Kafka
        refused comes from the collector, and has no place: partition and offset are 0.
    value: the record's bytes, base64.
    """

    identity: str
    receipt_id: str = ""
    reader: str
    reason: int
    detail: str = ""
    topic: str
    partition: int
    offset: int
    key: str = ""
    value: str = ""
    at: Time


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that could belong to nothing, or that nothing could take; holds no secret, nothing personal.

    query: the query string, cut at 2 KiB, without the values of secret and personal parameters.
    """

    refusal_id: str
    at: Time
    edge: str
    path: str
    outcome: Literal["refused", "unavailable"]
    reason: int
    detail: str = ""
    query: str = ""
    offer_id: int = 0
    affiliate_id: int = 0
    transaction_id: str = ""
    ip: str = ""
    user_agent: str = ""


AnyDecision = Case | Notice | Delivery | Quarantine | Refusal

TYPES: dict[str, type[AnyDecision]] = {
    "conversions": Case,
    "notices": Notice,
    "deliveries": Delivery,
    "quarantine": Quarantine,
    "refusals": Refusal,
}

_ENCODER = msgspec.json.Encoder()
_DECODERS = {topic: msgspec.json.Decoder(kind) for topic, kind in TYPES.items()}


def encode(decision: AnyDecision) -> bytes:
    """One JSON object, UTF-8, without a line break."""
    return _ENCODER.encode(decision)


def decode(topic: str, value: bytes) -> AnyDecision:
    """The decision that a record of this topic holds; msgspec.DecodeError where it holds none."""
    return decoded(_DECODERS[topic], value)


def case_key(transaction_id: str, goal_id: int, number: str = "") -> bytes:
    """The key by which the topic `conversions` is compacted; no two cases share one: an ID holds no colon."""
    return f"{transaction_id}:{goal_id}{':' if number else ''}{number}".encode()
