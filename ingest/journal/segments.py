"""Segments: the files of a journal, in the order of their numbers, and the header that each begins with."""

import re
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ingest.journal import frames
from ingest.journal.disk import Disk, File
from schemas.facts import Predecessor
from service.errors import Problem

FORMAT: Final = 1
_HEADER_BYTES: Final = 4_096  # more than any header has
_WINDOW: Final = 1_048_576  # of a search at a time: what bounds its memory
_NAME: Final = re.compile(r"(\d{12})\.seg", re.ASCII)


class Position(NamedTuple):
    """Where the next frame of a journal begins; Position() is the beginning of what is kept."""

    segment: int = 0
    offset: int = 0


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a segment says of itself.

    first: the number of its first record.
    previous: on an epoch's first segment, the journal's epoch before it and the last number answered there.
    refused: a sync had failed: what lies before this segment, and is not of that epoch or above that number,
        was refused and is not shipped. Else it could not be read, and is shipped if it ever can.
    """

    epoch: str
    first: int
    opened_ms: int
    previous: Predecessor | None = None
    refused: bool = False
    format: int = FORMAT


class _Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What a fact's JSON says of the epoch that it lies in."""

    receipt_id: str
    previous: Predecessor | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Header).decode
_decode_fact = msgspec.json.Decoder(_Fact).decode


def name(number: int) -> str:
    """The file's name."""
    return f"{number:012d}.seg"


def numbers(disk: Disk, directory: Path) -> list[int]:
    """The segments that there are, oldest first."""
    return sorted(int(match[1]) for each in disk.names(directory) if (match := _NAME.fullmatch(each)))


def encode(header: Header) -> bytes:
    """The bytes with which a segment begins."""
    return frames.seal(_encode(header))


def header(file: File) -> tuple[Header, int]:
    """What a segment says of itself, and where its first record begins.

    Where the header is damaged or cut, its first good record tells the same, and the place is 0: what lies
    before the record is damage. Where there is none either, the epoch is empty.
    """
    data = file.read(0, _HEADER_BYTES)
    body = frames.unseal(data)
    if body is None:
        return _from_record(file), 0
    found = _decode(body)
    if found.format != FORMAT:
        raise Problem(f"a journal of format {found.format}; this release reads {FORMAT}")
    return found, frames.length(data)


def _from_record(file: File) -> Header:
    at = next_good(file, 0, file.size())
    if at is None:
        return Header(epoch="", first=0, opened_ms=0)
    data = file.read(at, frames.MAX_BYTES)
    (entry,) = frames.decode(data[: frames.length(data)]).entries
    fact = _decode_fact(entry.value)
    epoch = fact.receipt_id.partition("-")[0]
    return Header(epoch=epoch, first=entry.sequence, opened_ms=entry.at_ms, previous=fact.previous)


def next_good(file: File, at: int, stop: int, last: int = 0) -> int | None:
    """Where the next good record above `last` begins, at or after `at`; None where there is none."""
    while at < stop:
        data = file.read(at, min(_WINDOW + frames.MAX_BYTES, stop - at))
        found = frames.find(data, last)
        if found >= 0:
            return at + found
        at += _WINDOW  # a frame that begins in the window ended in the data
    return None


def seal(disk: Disk, directory: Path) -> None:
    """What an owner who died had written is on stable storage: a kill leaves it in the kernel's memory.

    Only the last segment can hold anything that is not: before the next one begins, it was synced. Where this
    sync fails, it may be tried again: what anybody was told yes for, its owner had synced.
    """
    there = numbers(disk, directory)
    if not there:
        return
    file = disk.open(directory / name(there[-1]))
    try:
        file.sync()
    finally:
        file.close()
    disk.sync_directory(directory)
