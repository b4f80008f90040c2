"""Facts: what the edge accepted, one JSON object a Kafka record, key = transaction_id.

A field left out has its default. Times are `YYYY-MM-DDTHH:MM:SS.mmmZ` (schemas.times), money is a decimal
string, an ID that was not stated is 0, a text that was not stated is empty.
"""

import re
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec

from schemas import times
from schemas.wire import decoded

_TIME: Final = {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
# Keys are made of IDs with a colon or a zero byte between them. (?!\n): to Python `$` also stands before a
# line's end.
_TRANSACTION_ID: Final = {"pattern": r"^[0-9A-Za-z]+$(?!\n)"}
_RECEIPT_ID: Final = {"pattern": r"^[0-9a-z]{23}-[0-9]{1,19}$(?!\n)"}
Time = Annotated[str, msgspec.Meta(**_TIME)]
TransactionId = Annotated[str, msgspec.Meta(max_length=64, **_TRANSACTION_ID)]
ReceiptId = Annotated[str, msgspec.Meta(**_RECEIPT_ID)]
# What `check` holds to the same forms: msgspec takes three quarters of a fact's decoding for four patterns.
_Time = Annotated[str, msgspec.Meta(extra_json_schema=_TIME)]
_TransactionId = Annotated[str, msgspec.Meta(max_length=64, extra_json_schema=_TRANSACTION_ID)]
_ReceiptId = Annotated[str, msgspec.Meta(extra_json_schema=_RECEIPT_ID)]
Epoch = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-z]{23}$(?!\n)")]
Sequence = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
UInt16 = Annotated[int, msgspec.Meta(ge=0, le=2**16 - 1)]  # the tables' types
UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
GoalId = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=500)]  # TUNE's limit for sub IDs
Url = Annotated[str, msgspec.Meta(max_length=8192)]
Amount = Annotated[Decimal, msgspec.Meta()]
Currency = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{3})?$(?!\n)")]

MAX_RECORD_BYTES = 256 * 1024  # over twice the largest fact the edge's limits let through

GOAL_UNRESOLVED = -1
UNVERIFIED = "transaction_id: signed with a key that the edge did not have yet"  # a problem of a pixel's


class Malformed(ValueError):
    """The bytes are no valid fact; the text says why."""


class Predecessor(msgspec.Struct, frozen=True, kw_only=True):
    """On an epoch's first record: what this edge's journal answered last before it."""

    epoch: str
    last: int


# gc=False: no cycle can go through a fact. To look for them took an eighth of the time of a restore.
class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every accepted event has.

    receipt_id: `{epoch}-{sequence}`; sequence counts without gaps from 1 all that the epoch accepted.
    received_at: the edge's clock when it accepted the event.
    occurred_at: the caller's claim where it may make one, else received_at.
    edge: the collector's configured name; nothing rests on it.
    catalog_version: the catalog by which the edge accepted it.
    previous: only on an epoch's first record.
    """

    receipt_id: _ReceiptId
    transaction_id: _TransactionId
    received_at: _Time
    occurred_at: _Time
    edge: str
    catalog_version: UInt32
    previous: Predecessor | None = None


class Visit(Fact, frozen=True, kw_only=True):
    """A person met an ad: what a click and an impression have in common.

    host: the tracking host that was asked.
    country_code … asn: where the visitor's network is, empty or 0 where unknown.
    device_type: desktop, mobile, tablet, bot or empty.
    client_hints: the Sec-CH-UA headers as sent.
    consent: the consent signals as stated, `name=value` joined by `;`.
    is_unique: the browser had no valid cookie of this offer from the last 24 h.
    is_bot: the user agent says that it is a program.
    params: every other query parameter, at most 2 KiB in all.
    """

    offer_id: Id
    affiliate_id: Id = 0
    advertiser_id: Id = 0
    aff_sub: Text = ""
    aff_sub2: Text = ""
    aff_sub3: Text = ""
    aff_sub4: Text = ""
    aff_sub5: Text = ""
    aff_unique1: Text = ""
    aff_unique2: Text = ""
    aff_unique3: Text = ""
    aff_unique4: Text = ""
    aff_unique5: Text = ""
    aff_click_id: Text = ""
    source: Text = ""
    url_id: Id = 0
    creative_id: Text = ""
    host: Text = ""
    country_code: str = ""
    region: str = ""
    city: str = ""
    asn: UInt32 = 0
    device_type: str = ""
    device_os: str = ""
    os_version: str = ""
    device_brand: str = ""
    browser: str = ""
    language: str = ""
    client_hints: dict[str, str] = {}
    consent: str = ""
    ip: str = ""
    user_agent: str = ""
    referer: Url = ""
    is_bot: bool = False
    is_unique: bool = False
    params: dict[str, str] = {}


class Click(Visit, frozen=True, kw_only=True, tag_field="kind", tag="click"):
    """A person followed a tracking link.

    redirect_url: where the person was sent.
    redirect_reason: why elsewhere than to the offer (schemas.reasons), 0 when to the offer.
    """

    redirect_url: Url = ""
    redirect_reason: UInt16 = 0


class Impression(Visit, frozen=True, kw_only=True, tag_field="kind", tag="impression"):
    """A person was shown an ad."""


class Statement(Fact, frozen=True, kw_only=True):
    """An observation: what somebody stated about a conversion.

    offer_id, advertiser_id, affiliate_id: as stated, 0 where not.
    goal: as stated, by ID, name or alias; goal_id: 0 where none is stated, the ID where the edge could tell,
        else GOAL_UNRESOLVED, and the worker, who knows the click's offer, resolves it.
    sale_amount: the order's total; sale_currency: ISO 4217, empty where not stated.
    status: the caller's own word, unmapped.
    conversion_unique_id: the advertiser's order number.
    problems: what will not count as sent, as the verdict named it.
    """

    offer_id: Id = 0
    advertiser_id: Id = 0
    affiliate_id: Id = 0
    goal: Text = ""
    goal_id: GoalId = 0
    sale_amount: Amount | None = None
    sale_currency: Currency = ""
    status: Text = ""
    conversion_unique_id: Text = ""
    ip: str = ""
    user_agent: str = ""
    referer: Url = ""
    test: bool = False
    params: dict[str, str] = {}
    problems: tuple[str, ...] = ()


class Observation(Statement, frozen=True, kw_only=True):
    """What an advertiser's page or server states.

    proven_by: `token`, `signature:KEY`, `allow_from`, or empty: the strongest that the request proved.
    proven_for: the advertisers whose secret or network it was: it proves nothing of another's offers.
    ip, user_agent: the caller's; conversion_ip, conversion_user_agent: the customer's, as stated.
    user_id: hashed at the edge.
    """

    proven_by: Text = ""
    proven_for: tuple[Id, ...] = ()
    conversion_ip: str = ""
    conversion_user_agent: Url = ""
    adv_sub: Text = ""
    adv_sub2: Text = ""
    adv_sub3: Text = ""
    adv_sub4: Text = ""
    adv_sub5: Text = ""
    adv_unique1: Text = ""
    adv_unique2: Text = ""
    adv_unique3: Text = ""
    adv_unique4: Text = ""
    adv_unique5: Text = ""
    promo_code: Text = ""
    user_id: str = ""
    consent: str = ""


class Pixel(Observation, frozen=True, kw_only=True):
    """A confirmation page in a browser fired our image or iframe."""

    kind: Literal["pixel", "iframe"]


class Postback(Observation, frozen=True, kw_only=True):
    """The advertiser's server called."""

    kind: Literal["postback"]


