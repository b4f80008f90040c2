"""Verification: every byte of a journal read, beside a collector that may be writing it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ingest.inspection.survey import pieces, segments_of
from ingest.journal import segments
from ingest.journal.disk import Disk
from ingest.journal.reader import Piece
from ingest.journal.segments import Position

_NO_RECORDS: Final = "holds no events"
_GAP: Final = "events lack here"


class Damage(msgspec.Struct, frozen=True):
    """Where a journal no longer holds what it held. bytes: how many are no records, 0 where it is the file.

    epoch, first, last: the events that were there, where their neighbours tell; else empty and 0.
    """

    file: str
    offset: int
    bytes: int
    why: str
    epoch: str = ""
    first: int = 0
    last: int = 0


class Verified(msgspec.Struct):
    """What was read: events that are whole, and bytes.

    torn: regions that a crash cut; nobody was told yes for what was in them.
    open_bytes: what follows the last whole event: it is being written, or a crash cut it.
    """

    events: int = 0
    bytes: int = 0
    damage: list[Damage] = []
    torn: int = 0
    open_bytes: int = 0


class Verification:
    """Reads one journal once. What is removed meanwhile, because it was kept long enough, is no damage.

    advance: told of every piece how many bytes it had.
    """

    def __init__(self, disk: Disk, directory: Path, advance: Callable[[int], None]) -> None:
        self._disk = disk
        self._directory = directory
        self._advance = advance
        self._position = Position()
        self._epoch = ""
        self._next = 0  # the number that must come next, 0 where any may
        self._found = Verified()

    def run(self) -> Verified:
        """All that there was was read."""
        start: Position | None = Position()
        while start is not None:
            start = self._from(start)
        for each in segments_of(self._disk, self._directory):
            if each.number >= self._position.segment:
                read_to = self._position.offset if each.number == self._position.segment else each.begin
                self._found.open_bytes += each.size - read_to
        return self._found

    def _from(self, start: Position) -> Position | None:
        """Everything from there on was read; where the disk did not let it, from where to go on."""
        try:
            for piece in pieces(self._disk, self._directory, start):
                self._take(piece)
        except OSError as error:
            return self._unreadable(max(self._position, start), error)
        return None

    def _unreadable(self, at: Position, error: OSError) -> Position:
        """The segment that the disk does not give is damage; behind it it goes on."""
        for number in segments.numbers(self._disk, self._directory):
            if number > at.segment or (number == at.segment and self._size(number) > at.offset):
                at = Position(number, at.offset if number == at.segment else 0)
                break
        why = f"cannot be read: {error}"
        self._found.damage.append(Damage(self._path(at.segment), at.offset, 0, why))
        self._next = 0
        return Position(at.segment + 1, 0)

    def _size(self, number: int) -> int:
        return (self._directory / segments.name(number)).stat().st_size

    def _path(self, number: int) -> str:
        return str(self._directory / segments.name(number))

    def _take(self, piece: Piece) -> None:
        before, self._position = self._position, piece.position
        begin = before.offset if before.segment == piece.position.segment else 0
        size = piece.position.offset - begin
        if piece.damaged:
            self._found.damage.append(Damage(self._path(piece.position.segment), begin, size, _NO_RECORDS))
        if piece.entries:
            self._count(piece, before.segment, begin)
        self._found.bytes += size
        self._found.torn += piece.torn
        self._advance(size)

    def _count(self, piece: Piece, before: int, begin: int) -> None:
        """The numbers go on without a gap, or the gap is damage: events were lost, or whole files."""
        if before not in segments.numbers(self._disk, self._directory):
            self._next = 0  # removed meanwhile, and maybe more behind it
        if piece.epoch != self._epoch:
            self._begin_epoch(piece, begin)
        expected = self._next or piece.entries[0].sequence
        for entry in piece.entries:
            if entry.sequence > expected:
                self._lack(expected, entry.sequence - 1, piece.position.segment, begin)
            expected = entry.sequence + 1
        self._next = expected
        self._found.events += len(piece.entries)

    def _begin_epoch(self, piece: Piece, begin: int) -> None:
        path = self._directory / segments.name(piece.position.segment)
        with contextlib.closing(self._disk.open(path)) as file:
            header, _ = segments.header(file)
        ended = header.previous
        if ended and ended.epoch == self._epoch and 0 < self._next <= ended.last:
            self._lack(self._next, ended.last, piece.position.segment, begin)
        self._epoch, self._next = piece.epoch, header.first

    def _lack(self, first: int, last: int, segment: int, begin: int) -> None:
        """Events are lost: in the region that was just found, or with a file that is gone."""
        damage = self._found.damage
        known = damage.pop() if damage and damage[-1].why == _NO_RECORDS and not damage[-1].epoch else None
        place = known or Damage(self._path(segment), begin, 0, _GAP)
        damage.append(msgspec.structs.replace(place, epoch=self._epoch, first=first, last=last))
