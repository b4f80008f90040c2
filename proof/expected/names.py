"""Rule 6: what conversions are called."""

import hashlib

from proof.expected.identity import Group
from proof.expected.words import Heard


def name_of(transaction_id: str, group: Group, made_by: Heard, *, once: bool) -> str:
    """What counts on a once goal by transaction and goal alone, a person's by its click or first receipt too.

    All others, and every order of an affiliate's, by number or first receipt.
    """
    opened = min(group.said, key=lambda one: (not one.is_report, one.age))
    by_receipt = f"r:{opened.said.receipt}"
    if once and group.counts and not group.ambiguous and transaction_id[0] != "a":
        of_person = f"c:{made_by.visit.receipt}" if made_by.visit else by_receipt
        return _hash(transaction_id, made_by, of_person if transaction_id[0] == "d" else "")
    return _hash(transaction_id, made_by, f"u:{group.number}" if group.number else by_receipt)


def absorbed(transaction_id: str, group: Group, *, once: bool) -> tuple[str, ...]:
    """The names of observations without a number that are in a numbered conversion of a repeating goal."""
    if once or not group.number:
        return ()
    own = [one for one in group.said if one.is_report and not one.said.number]
    return tuple(sorted(_hash(transaction_id, one, f"r:{one.said.receipt}") for one in own))


def _hash(transaction_id: str, one: Heard, last: str) -> str:
    parts = [transaction_id, str(one.goal_id), "test" if one.said.test else "", last]
    return hashlib.sha256("|".join(filter(None, parts)).encode()).hexdigest()[:32]