class Adjustment(Statement, frozen=True, kw_only=True):
    """What the network itself states, by hand or by file.

    action: `state` changes what is named, `create` makes a conversion that nobody reported, `release` takes
        earlier statements of the network back.
    payout, revenue: what is owed from now on, in the goal's currencies.
    stated_by, why: who, and in whose words.
    key: the caller's own name for it: of several of one transaction under one key the first received counts.
    """

    kind: Literal["adjustment"]
    action: Literal["state", "create", "release"] = "state"
    payout: Amount | None = None
    revenue: Amount | None = None
    stated_by: Text
    why: Text = ""
    by_file: bool = False
    key: Text = ""


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """An edge's word, each minute, on how far an epoch has come; compared by `audit` with what was stored.

    last: every number up to it is on the edge's stable storage; at: by the edge's clock.
    """

    edge: str
    epoch: Epoch
    last: Sequence
    at: Time


AnyFact = Click | Impression | Pixel | Postback | Adjustment

TYPES: dict[str, type[AnyFact]] = {
    "clicks": Click,
    "impressions": Impression,
    "pixels": Pixel,
    "postbacks": Postback,
    "adjustments": Adjustment,
}
TOPIC_OF: Final = {kind: topic for topic, kind in TYPES.items()}

_IDS: Final = re.compile("[0-9a-z]{23}-[0-9]{1,19} [0-9A-Za-z]+").fullmatch  # as above; once for both
_ENCODER = msgspec.json.Encoder()
_DECODERS = {topic: msgspec.json.Decoder(kind) for topic, kind in TYPES.items()}


def encode(fact: AnyFact | Tail) -> bytes:
    """One JSON object, UTF-8, without a line break."""
    return _ENCODER.encode(fact)


def decode(topic: str, value: bytes) -> AnyFact:
    """The fact that a record of this topic holds; Malformed where it holds none."""
    if len(value) > MAX_RECORD_BYTES:
        raise Malformed(f"{len(value)} bytes, more than {MAX_RECORD_BYTES}")
    try:
        if not value.isascii():
            value.decode()  # msgspec reads over broken text in a field that nobody knows; ClickHouse does not
        fact = decoded(_DECODERS[topic], value)
        check(fact)
        if isinstance(fact, Statement):
            _check_amounts(fact)
    except (ValueError, msgspec.DecodeError) as error:
        raise Malformed(str(error)) from error
    return fact


def check(fact: AnyFact) -> None:
    """ValueError where its IDs or its times are none: decoders other than `decode` do not look at them."""
    if _IDS(f"{fact.receipt_id} {fact.transaction_id}") is None:
        raise ValueError(f"no receipt and transaction: {fact.receipt_id[:64]!r}, {fact.transaction_id!r}")
    times.to_ms(fact.received_at)
    times.to_ms(fact.occurred_at)


def _check_amounts(fact: Statement) -> None:
    _check_amount(fact.sale_amount)
    if isinstance(fact, Adjustment):
        _check_amount(fact.payout)
        _check_amount(fact.revenue)


def _check_amount(amount: Decimal | None) -> None:
    """Holds an amount to what the tables keep: Decimal(18, 6), not negative."""
    if amount is None:
        return
    if not amount.is_finite() or amount < 0 or amount >= 10**12:
        raise ValueError(f"amount {amount} is not between 0 and 10^12")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and not -6 <= exponent <= 12:  # noqa: PLR2004  the tables' places
        raise ValueError(f"amount {amount} has more than six places, or an exponent beyond twelve")
