"""Batches: the records of one flush as JSONEachRow lines for each table: their own bytes, checked."""

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas import decisions, facts
from schemas.tables import TABLES_OF_TOPIC
from schemas.topics import FACTS, TAILS
from schemas.wire import decoded
from service.kafka import Partition, Record

TOPICS = tuple(TABLES_OF_TOPIC)
"""The topics that end in ClickHouse."""


class Row(NamedTuple):
    """A record and the line that stores it."""

    record: Record
    line: bytes


class Bad(NamedTuple):
    """A record that cannot be stored, and why."""

    record: Record
    why: str


class Sorted(NamedTuple):
    """What one flush does: rows for each table, and the records that are not what their topic holds."""

    tables: dict[str, list[Row]]
    bad: list[Bad]


class _Case(msgspec.Struct):
    transaction_id: facts.TransactionId
    goal_id: facts.GoalId
    version: decisions.Version
    decided_at: str
    number: str = ""


class _Delivery(msgspec.Struct):
    notice_id: str
    conversion_id: str
    at: str


class _Quarantine(msgspec.Struct):
    identity: str
    reader: str
    at: str


class _Refusal(msgspec.Struct):
    refusal_id: str
    at: str


# A fact is checked as the joiner does it (3 us): it counts as good or is quarantined, never both. Of what we
# wrote ourselves, only what a row cannot be without (0.3 us): ClickHouse would fill in empty text and 1970.
_CHECKS: Final[dict[str, Callable[[bytes], Any]]] = {
    **{topic: functools.partial(facts.decode, topic) for topic in FACTS},
    "conversions": functools.partial(decoded, msgspec.json.Decoder(_Case)),
    "deliveries": functools.partial(decoded, msgspec.json.Decoder(_Delivery)),
    "quarantine": functools.partial(decoded, msgspec.json.Decoder(_Quarantine)),
    "refusals": functools.partial(decoded, msgspec.json.Decoder(_Refusal)),
    TAILS: functools.partial(decoded, msgspec.json.Decoder(facts.Tail)),
}


def sort(records: Iterable[Record], identities: Mapping[str, str]) -> Sorted:
    """Every record as a row of each of its tables, or as bad; the same record twice is one row.

    identities: topic -> the identity of its log, which each row carries with topic, partition and offset.
    """
    tables: dict[str, list[Row]] = {}
    bad: list[Bad] = []
    starts: dict[Partition, bytes] = {}
    distinct = {(record.topic, record.partition, record.offset): record for record in records}
    for (topic, partition, _), record in distinct.items():
        start = starts.get((topic, partition))
        if start is None:
            start = starts[topic, partition] = _start(topic, partition, identities[topic])
        try:
            row = Row(record, _spliced(start, record))
        except (msgspec.MsgspecError, ValueError) as error:
            bad.append(Bad(record, str(error)))
            continue
        for table in TABLES_OF_TOPIC[topic]:
            tables.setdefault(table, []).append(row)
    return Sorted(tables, bad)


def _start(topic: str, partition: int, identity: str) -> bytes:
    place = {"kafka_topic": topic, "kafka_log": identity, "kafka_partition": partition}
    return msgspec.json.encode(place)[:-1] + b',"kafka_offset":'


def _spliced(start: bytes, record: Record) -> bytes:
    """The record's own bytes with its place as their first fields.

    The check keeps a record like `{…}{…}` from becoming two rows; a place that the record states itself is a
    duplicate field, which ClickHouse refuses.
    """
    value = record.value
    if not value.startswith(b"{"):
        value = value.lstrip()
    _CHECKS[record.topic](value)
    if not value.isascii():
        value.decode()  # ClickHouse would keep broken UTF-8, and every reader would stumble over it
    return b"%b%d,%b" % (start, record.offset, value[1:])


def body(rows: Sequence[Row]) -> bytes:
    """The insert's body."""
    return b"\n".join([row.line for row in rows])


def token(body: bytes) -> str:
    """The insert's deduplication token: the same for the same bytes, and for no others."""
    return hashlib.sha256(body).hexdigest()


def offsets(records: Iterable[Record]) -> dict[Partition, int]:
    """The offset that comes after these, of each partition."""
    following: dict[Partition, int] = {}
    for record in records:
        place = (record.topic, record.partition)
        following[place] = max(following.get(place, 0), record.offset + 1)
    return following
