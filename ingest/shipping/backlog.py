"""Backlog: what a journal holds that Kafka does not have yet, by what its segments say of themselves."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ingest.journal import segments
from ingest.journal.cursor import Cursor
from ingest.journal.disk import Disk
from ingest.journal.reader import Reader
from ingest.journal.segments import Header, Position

_LOOK_BYTES: Final = 65_536


class Backlog(NamedTuple):
    """What waits: how many events, their bytes, and how old the oldest is (0 where none waits)."""

    events: int = 0
    bytes: int = 0
    oldest_s: float = 0.0


class Tail(NamedTuple):
    """The last event on stable storage: its epoch, its number there, and where it ends."""

    epoch: str
    last: int
    committed: Position


def events_between(receipt_id: str, later: Sequence[Header], tail: Tail) -> int:
    """How many events follow this receipt; later: the headers of the segments after the one that holds it.

    An epoch ends at the number that the next one names: what lies above it was never answered.
    """
    epoch, _, number = receipt_id.partition("-")
    at, count = int(number or 0), 0
    for header in later:
        if header.epoch == epoch:
            continue
        if header.previous is not None and header.previous.epoch == epoch:
            count += max(header.previous.last - at, 0)
        epoch, at = header.epoch, header.first - 1
    return count + (max(tail.last - at, 0) if tail.epoch == epoch else 0)


class Measure:
    """Measures the backlog of one journal; what a segment says of itself is read once."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk = disk
        self._directory = directory
        self._known: dict[int, tuple[Header, int]] = {}

    def backlog(self, cursor: Cursor, tail: Tail, now_ms: int) -> Backlog:
        """What lies between the cursor and the tail; OSError where the disk fails."""
        position, end = cursor.position, tail.committed
        if position == end:
            return Backlog()
        there = segments.numbers(self._disk, self._directory)
        numbers = [each for each in there if position.segment <= each <= end.segment]
        self._known = {number: self._asked(number) for number in numbers}
        later = [self._known[number][0] for number in numbers if number > position.segment]
        size = sum(self._known[number][1] for number in numbers if number < end.segment) + end.offset
        if numbers[:1] == [position.segment]:
            size -= position.offset
        self._known.pop(end.segment, None)  # it still grows
        oldest_ms = self._oldest_ms(position, end)
        age_s = max(now_ms - oldest_ms, 0) / 1000 if oldest_ms else 0.0
        return Backlog(events_between(cursor.receipt_id, later, tail), size, age_s)

    def _asked(self, number: int) -> tuple[Header, int]:
        """Header and size."""
        if number in self._known:
            return self._known[number]
        with contextlib.closing(self._disk.open(self._directory / segments.name(number))) as file:
            return segments.header(file)[0], file.size()

    def _oldest_ms(self, position: Position, end: Position) -> int:
        """When the first event behind the position was received; 0 where there is none."""
        with contextlib.closing(Reader(self._disk, self._directory, position, owned=False)) as reader:
            entries = reader.read(end, _LOOK_BYTES).entries
        return entries[0].at_ms if entries else 0
