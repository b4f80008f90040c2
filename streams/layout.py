"""The keys and values of the joiner's state, as bytes: what lies where, and in which order.

A transaction's keys begin with its ID and a zero byte, so one scan reads them and no ID is a prefix of
another's. Times are eight bytes, big-endian, so that byte order is time order.
"""

import hashlib
from typing import Final

import msgspec

from schemas import times
from schemas.facts import TYPES, AnyFact, Malformed

FORMAT: Final = b"1"  # raised when keys or values change their meaning: an older state is then refused

_OFFSET: Final = 1 << 63  # makes negative times and goals sort before positive ones
_TOPICS: Final = tuple(TYPES)
# Statements, clicks and impressions lie apart inside a transaction: a decision can then read all that was
# stated and only the visits of its windows, whatever their number.
_KINDS: Final = {"clicks": b"c", "impressions": b"i", "pixels": b"s", "postbacks": b"s", "adjustments": b"s"}
_STATEMENTS: Final = frozenset(topic for topic, kind in _KINDS.items() if kind == b"s")


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far a topic of this partition was read.

    offset: the next to read. log: the identity of the log that it counts in.
    """

    offset: int
    log: str


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a transaction without reading its facts.

    facts: how many distinct ones were ever added; never lowered, also not by expiry.
    statements: how many of them state something about a conversion.
    awaits: the catalog version that a decision still lacks, 0 when none.
    """

    facts: int = 0
    statements: int = 0
    awaits: int = 0


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Where a known receipt's fact lies, and what it held. digest: of the record's bytes."""

    digest: bytes
    fact_key: bytes


class Emitted(msgspec.Struct, frozen=True, array_like=True):
    """A case as it was last sent. content: digest of all but version and time of decision."""

    version: int
    content: bytes
    record: bytes


_packer: Final = msgspec.msgpack.Encoder()
pack = _packer.encode
unpack_position = msgspec.msgpack.Decoder(Position).decode
unpack_header = msgspec.msgpack.Decoder(Header).decode
unpack_seen = msgspec.msgpack.Decoder(Seen).decode
unpack_emitted = msgspec.msgpack.Decoder(Emitted).decode


def number(value: int) -> bytes:
    """Eight bytes whose order is the numbers' order; negative ones too."""
    return (value + _OFFSET).to_bytes(8, "big")


def to_number(value: bytes) -> int:
    """The number that eight bytes stand for."""
    return int.from_bytes(value, "big") - _OFFSET


def prefix(transaction_id: str) -> bytes:
    """What all keys of a transaction begin with."""
    return transaction_id.encode() + b"\x00"


def end_of(start: bytes) -> bytes:
    """The first key after all that begin with `start`, which ends in a zero byte."""
    return start[:-1] + b"\x01"


def check(fact: AnyFact) -> None:
    """Malformed where an ID would make the keys ambiguous."""
    if "\x00" in fact.transaction_id:
        raise Malformed("transaction_id holds a zero byte")


def fact_key(topic: str, fact: AnyFact) -> bytes:
    """Transaction, kind, time of the event, receipt."""
    at = number(times.to_ms(fact.occurred_at))
    return prefix(fact.transaction_id) + _KINDS[topic] + at + fact.receipt_id.encode()


def fact_value(topic: str, value: bytes) -> bytes:
    """The record as it came, after one byte for its topic."""
    return bytes((_TOPICS.index(topic),)) + value


def split_fact(stored: bytes) -> tuple[str, bytes]:
    """Topic and record of a stored fact."""
    return _TOPICS[stored[0]], stored[1:]


def seen_key(fact: AnyFact) -> bytes:
    """Time of receipt first: expiry walks this index from its old end and finds each fact to drop."""
    return number(times.to_ms(fact.received_at)) + fact.receipt_id.encode()


def case_key(transaction_id: str, goal_id: int) -> bytes:
    """Transaction and goal."""
    return prefix(transaction_id) + number(goal_id)


def goal_of(key: bytes) -> int:
    """The goal of a case's key."""
    return to_number(key[-8:])


def notice_key(transaction_id: str, notice_id: str) -> bytes:
    """Transaction and notice."""
    return prefix(transaction_id) + notice_id.encode()


def waiting_key(catalog_version: int, transaction_id: str) -> bytes:
    """Catalog version first: when one arrives, the transactions that waited for it lie together."""
    return number(catalog_version) + transaction_id.encode()


def transaction_of(key: bytes) -> str:
    """The transaction of a waiting key."""
    return key[8:].decode()


def digest(value: bytes) -> bytes:
    """Eight bytes tell two contents of one receipt apart: a guard against mistakes, not against forgers."""
    return hashlib.blake2b(value, digest_size=8).digest()


def content_digest(value: bytes) -> bytes:
    """Sixteen bytes: an equal digest suppresses a record, so no accident may make one."""
    return hashlib.blake2b(value, digest_size=16).digest()


def is_statement(topic: str) -> bool:
    """Whether a fact of this topic can make or change a case; visits alone make none."""
    return topic in _STATEMENTS
