"""Rejects: a record that could not be used, as the quarantine keeps it."""

import base64
import hashlib

import msgspec

from schemas import times
from schemas.decisions import Quarantine
from schemas.reasons import Reason
from schemas.wire import decoded
from service.kafka import Record

MAX_VALUE_BYTES = 700_000  # as base64 still under the 1 MB that a producer takes; facts have at most 256 KiB
MAX_DETAIL = 500


class _Receipt(msgspec.Struct):
    receipt_id: str = ""


_receipt = msgspec.json.Decoder(_Receipt)


def quarantined(record: Record, why: str, reader: str, now_ms: int) -> Quarantine:
    """The record whole, with its place and the reason.

    One that is too large for the quarantine is named by its place alone.
    """
    receipt = _receipt_of(record.value)
    large = len(record.value) > MAX_VALUE_BYTES
    detail = f"{len(record.value)} bytes, too large to be kept here; {why}" if large else why
    return Quarantine(
        identity=receipt or hashlib.sha256(record.value).hexdigest(),
        receipt_id=receipt,
        reader=reader,
        reason=Reason.MALFORMED_EVENT,
        detail=detail[:MAX_DETAIL],
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key.decode("utf-8", "replace")[:MAX_DETAIL],
        value="" if large else base64.b64encode(record.value).decode(),
        at=times.from_ms(now_ms),
    )


def _receipt_of(value: bytes) -> str:
    try:
        receipt = decoded(_receipt, value).receipt_id
        receipt.encode()
    except (msgspec.MsgspecError, ValueError):
        return ""
    return receipt[:100]
