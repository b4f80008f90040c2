"""The keys and values of the joiner's state, as bytes: what lies where, and in which order.

A transaction's keys begin with its ID and a zero byte, so one scan reads them and no ID is a prefix of
another's. Times are eight bytes, big-endian, so that byte order is time order.
"""

import hashlib
from typing import Final, NamedTuple

import msgspec

from schemas import times
from schemas.facts import TYPES, AnyFact, Statement
from schemas.topics import FACTS
from streams.state.bundles import Bundle, bundle_of, case_number, is_shared

FORMAT: Final = b"4"  # raised when keys or values change their meaning: an older state is then refused

CLICK: Final = b"c"
IMPRESSION: Final = b"i"
STATEMENT: Final = b"s"
# Each lies apart inside a transaction: a decision reads what was stated and of the visits only those that it
# needs; and each is kept for a time of its own.
KINDS: Final = dict.fromkeys(FACTS, STATEMENT) | {"clicks": CLICK, "impressions": IMPRESSION}
VISITS: Final = {CLICK: "clicks", IMPRESSION: "impressions"}  # families of those under shared identifiers

DUE: Final = -1  # no catalog version: waits for nothing but its turn to be decided again
MENDED: Final = (1 << 63) - 1  # nor this: waits for rules that do not fail on it
LACKING: Final = MENDED - 1  # nor this: waits for statements that its cases name and the state does not have

# What is known of the notices of a bundle:
ALL_TOLD: Final = 0  # the family `notices` names each that was sent
RESTORED: Final = 1  # what was due from the facts that its cases name was sent, though not by this state
DOUBTFUL: Final = 2  # the family names each that is known to be sent; of another nobody can say
SINCE: Final = (
    3  # it names each that is due, and was sent since; another may have been told of, and called back
)

END_MS: Final = (1 << 63) - 1

_OFFSET: Final = 1 << 63  # makes negative times and goals sort before positive ones
_NUMBER_BYTES: Final = 8
_DIGEST_BYTES: Final = 8
_TOPICS: Final = tuple(TYPES)
_TOPIC_BYTES: Final = {topic: bytes((index,)) for index, topic in enumerate(_TOPICS)}


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far a topic of this partition was read.

    offset: the next to read. log: the identity of the log that it counts in.
    clock_ms: how far time has come there: the greatest that both the edge that accepted a record and the
        broker that stored it had reached.
    last: digest of the record just before the offset, by which the log is known again; empty where no
        record lay there.
    """

    offset: int
    log: str
    clock_ms: int = 0
    last: bytes = b""


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a bundle without reading its facts; there is none where nothing was stated.

    facts: how many distinct ones have taken part; never lowered, also not by expiry.
    statements: how many of them state something about a conversion.
    awaits: the catalog version that a decision still lacks, DUE where it only waits for its turn, MENDED
        where the rules failed on it, LACKING where facts of it are gone, 0 for none.
    born_ms: when the first of its statements was received.
    told: ALL_TOLD, RESTORED, DOUBTFUL or SINCE.
    """

    facts: int = 0
    statements: int = 0
    awaits: int = 0
    born_ms: int = 0
    told: int = ALL_TOLD


class Expired(msgspec.Struct, frozen=True, array_like=True):
    """How far expiry has come.

    time_ms: the partition's time that it acted upon; what is too old by it may be gone.
    given_up: the births entry from which on bundles are still kept.
    """

    time_ms: int = 0
    given_up: bytes = b"\x00"


class Emitted(msgspec.Struct, frozen=True, array_like=True):
    """A case as it was last sent. content: digest of all but version and time of decision."""

    version: int
    content: bytes
    record: bytes


class Seen(NamedTuple):
    """Where a known receipt's fact lies, and what it held. digest: of the record's bytes."""

    digest: bytes
    fact_key: bytes


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A fact as the state keeps it, and the entry that makes it known."""

    family: str
    key: bytes
    value: bytes
    seen_key: bytes
    seen_value: bytes


_packer: Final = msgspec.msgpack.Encoder()
pack = _packer.encode
unpack_position = msgspec.msgpack.Decoder(Position).decode
unpack_expired = msgspec.msgpack.Decoder(Expired).decode
unpack_header = msgspec.msgpack.Decoder(Header).decode
unpack_emitted = msgspec.msgpack.Decoder(Emitted).decode


def number(value: int) -> bytes:
    """Eight bytes whose order is the numbers' order; negative ones too."""
    return (value + _OFFSET).to_bytes(_NUMBER_BYTES, "big")


def moment(at: str) -> bytes:
    """The number of a time on the wire."""
    return number(times.to_ms(at))


def to_number(value: bytes) -> int:
    """The number that eight bytes stand for."""
    return int.from_bytes(value, "big") - _OFFSET


def prefix(transaction_id: str) -> bytes:
    """What all keys of a transaction begin with."""
    return transaction_id.encode() + b"\x00"


def end_of(start: bytes) -> bytes:
    """The first key after all that begin with `start`; some byte of it is not 0xff."""
    kept = start.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,))


# Facts


def family(transaction_id: str, kind: bytes) -> str:
    """Where its facts of this kind lie: visits under shared identifiers apart, clicks and impressions too.

    Each of these begins where its last one ended. Beside others all of them would lie between what a flush
    brings of an identifier with millions and the rest of it, and be written again at each compaction.
    """
    return VISITS.get(kind, "facts") if is_shared(transaction_id) else "facts"


