"""Frames: a record's bytes and back, and the next good record after damage.

A frame is length, checksum, body; a body is topic number, sequence, time, length of the key, key, value.
The checksum covers the length too, so that no flipped bit goes unseen.
"""

import re
import struct
from typing import Final, NamedTuple
from zlib import crc32

from schemas.facts import MAX_RECORD_BYTES

# A topic's number on disk is its place here: names are only added.
TOPICS: Final = ("", "clicks", "impressions", "pixels", "postbacks", "adjustments")
NUMBERS: Final = {name: number for number, name in enumerate(TOPICS)}

_SEAL: Final = struct.Struct("<II")  # length of the body, checksum
_BODY: Final = struct.Struct("<BQQH")  # topic, sequence, at_ms, length of the key
_HEAD: Final = struct.Struct("<IIBQQH")  # both
_MAX_KEY: Final = 1_024
LEAST_BYTES: Final = _HEAD.size
MAX_BYTES: Final = _HEAD.size + _MAX_KEY + MAX_RECORD_BYTES  # no frame is longer, whatever its length says

# What a record's head looks like: a length below 2^19, a topic, sequence and time below 2^48. JSON has no NUL
# bytes, and a run of them has no topic, so that damage of any size is searched at the speed of a regex.
_LOOKS_LIKE: Final = re.compile(
    rb"(?=..[\x00-\x07]\x00....[\x01-%c].{6}\x00\x00.{6}\x00\x00)" % (len(TOPICS) - 1), re.DOTALL
)


class Entry(NamedTuple):
    """One record: the fact's JSON is the value; at_ms is when it was received (Unix milliseconds)."""

    topic: str
    sequence: int
    at_ms: int
    key: bytes
    value: bytes


class Frames(NamedTuple):
    """What was read: the good records from the beginning on, and how many bytes they took."""

    entries: list[Entry]
    used: int


def seal(body: bytes) -> bytes:
    """The frame of a body."""
    length = len(body)
    return _SEAL.pack(length, crc32(body, length)) + body


def unseal(data: bytes) -> bytes | None:
    """The body of the frame at the beginning; None where it is cut or damaged."""
    end = length(data)
    if not end or end > len(data):
        return None
    body = data[_SEAL.size : end]
    return body if seal(body) == data[:end] else None


def encode(entry: Entry) -> bytes:
    """The frame of a record; ValueError where it is larger than any that would be read again."""
    topic, sequence, at_ms, key, value = entry
    body = b"".join((_BODY.pack(NUMBERS[topic], sequence, at_ms, len(key)), key, value))
    if len(body) > MAX_BYTES - _SEAL.size:
        raise ValueError(f"a record of {len(body)} bytes")
    return seal(body)


def decode(data: bytes, last: int = 0) -> Frames:
    """The good records at the beginning; the first one that is cut, damaged or not above `last` ends them."""
    entries: list[Entry] = []
    view, size, at = memoryview(data), len(data), 0
    while at + _HEAD.size <= size:
        length, checksum, topic, sequence, at_ms, key_length = _HEAD.unpack_from(data, at)
        body_at, key_at = at + _SEAL.size, at + _HEAD.size
        end, value_at = body_at + length, key_at + key_length
        if (
            value_at > end
            or end > size
            or sequence <= last
            or not 0 < topic < len(TOPICS)
            or crc32(view[body_at:end], length) != checksum
        ):
            break
        entries.append(Entry(TOPICS[topic], sequence, at_ms, data[key_at:value_at], data[value_at:end]))
        last, at = sequence, end
    return Frames(entries, at)


def length(data: bytes) -> int:
    """How long the frame at the beginning says that it is, head and all; 0 where none is so long."""
    if len(data) < _SEAL.size:
        return 0
    said = _SEAL.size + int(_SEAL.unpack_from(data)[0])
    return said if _HEAD.size <= said <= MAX_BYTES else 0


def find(data: bytes, last: int = 0) -> int:
    """Where the first good record above `last` begins that lies wholly in the data; -1 where none does."""
    for match in _LOOKS_LIKE.finditer(data):
        begin = match.start()
        said = length(data[begin : begin + _SEAL.size])
        if said and decode(data[begin : begin + said], last).entries:
            return begin
    return -1
