"""Clauses: which rule of docs/rules.md made a conversion what it is, told from its row."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.reasons import Reason

# reason -> the clause of the ladder (rule 7) that gives it; a test compares it with the rules' page
LADDER: Final[Mapping[Reason, str]] = {
    Reason.AWAITING_CLICK: "7.1",
    Reason.ADJUSTMENT: "7.2",
    Reason.UPDATED_BY_UPLOAD: "7.2",
    Reason.CREATED_BY_UPLOAD: "7.2",
    Reason.WRONG_PROTOCOL: "7.3",
    Reason.OFFERS_DIFFER: "7.3",
    Reason.IP_NOT_ALLOWED: "7.3",
    Reason.INVALID_TOKEN: "7.3",
    Reason.UNKNOWN_OFFER: "7.4",
    Reason.OFFER_PAUSED: "7.4",
    Reason.AFFILIATE_NOT_APPROVED: "7.4",
    Reason.UNKNOWN_GOAL: "7.5",
    Reason.OUTSIDE_CLICK_WINDOW: "7.6",
    Reason.OUTSIDE_VIEW_WINDOW: "7.6",
    Reason.TOO_SOON: "7.7",
    Reason.AMBIGUOUS_STATEMENT: "7.8",
    Reason.DUPLICATE_CONVERSION: "7.9",
    Reason.TEST_CONVERSION: "7.10",
    Reason.ORDER_NUMBER_MISSING: "7.12",
    Reason.UNKNOWN_STATUS_WORD: "7.13",
    Reason.BOT_CLICK: "7.15",
    Reason.NO_EXCHANGE_RATE: "7.16",
    Reason.OVER_LIMIT: "7.16",
    Reason.NO_CONFIRMATION: "7.17",
    Reason.NEEDS_APPROVAL: "7.19",
    Reason.NONE: "7.21",
}
# The same where nobody stated the status of what the network created.
CREATED: Final = "7.20"
_BY_NETWORK: Final = (Reason.ADJUSTMENT, Reason.UPDATED_BY_UPLOAD, Reason.CREATED_BY_UPLOAD)
_STATED: Final = {"rejected": "7.11", "pending": "7.14"}
BY_WORD: Final = ("7.2", "7.11", "7.13", "7.14", "7.18")  # by which somebody's word decides the status
_ELSEWHERE: Final = "7.4"  # a click that was not sent to the offer gives its own reason

_CREDIT: Final = {"click": "4.1", "impression": "4.3", "": "4.7"}
_SHARED: Final = {"click": "4.11", "impression": "4.13", "": "4.7"}


def of(row: Mapping[str, Any]) -> dict[str, str]:
    """By question the clause that answers it: status, credit; payout, revenue where a price was looked up."""
    found = {"status": _status(row), "credit": _credit(row)}
    return found | {side: clause for side in ("payout", "revenue") if (clause := _price(row, side))}


def _status(row: Mapping[str, Any]) -> str:
    if row["reason"] == Reason.STATED_BY_ADVERTISER:
        return _STATED.get(row["status"], "")
    is_stated = any(each.startswith("status ") for each in row["spoke"])
    if row["reason"] == Reason.NONE and is_stated:
        return "7.18"
    if row["reason"] in _BY_NETWORK and not is_stated:
        return CREATED
    return LADDER.get(row["reason"], _ELSEWHERE)


def _credit(row: Mapping[str, Any]) -> str:
    is_shared = str(row["transaction_id"])[:1] in ("a", "d")
    return (_SHARED if is_shared else _CREDIT).get(row["credited_by"], "")


def _price(row: Mapping[str, Any], side: str) -> str:
    rule = str(row[f"{side}_rule"])
    if rule == "adjustment":
        return "5.10"
    if row[f"{side}_rate"] not in (0, 1):
        return "5.6"
    return "5.4" if rule.startswith("terms") else "5.1" if rule else ""
