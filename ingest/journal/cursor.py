"""The cursor: how far a journal is shipped, and into which log of Kafka's."""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from ingest.journal import segments
from ingest.journal.disk import Disk
from ingest.journal.segments import Position
from service.kafka import Partition

log = logging.getLogger(__name__)

NAME: Final = "cursor"
_MAX_BYTES: Final = 16_777_216  # 20 000 marks are 2 MB


class Mark(NamedTuple):
    """The last record of ours that a partition acknowledged."""

    offset: int
    receipt_id: str


class Cursor(NamedTuple):
    """How far a journal is shipped. It changes as a whole, in one write.

    position: every record before it was acknowledged, or lies in the quarantine.
    receipt_id: the last of them, empty for none.
    logs: topic -> identity of the log that acknowledged them. Where a topic has another one by now, the
        position says nothing: so the two are never written apart.
    marks: what is read back, to notice that a log with the same identity is an older copy of itself.
    """

    position: Position = Position()
    receipt_id: str = ""
    logs: Mapping[str, str] = MappingProxyType({})
    marks: Mapping[Partition, Mark] = MappingProxyType({})


class _Mark(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    offset: int
    receipt_id: str


class _Kept(msgspec.Struct, frozen=True):
    position: Position
    receipt_id: str
    logs: dict[str, str]
    marks: list[_Mark]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


def encode(cursor: Cursor) -> bytes:
    """The file's bytes: a checksum, then JSON, for a person to read."""
    marks = [_Mark(*partition, *mark) for partition, mark in sorted(cursor.marks.items())]
    text = _encode(_Kept(cursor.position, cursor.receipt_id, dict(cursor.logs), marks))
    return b"%08x %b\n" % (crc32(text), text)


def decode(data: bytes) -> Cursor | None:
    """What encode was given; None where a single bit differs."""
    checksum, text = data[:8], data[9:-1]
    if data != b"%b %b\n" % (checksum, text) or checksum != b"%08x" % crc32(text):
        return None
    kept = _decode(text)
    marks = {(each.topic, each.partition): Mark(each.offset, each.receipt_id) for each in kept.marks}
    return Cursor(kept.position, kept.receipt_id, kept.logs, marks)


def load(disk: Disk, directory: Path) -> Cursor:
    """The journal's cursor; where none can be read, everything that is kept is to be shipped."""
    try:
        if NAME not in disk.names(directory):
            return Cursor()
        with contextlib.closing(disk.open(directory / NAME)) as file:
            found = decode(file.read(0, _MAX_BYTES))
    except OSError as error:
        log.warning("%s cannot be read: %s; all that is kept is shipped again", directory / NAME, error)
        return Cursor()
    if found is None:
        log.warning("%s is damaged; all that is kept is shipped again", directory / NAME)
    return found or Cursor()


def trusted(disk: Disk, directory: Path) -> Cursor:
    """The journal's cursor where it is of this journal; else everything that is kept is to be shipped.

    Somebody may have removed segments and left the cursor, or have copied one here: the numbers of segments
    then say nothing, and what is accepted from now on would count as shipped.
    """
    found = load(disk, directory)
    if not found.receipt_id:  # nothing was acknowledged
        return found._replace(position=Position())
    with contextlib.suppress(OSError):
        if _is_of(disk, directory, found):
            return found
    log.warning(
        "%s does not belong to the segments there; all that is kept is shipped again", directory / NAME
    )
    return Cursor()


def _is_of(disk: Disk, directory: Path, cursor: Cursor) -> bool:
    """Whether the segments know the epoch of the last acknowledged record, and reach to the position.

    The segment of the position may be gone: an empty one is removed. The record's own may be: it is kept for
    a while. Then the next one names its epoch.
    """
    number, offset = cursor.position
    epoch = cursor.receipt_id.partition("-")[0]
    there = segments.numbers(disk, directory)
    if not there or there[-1] < number:
        return False
    for each in sorted(there, key=lambda each: abs(each - number)):
        with contextlib.closing(disk.open(directory / segments.name(each))) as file:
            header, _ = segments.header(file)
            if each == number and file.size() < offset:
                return False
        if header.epoch == epoch or (header.previous is not None and header.previous.epoch == epoch):
            return True
    return False


def save(disk: Disk, directory: Path, cursor: Cursor) -> None:
    """The journal has this cursor, durably, or still the one before; OSError where the disk fails.

    A cursor that is older than the truth costs a second shipping, never an event.
    """
    fresh = directory / f"{NAME}.new"
    disk.remove(fresh)
    with contextlib.closing(disk.create(fresh)) as file:
        file.write(encode(cursor))
        file.sync()
    disk.replace(fresh, directory / NAME)
    disk.sync_directory(directory)
