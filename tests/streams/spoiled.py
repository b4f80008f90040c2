"""Records as nobody should send them: valid facts, each spoiled in one of many ways; the same for a seed."""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from schemas import facts
from schemas.facts import AnyFact
from service.kafka import Outgoing
from tests.streams import facts_of_a_shop as shop

PARTITIONS: Final = 4

Chance = random.Random
Spoil = Callable[[Chance, Outgoing], Outgoing]

_MOMENTS: Final = (
    *("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
    *("0000-00-00T00:00:00.000Z", "2026-02-30T00:00:00.000Z", "2026-11-01T23:59:60.000Z"),
    *("2026-11-01T12:00:00.000Z\n", "٢٠٢٦-11-01T12:00:00.000Z", "2026-11-01T12:00:00Z", "", "now"),
)
_OTHER_TYPES: Final = ([], {}, None, True, -1, 1.5, "x", "", "1", [1], {"a": []})
_NUMBERS: Final = (
    *(2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**40, -1, -(2**63)),
    *("1e999999", "0e999999", "-0", "999999999999.999999", "1000000000000", "0.0000001", "sNaN", "Infinity"),
)
_NO_NUMBERS: Final = (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"0x10", b"01", b"1.", b"--1")
_GOALS: Final = (-2, -1, 0, 5, 77, 2**31 - 1, 2**31, "0", None, "sale")
_SURROGATES: Final = (rb"\ud800", rb"\udfff", rb"\ud800\ud800", rb"\ud83d\ude00", b"\xed\xa0\x80")


def transaction(number: int) -> str:
    """An ID as long as ours are."""
    return f"06cv{number:028d}"


def clean(number: int, count: Iterator[int]) -> list[AnyFact]:
    """A click, an impression and three statements of one transaction."""
    made = [
        shop.click(next(count)),
        shop.impression(next(count), -shop.HOUR),
        shop.pixel(next(count), shop.HOUR + number % 999, **shop.amount("10")),
        shop.postback(next(count), 2 * shop.HOUR, conversion_unique_id=f"o{number}", **shop.amount("12.50")),
        shop.postback(next(count), 3 * shop.HOUR, goal="lead", goal_id=5),
    ]
    return [msgspec.structs.replace(one, transaction_id=transaction(number)) for one in made]


def outgoing(fact: AnyFact) -> Outgoing:
    """As the edge sends it."""
    kind = getattr(fact, "kind", type(fact).__name__.lower())
    topic = {"iframe": "pixels"}.get(kind, f"{kind}s")
    return Outgoing(topic, fact.transaction_id.encode(), facts.encode(fact))


def records(spoiled: int, seed: int = 7) -> list[Outgoing]:
    """So many spoiled records and half as many clean ones, a transaction's own near each other.

    A spoiled one replaces its fact, or comes after it under a receipt of its own. Contradictions come after
    what they contradict, in the same log: which of the two is the fact is then certain.
    """
    chance = random.Random(seed)
    count = itertools.count(1)
    ways = [way for way, weight in WAYS.items() for _ in range(weight)]
    made: list[Outgoing] = []
    left = spoiled
    for number in itertools.count():
        for fact in clean(number, count):
            beside = chance.random() < 0.5
            for _ in range(min(left, chance.choice((0, 1, 1, 2)))):
                receipt = f"{shop.EPOCH}-{next(count)}"
                copy = msgspec.structs.replace(fact, receipt_id=receipt)
                made.append(chance.choice(ways)(chance, outgoing(copy)))
                left -= 1
            if beside:
                made.append(outgoing(fact))
                if left and chance.random() < 0.05:
                    made.append(contradiction(chance, outgoing(fact)))
                    left -= 1
        if not left:
            return made
    raise AssertionError


# The ways


def _changed(record: Outgoing, **fields: Any) -> Outgoing:
    return record._replace(value=msgspec.json.encode(msgspec.json.decode(record.value) | fields))


def _field(chance: Chance, record: Outgoing) -> str:
    return chance.choice(sorted(msgspec.json.decode(record.value)))


def _raw(record: Outgoing, field: str, raw: bytes) -> Outgoing:
    """The field's value is these bytes."""
    held = msgspec.json.decode(record.value)
    held.pop(field, None)
    return record._replace(value=b'{"%b":%b,' % (field.encode(), raw) + msgspec.json.encode(held)[1:])


def bits(chance: Chance, record: Outgoing) -> Outgoing:
    """Up to four bits are another's."""
    value = bytearray(record.value)
    for _ in range(chance.randint(1, 4)):
        value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
    return record._replace(value=bytes(value))


def cut(chance: Chance, record: Outgoing) -> Outgoing:
    """The end is missing."""
    return record._replace(value=record.value[: chance.randrange(len(record.value))])


def swapped(chance: Chance, record: Outgoing) -> Outgoing:
    """Two fields have each other's value."""
    held = msgspec.json.decode(record.value)
    one, other = chance.sample(sorted(held), 2)
    return _changed(record, **{one: held[other], other: held[one]})


def wrong_type(chance: Chance, record: Outgoing) -> Outgoing:
    """A field is of another type."""
    return _changed(record, **{_field(chance, record): chance.choice(_OTHER_TYPES)})


def huge_number(chance: Chance, record: Outgoing) -> Outgoing:
    """A number is as large as can be written."""
    field = chance.choice(("offer_id", "sale_amount", "affiliate_id", "asn", "redirect_reason", "goal_id"))
    number = str(chance.choice(_NUMBERS))
    return _raw(record, field, number.encode() if chance.random() < 0.5 else msgspec.json.encode(number))


def no_number(chance: Chance, record: Outgoing) -> Outgoing:
    """A number that JSON does not know."""
    field = chance.choice(("sale_amount", "offer_id", "catalog_version"))
    return _raw(record, field, chance.choice(_NO_NUMBERS))


def nested(chance: Chance, record: Outgoing) -> Outgoing:
    """Brackets in brackets, in a field that is read or in one that nobody knows."""
    depth = chance.choice((10, 900, 5_000))
    opened, closed = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return _raw(record, chance.choice(("params", "unknown")), opened * depth + b"1" + closed * depth)


def no_utf8(chance: Chance, record: Outgoing) -> Outgoing:
    """Bytes that are no text."""
    at = chance.randrange(len(record.value))
    broken = chance.choice((b"\xff", b"\xc0\x80", b"\xf8", b"\x80"))
    return record._replace(value=record.value[:at] + broken + record.value[at:])


def twice(chance: Chance, record: Outgoing) -> Outgoing:
    """A key stands there twice."""
    field = _field(chance, record)
    other = msgspec.json.encode(chance.choice(("x", 5, "2026-11-01T12:00:00.000Z")))
    first = chance.random() < 0.5
    pair = b'"%b":%b' % (field.encode(), other)
    value = b"{%b,%b" % (pair, record.value[1:]) if first else b"%b,%b}" % (record.value[:-1], pair)
    return record._replace(value=value)


def other_key(chance: Chance, record: Outgoing) -> Outgoing:
    """The record's key is not its transaction."""
    another = transaction(chance.randrange(99)).encode()
    return record._replace(key=chance.choice((b"", b"x", b"\xff\xfe", another[::-1])))


def other_partition(chance: Chance, record: Outgoing) -> Outgoing:
    """The key is right; where it lies is a matter of luck."""
    return record._replace(partition=chance.randrange(PARTITIONS))


def other_topic(chance: Chance, record: Outgoing) -> Outgoing:
    """It lies in the topic of another kind."""
    return record._replace(topic=chance.choice([topic for topic in facts.TYPES if topic != record.topic]))


def empty(chance: Chance, record: Outgoing) -> Outgoing:
    """Nothing, no record at all (a tombstone), or JSON that is no object."""
    value: Any = chance.choice((b"", None, b" ", b"null", b"[]", b'""', b"0", b"{}", b"\x00" * 9))
    return record._replace(value=value)


def large(chance: Chance, record: Outgoing) -> Outgoing:
    """As large as Kafka takes it."""
    size = 1_040_000 - len(record.value)
    text = b'"' + b"\xc3\xa4" * (size // 2 - 8) + b'"'
    junk = chance.choice((b" " * size, b"\x00" * size, b"[" * size, text))
    return record._replace(value=record.value[:-1] + b',"x":' + junk + b"}")


def moment(chance: Chance, record: Outgoing) -> Outgoing:
    """A time at the end of the calendar, or none."""
    return _changed(record, **{chance.choice(("received_at", "occurred_at")): chance.choice(_MOMENTS)})


def zero_byte(chance: Chance, record: Outgoing) -> Outgoing:
    """A zero byte, a colon or a line's end in an ID."""
    field = chance.choice(("receipt_id", "transaction_id"))
    held = msgspec.json.decode(record.value)[field]
    at = chance.choice((0, 5, len(held)))
    spoiled = _changed(record, **{field: held[:at] + chance.choice("\x00:\n ") + held[at:]})
    return spoiled._replace(key=msgspec.json.decode(spoiled.value)["transaction_id"].encode())


def goal(chance: Chance, record: Outgoing) -> Outgoing:
    """A goal that the offer does not have."""
    name = chance.choice(("", "sale", "\u0000", "x" * 501))
    return _changed(record, goal_id=chance.choice(_GOALS), goal=name)


def surrogate(chance: Chance, record: Outgoing) -> Outgoing:
    """Half a character."""
    field = chance.choice(("aff_sub", "conversion_unique_id", "unknown", "edge", "status"))
    return _raw(record, field, b'"%b"' % chance.choice(_SURROGATES))


def of_case(chance: Chance, record: Outgoing) -> Outgoing:
    """A case is not as anybody decided it."""
    held = msgspec.json.decode(record.value)
    field = chance.choice(
        ("version", "goal_id", "number", "transaction_id", "decided_at", "conversions", "visits")
    )
    way = chance.choice(("number", "moment", "empty", "deeper", "visit", "later"))
    if way == "number":
        return _raw(record, field, str(chance.choice(_NUMBERS)).encode())
    if way == "deeper" and held.get("conversions"):
        inner = chance.choice(sorted(held["conversions"][0]))
        held["conversions"][0][inner] = chance.choice((*_MOMENTS, *_OTHER_TYPES))
        return _changed(
            record, conversions=held["conversions"], version=held["version"] + chance.choice((0, 1))
        )
    if way == "visit" and held.get("visits"):
        held["visits"][0][chance.choice(("received_at", "occurred_at"))] = chance.choice(_MOMENTS)
        return _changed(record, visits=held["visits"], version=held["version"] + 1)
    if way == "later":
        later = chance.choice((1, 7, 2**31, 2**62))
        return _changed(record, conversions=[], version=min(held["version"] + later, 2**63 - 9))
    return _changed(record, **{field: chance.choice(_MOMENTS if way == "moment" else ("", [], None))})


def contradiction(chance: Chance, record: Outgoing) -> Outgoing:
    """A known receipt with other content."""
    return _changed(record, user_agent=f"another {chance.random()}")


def well(_: Chance, record: Outgoing) -> Outgoing:
    """Nothing is wrong."""
    return record


OF_CASES: Final = (
    bits,
    cut,
    swapped,
    wrong_type,
    no_utf8,
    twice,
    nested,
    other_key,
    empty,
    of_case,
    of_case,
    of_case,
)
WAYS: Final[dict[Spoil, int]] = {
    **dict.fromkeys((bits, cut, swapped, wrong_type, huge_number, no_number, no_utf8, twice), 60),
    **dict.fromkeys((other_key, other_partition, other_topic, empty, moment, zero_byte, goal, surrogate), 60),
    nested: 20,
    well: 30,
    large: 1,
}
"""How often each is taken; the large ones would fill the disk."""
