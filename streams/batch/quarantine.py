"""A record that cannot be used, as the quarantine record that keeps it."""

import base64
import hashlib

import msgspec

from schemas import decisions
from schemas.facts import ReceiptId
from schemas.reasons import Reason
from schemas.wire import decoded
from service.kafka import Outgoing, Record

READER = "joiner"
MAX_VALUE_BYTES = 3_000_000  # as base64 within the topic's limit; a fact topic takes at most 1 MiB
_MAX_DETAIL = 500


class _Receipt(msgspec.Struct):
    receipt_id: ReceiptId


_receipt = msgspec.json.Decoder(_Receipt)


def quarantined(record: Record, reason: Reason, detail: str, at: str) -> Outgoing:
    """What is to be sent: the whole record, why it was no use, and where it lies. at: the worker's clock.

    What has no place (-1) is said to lie at 0: the table's columns know no less.
    """
    receipt_id = _receipt_of(record.value)
    identity = receipt_id or hashlib.sha256(record.value).hexdigest()
    if len(record.value) > MAX_VALUE_BYTES:
        detail = f"{detail}; the record is too large to be copied and lies only in its topic"
    kept = decisions.Quarantine(
        identity=identity,
        receipt_id=receipt_id,
        reader=READER,
        reason=reason,
        detail=detail[:_MAX_DETAIL],
        topic=record.topic,
        partition=max(record.partition, 0),
        offset=max(record.offset, 0),
        key=record.key.decode(errors="backslashreplace")[:_MAX_DETAIL],
        value=base64.b64encode(record.value).decode() if len(record.value) <= MAX_VALUE_BYTES else "",
        at=at,
    )
    return Outgoing("quarantine", identity.encode(), decisions.encode(kept))


def _receipt_of(value: bytes) -> str:
    """The receipt_id where the bytes still tell it, else nothing."""
    try:
        return decoded(_receipt, value).receipt_id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
