"""What conversions and notices are called: rule 6 of streams.rules.decide."""

import hashlib

from schemas.decisions import Conversion
from schemas.transaction_id import Kind, kind
from streams.rules.grouping import Group


def digest(*parts: str) -> str:
    """32 hex digits of SHA-256 over the parts, joined by `|`."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]


def conversion_id(transaction_id: str, goal_id: int, group: Group, *, click: str = "", test: bool) -> str:
    """The ID stays whatever is learned later: what counts on a once goal needs no number to have one.

    With an affiliate identifier each order is a case of its own, and its number a part of every name. With a
    person's a once goal counts once for each click, whose receipt is a part of the name; before it is known,
    the first statement's.
    """
    case = _case(transaction_id, goal_id, test=test)
    if group.place == "counts":
        whose = kind(transaction_id)
        if whose is Kind.DERIVED:
            return digest(case, f"c:{click}" if click else _by_receipt(group.statements[0].receipt_id))
        if whose is not Kind.AFFILIATE:
            return digest(case)
    return digest(case, f"u:{group.number}" if group.number else _by_receipt(group.statements[0].receipt_id))


def persons_case_number(conversion: Conversion) -> str:
    """With a person's identifier: what tells the case of this conversion from the person's others.

    What it is credited to; before that is known, its first receipt.
    """
    return conversion.click_receipt_id or conversion.receipts[0]


def absorbed(transaction_id: str, goal_id: int, group: Group, *, test: bool) -> tuple[str, ...]:
    """The IDs under which parts of a numbered conversion may have been known before the number came."""
    if group.place != "separate" or not group.number:
        return ()
    case = _case(transaction_id, goal_id, test=test)
    bare = [one.receipt_id for one in group.statements if not one.conversion_unique_id]
    return tuple(sorted(digest(case, _by_receipt(receipt)) for receipt in bare))


def _case(transaction_id: str, goal_id: int, *, test: bool) -> str:
    """What the names of all conversions of a case begin with."""
    return f"{transaction_id}|{goal_id}|test" if test else f"{transaction_id}|{goal_id}"


def _by_receipt(receipt_id: str) -> str:
    return f"r:{receipt_id}"
