"""What is decided together, and where what comes of it lies: by the kind of a transaction's identifier."""

import hashlib
from typing import Final, NamedTuple

from schemas.facts import Statement
from schemas.transaction_id import Kind, kind

_PART_BYTES: Final = 16  # two order numbers must not meet by accident: they would be one conversion


class Bundle(NamedTuple):
    """What is decided together: a transaction's statements, or those of one order number.

    part: only with an affiliate identifier, under which many orders meet; else empty. See `bundle_of`.
    """

    transaction_id: str
    part: bytes = b""


def is_shared(transaction_id: str) -> bool:
    """Whether it is no single click's: a derived or an affiliate identifier."""
    return not transaction_id[:1].isdecimal() and kind(transaction_id) in (Kind.DERIVED, Kind.AFFILIATE)


def is_persons(transaction_id: str) -> bool:
    """Whether it is derived from a person: decided together, kept and sent click by click."""
    return not transaction_id[:1].isdecimal() and kind(transaction_id) is Kind.DERIVED


def case_number(statement: Statement) -> str:
    """What tells cases of one transaction and goal apart: with affiliate identifiers, else nothing."""
    if statement.transaction_id[:1].isdecimal() or kind(statement.transaction_id) is not Kind.AFFILIATE:
        return ""
    return statement.conversion_unique_id or statement.receipt_id


def bundle_of(transaction_id: str, case_number: str) -> Bundle:
    """The bundle in which a transaction's cases with this number are decided."""
    return Bundle(transaction_id) if is_persons(transaction_id) else place_of(transaction_id, case_number)


def place_of(transaction_id: str, case_number: str) -> Bundle:
    """Where the cases with this number lie: with a person's identifier each apart, else with their bundle."""
    if not case_number:
        return Bundle(transaction_id)
    return Bundle(transaction_id, hashlib.blake2b(case_number.encode(), digest_size=_PART_BYTES).digest())


def order_memory(transaction_id: str, order_number: str) -> Bundle:
    """By what a person's order is remembered when its statements are no longer kept."""
    return place_of(transaction_id, f"order {order_number}")
