"""Kept: how long a journal keeps what Kafka has acknowledged, to ship it again should Kafka lose it."""

import contextlib
import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ingest.journal import segments
from ingest.journal.disk import Disk
from ingest.journal.segments import Position

log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """What is reached first ends the keeping. room: bytes that stay free on the disk, for new events."""

    age_ms: float
    bytes: float
    room: float = 0


class Kept(NamedTuple):
    """A segment of which Kafka has acknowledged everything.

    closed_ms: when the one after it was begun, and no less than what any before it says: a clock that was
    set back makes nothing older.
    """

    number: int
    bytes: int
    closed_ms: int


def surplus(kept: Sequence[Kept], limits: Limits, now_ms: int) -> int:
    """How many of these, oldest first, may go: those before the first that may stay.

    1. What is older than the limit goes.
    2. What would make those that stay larger than the limit goes.
    """
    stay = sum(each.bytes for each in kept)
    for index, each in enumerate(kept):
        if stay <= limits.bytes and now_ms - each.closed_ms <= limits.age_ms:
            return index
        stay -= each.bytes
    return len(kept)


def acknowledged(disk: Disk, directory: Path, position: Position) -> list[Kept]:
    """The segments that lie wholly before the position, oldest first. Never the one in which it lies."""
    there = [number for number in segments.numbers(disk, directory) if number <= position.segment]
    if not there or there[-1] != position.segment:
        return []  # a position in no segment at all proves nothing
    found: list[Kept] = []
    latest_ms = 0
    opened = {number: _opened(disk, directory, number) for number in there}
    for number, following in pairwise(there):
        size, opened_ms = opened[number]
        latest_ms = max(latest_ms, opened_ms, opened[following][1])  # a damaged header tells no time
        found.append(Kept(number, size, latest_ms))
    return found


def _opened(disk: Disk, directory: Path, number: int) -> tuple[int, int]:
    with contextlib.closing(disk.open(directory / segments.name(number))) as file:
        return file.size(), segments.header(file)[0].opened_ms


def is_short(disk: Disk, directory: Path, limits: Limits) -> bool:
    """Whether what is kept must give way to what comes."""
    return disk.free(directory) < limits.room


def tidy(disk: Disk, directory: Path, position: Position, limits: Limits, now_ms: int) -> int:
    """What need not be kept is gone; the bytes that are kept. OSError where the disk fails."""
    kept = acknowledged(disk, directory, position)
    fits = sum(each.bytes for each in kept) + disk.free(directory) - limits.room
    gone = surplus(kept, limits._replace(bytes=min(limits.bytes, fits)), now_ms)
    for each in kept[:gone]:
        disk.remove(directory / segments.name(each.number))
    if gone:
        disk.sync_directory(directory)
        why = "" if fits > limits.bytes else ": the disk has no more room"
        log.info("%s: %d acknowledged segments removed%s", directory, gone, why)
    return sum(each.bytes for each in kept[gone:])