def family_of(fact_key: bytes) -> str:
    """Where the fact with this key lies."""
    transaction_id, _, rest = fact_key.partition(b"\x00")
    return family(transaction_id.decode(), rest[:1])


def visit_key(transaction_id: str, kind: bytes, occurred_ms: int, receipt_id: str) -> bytes:
    """Transaction, kind, time of the event, receipt."""
    return prefix(transaction_id) + kind + number(occurred_ms) + receipt_id.encode()


def visit_ms_of(visit_key: bytes) -> int:
    """The time in a visit's key."""
    start = visit_key.index(b"\x00") + 2
    return to_number(visit_key[start : start + _NUMBER_BYTES])


def statements_start(bundle: Bundle) -> bytes:
    """What the keys of a bundle's statements begin with."""
    return prefix(bundle.transaction_id) + STATEMENT + bundle.part


def occurred_ms_of(statement_key: bytes, bundle: Bundle) -> int:
    """The time in a statement's key."""
    start = len(statements_start(bundle))
    return to_number(statement_key[start : start + _NUMBER_BYTES])


def fact_key(topic: str, fact: AnyFact) -> bytes:
    """Transaction, kind, of a statement its bundle's part, time of the event, receipt."""
    occurred, receipt = moment(fact.occurred_at), fact.receipt_id.encode()
    if isinstance(fact, Statement):
        return statements_start(bundle_of(fact.transaction_id, case_number(fact))) + occurred + receipt
    return prefix(fact.transaction_id) + KINDS[topic] + occurred + receipt


def stored(topic: str, fact: AnyFact, value: bytes, seen_key: bytes) -> Stored:
    """What is written of a fact. value: the record as it came, kept after one byte for its topic."""
    kind = KINDS[topic]
    if kind in VISITS and fact.occurred_at == fact.received_at:  # as nearly all: the key ends alike
        key = prefix(fact.transaction_id) + seen_key
    else:
        key = fact_key(topic, fact)
    lies_in = family(fact.transaction_id, kind)
    return Stored(lies_in, key, _TOPIC_BYTES[topic] + value, seen_key, digest(value) + key)


def held(topic: str, visit: AnyFact, value: bytes, bundle: Bundle) -> tuple[bytes, bytes]:
    """Key and value of a visit that is kept among a bundle's statements, as long as these are."""
    key = statements_start(bundle) + moment(visit.occurred_at) + visit.receipt_id.encode()
    return key, _TOPIC_BYTES[topic] + value


def split_fact(stored: bytes) -> tuple[str, bytes]:
    """Topic and record of a stored fact."""
    return _TOPICS[stored[0]], stored[1:]


# What makes a receipt known


def seen_key(topic: str, fact: AnyFact) -> bytes:
    """Kind, time of receipt, receipt: each kind has its old end, where expiry begins."""
    return KINDS[topic] + moment(fact.received_at) + fact.receipt_id.encode()


def seen_start(kind: bytes, received_ms: int) -> bytes:
    """Not greater than any key of this kind received then or later, greater than all before."""
    return kind + number(received_ms)


def split_seen(value: bytes) -> Seen:
    """What is known of a receipt."""
    return Seen(value[:_DIGEST_BYTES], value[_DIGEST_BYTES:])


# What is kept of bundles


def header_key(bundle: Bundle) -> bytes:
    """Transaction and part; so begin also the bundle's cases, its notices, and nothing of another's."""
    return prefix(bundle.transaction_id) + bundle.part


def case_key(bundle: Bundle, goal_id: int) -> bytes:
    """Transaction, part, goal."""
    return header_key(bundle) + number(goal_id)


def split_case(key: bytes) -> tuple[Bundle, int]:
    """Place and goal of a case's key."""
    transaction_id, _, rest = key.partition(b"\x00")
    return Bundle(transaction_id.decode(), rest[:-_NUMBER_BYTES]), to_number(rest[-_NUMBER_BYTES:])


def notice_key(bundle: Bundle, notice_id: str) -> bytes:
    """Transaction, part, notice."""
    return header_key(bundle) + notice_id.encode()


def time_key(bundle: Bundle, occurred_ms: int) -> bytes:
    """Transaction, time of a statement, part: a late visit finds here what it may be credited with."""
    return prefix(bundle.transaction_id) + number(occurred_ms) + bundle.part


def split_time(key: bytes) -> tuple[int, Bundle]:
    """Time and bundle of a statement."""
    transaction_id, _, rest = key.partition(b"\x00")
    return to_number(rest[:_NUMBER_BYTES]), Bundle(transaction_id.decode(), rest[_NUMBER_BYTES:])


def numbered_key(value: int, bundle: Bundle) -> bytes:
    """A number first: the oldest birth, or the catalog version that arrives, lies together."""
    return number(value) + header_key(bundle)


def split_numbered(key: bytes) -> tuple[int, Bundle]:
    """Number and bundle of such a key."""
    transaction_id, _, part = key[_NUMBER_BYTES:].partition(b"\x00")
    return to_number(key[:_NUMBER_BYTES]), Bundle(transaction_id.decode(), part)


def digest(value: bytes) -> bytes:
    """Eight bytes tell two contents of one receipt apart: a guard against mistakes, not against forgers."""
    return hashlib.blake2b(value, digest_size=_DIGEST_BYTES).digest()


def content_digest(value: bytes) -> bytes:
    """Sixteen bytes: an equal digest suppresses a record, so no accident may make one."""
    return hashlib.blake2b(value, digest_size=16).digest()
