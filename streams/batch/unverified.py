"""Transaction IDs that an edge took unverified: a browser told them, and their key was not there yet."""

from collections.abc import Callable, Sequence
from typing import Final

from schemas import transaction_id
from schemas.facts import UNVERIFIED
from schemas.transaction_id import Keyring, Kind, Verdict
from service.kafka import Record

Keys = Callable[[], Keyring | None]  # those in force, where this worker has any

_MARK: Final = UNVERIFIED.encode()


def sorted_out(records: Sequence[Record], keys: Keys) -> tuple[list[Record], list[Record]]:
    """Those that may be ours, and those whose ID is forged.

    One whose key is not here either stays: no visit has a forged ID, so without its click it has neither
    affiliate nor money.
    """
    found: tuple[list[Record], list[Record]] = ([], [])
    for record in records:
        doubted = record.topic == "pixels" and _MARK in record.value
        found[doubted and _forged(record.key, keys())].append(record)
    return found


def _forged(key: bytes, keyring: Keyring | None) -> bool:
    text = key.decode(errors="replace")
    if keyring is None or transaction_id.kind(text) is not Kind.RANDOM:
        return False  # the key of an offer's derived IDs may lie with the edges alone
    return transaction_id.check(keyring, text).verdict is Verdict.FORGED
