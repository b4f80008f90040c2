"""What the naive reading speaks of: visits, statements, and conversions that must stand."""

from decimal import Decimal
from typing import Literal

import msgspec

UNRESOLVED = -1  # the goal of a word that the edge did not know

Age = tuple[int, str, int]


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A click or an impression, as far as outcomes rest on it. Times are Unix milliseconds."""

    kind: Literal["click", "impression"]
    receipt: str
    received_ms: int
    occurred_ms: int
    catalog_version: int
    offer_id: int
    affiliate_id: int
    country: str = ""
    device: str = ""
    source: str = ""
    is_bot: bool = False
    redirect_reason: int = 0


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """An observation or an adjustment as it was sent: `status` and `currency` are the caller's own words.

    goal: the caller's word; goal_id: what the edge made of it, UNRESOLVED where it could not.
    proven_by: what a postback proved itself with, `signature:KEY`, `token`, `allow_from` or nothing.
    proven_for: the advertisers whose that proof is.
    action, payout, revenue, by_file, key, by, why: only of adjustments.
    """

    kind: Literal["pixel", "iframe", "postback", "adjustment"]
    receipt: str
    received_ms: int
    occurred_ms: int
    catalog_version: int
    proven_by: str = ""
    proven_for: tuple[int, ...] = ()
    offer_id: int = 0
    goal: str = ""
    goal_id: int = 0
    amount: Decimal | None = None
    currency: str = ""
    status: str = ""
    number: str = ""
    test: bool = False
    action: Literal["state", "create", "release"] = "state"
    payout: Decimal | None = None
    revenue: Decimal | None = None
    by_file: bool = False
    key: str = ""
    by: str = ""
    why: str = ""

    @property
    def is_report(self) -> bool:
        """Whether it may make a conversion: an observation, or what the network creates."""
        return self.kind != "adjustment" or self.action == "create"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion that must stand.

    number: the advertiser's order number. kinds, receipts: of all that speaks of it, sorted.
    name: its ID; duplicate_of: that of the one that it repeats; absorbs: those of its parts, sorted.
    case: what tells apart the cases of one transaction and goal (schemas.decisions.Case.number).
    visit: the receipt of the click or impression that gets it.
    rules: which prices gave payout and revenue; rates: by which they were converted, 0 where none was asked.
    version: the catalog's that was read. adjusted: who of the network spoke of it last, and why.
    is_before: whether the clocks put it before its visit.
    """

    goal_id: int
    number: str
    status: str
    reason: int
    affiliate_id: int
    payout: Decimal
    revenue: Decimal
    payout_currency: str
    revenue_currency: str
    observations: int
    kinds: tuple[str, ...]
    test: bool
    name: str
    case: str
    duplicate_of: str
    absorbs: tuple[str, ...]
    receipts: tuple[str, ...]
    offer_id: int
    credited_by: str
    visit: str
    occurred_ms: int
    received_ms: int
    nominal: tuple[Decimal, Decimal]
    rules: tuple[str, str]
    rates: tuple[Decimal, Decimal]
    amount: Decimal
    currency: str
    version: int
    adjusted: tuple[str, str]
    is_before: bool


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A statement and what is known of it by itself.

    about: the visit that it speaks of: its click, else its impression; None while none is known.
    visit: the one of the two that gets what it makes.
    goal_id: that of its case. trust: 5 for the network to 1 for a pixel.
    forbidden: why it may not make a conversion, 0 where it may.
    """

    said: Statement
    about: Visit | None
    visit: Visit | None
    goal_id: int
    trust: int
    forbidden: int

    @property
    def age(self) -> Age:
        """When it was received; of one millisecond the lesser receipt first."""
        return age(self.said)

    @property
    def is_report(self) -> bool:
        """Whether it may make a conversion: an observation, or what the network creates."""
        return self.said.is_report


def age(one: Statement | Visit) -> Age:
    """The order of receiving: receipt 10 comes after 9."""
    epoch, _, number = one.receipt.rpartition("-")
    return (one.received_ms, epoch, int(number)) if number.isdecimal() else (one.received_ms, one.receipt, 0)
