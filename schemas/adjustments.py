"""What the network states of a conversion, as it is written: in a file, on a command line, in `/adjust`.

Whoever writes it is known and can write it again, so nothing is guessed and nothing is half taken.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, cast, get_args

import msgspec

from schemas import money
from schemas.catalog import MAX_ID, Status
from schemas.reasons import Reason
from schemas.transaction_id import Kind, kind

MAX_TEXT: Final = 500  # characters, as of every text of a fact
MOST: Final = 100  # adjustments of one request: a few hundred bytes each, within the usual limit on a body

Action = Literal["state", "create", "release"]
ACTIONS: Final = get_args(Action)
STATUSES: Final = get_args(Status)
SAYS: Final = ("status", "amount", "payout", "revenue")
FIELDS: Final = (
    *("transaction_id", "conversion_unique_id", "goal_id", "offer_id", "action"),
    *(*SAYS, "currency", "datetime", "test", "by", "why", "key", "by_file"),
)
_FLAGS: Final = {"": False, "0": False, "1": True}


class Wrong(ValueError):
    """It cannot be taken as it is; the text says what to do about it."""

    def __init__(self, detail: str, reason: Reason = Reason.MALFORMED_EVENT) -> None:
        super().__init__(detail)
        self.reason = reason


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """One adjustment, read; texts are empty and amounts None where nothing is stated.

    goal: an ID, name or alias. datetime: when a created conversion happened, as written.
    """

    transaction_id: str
    conversion_unique_id: str
    goal: str
    offer_id: int
    action: Action
    status: Status | Literal[""]
    amount: Decimal | None
    currency: str
    payout: Decimal | None
    revenue: Decimal | None
    datetime: str
    test: bool
    by: str
    why: str
    key: str
    by_file: bool


def read(texts: Mapping[str, str]) -> Stated:
    """What these fields state; Wrong names the first that cannot be taken."""
    texts = {name: text.strip() for name, text in texts.items()}
    for name, text in texts.items():
        if name not in FIELDS:
            raise Wrong(f"unknown field {name[:40]!r}; there are {', '.join(FIELDS)}")
        if len(text) > MAX_TEXT:
            raise Wrong(f"{name}: more than {MAX_TEXT} characters", Reason.OVER_LIMIT)
    if not texts.get("transaction_id"):
        raise Wrong("the transaction ID is missing", Reason.INVALID_TRANSACTION_ID)
    if kind(texts["transaction_id"]) is Kind.AFFILIATE and not texts.get("conversion_unique_id"):
        detail = "all of an affiliate's orders share this ID: name the order number, else none is meant"
        raise Wrong(detail, Reason.ORDER_NUMBER_MISSING)
    if not texts.get("by"):
        raise Wrong("by: who states it is missing")
    return Stated(
        transaction_id=texts["transaction_id"],
        conversion_unique_id=texts.get("conversion_unique_id", ""),
        goal=texts.get("goal_id", ""),
        offer_id=_id(texts, "offer_id"),
        action=_action(texts),
        status=_status(texts),
        amount=_amount(texts, "amount"),
        currency=_currency(texts),
        payout=_amount(texts, "payout"),
        revenue=_amount(texts, "revenue"),
        datetime=_datetime(texts),
        test=_flag(texts, "test"),
        by=texts["by"],
        why=texts.get("why", ""),
        key=texts.get("key", ""),
        by_file=_flag(texts, "by_file"),
    )


def number(text: str) -> int | None:
    """The ID that a text writes, 0 among them; None where it is none."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)) and int(text) <= MAX_ID
    return int(text) if is_number else None


def _id(texts: Mapping[str, str], name: str) -> int:
    text = texts.get(name, "")
    found = number(text)
    if text and not found:
        raise Wrong(f"{name}: no ID: {text[:40]!r}")
    return found or 0


def _action(texts: Mapping[str, str]) -> Action:
    """What is to be done, and that the rest goes with it."""
    action = texts.get("action", "").lower() or "state"
    if action not in ACTIONS:
        raise Wrong(f"action {action[:40]!r}: write {', '.join(ACTIONS)}")
    says = [name for name in SAYS if texts.get(name)]
    if action == "state" and not says:
        raise Wrong(f"it states nothing: write {', '.join(SAYS)}, or action create or release")
    if action == "release" and says:
        raise Wrong(f"a release takes back what was stated, and states nothing itself: leave out {says[0]}")
    return cast("Action", action)


def _status(texts: Mapping[str, str]) -> Status | Literal[""]:
    status = texts.get("status", "").lower()
    if status and status not in STATUSES:
        raise Wrong(f"status {status[:40]!r}: write {', '.join(STATUSES)}")
    return cast("Status", status)


def _amount(texts: Mapping[str, str], name: str) -> Decimal | None:
    text = texts.get(name, "")
    try:
        return money.written(text) if text else None
    except ValueError as error:
        raise Wrong(f"{name}: {error}") from error


def _currency(texts: Mapping[str, str]) -> str:
    code = texts.get("currency", "").upper()
    if code and not texts.get("amount"):
        raise Wrong("currency is the amount's: payout and revenue are in the goal's own currencies")
    if code and not money.is_currency(code):
        raise Wrong(f"currency: not an ISO 4217 code: {code[:10]!r}")
    return code


def _datetime(texts: Mapping[str, str]) -> str:
    text = texts.get("datetime", "")
    if text and texts.get("action", "").lower() != "create":
        raise Wrong("datetime says when a created conversion happened: only with action create")
    return text


def _flag(texts: Mapping[str, str], name: str) -> bool:
    text = texts.get(name, "")
    if text not in _FLAGS:
        raise Wrong(f"{name}: neither 1 nor 0: {text[:10]!r}")
    return _FLAGS[text]
