"""Recovery: what the owner before us left, made durable, and what the next epoch must say of it."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from ingest.journal import segments
from ingest.journal.disk import Disk
from ingest.journal.reader import Reader
from ingest.journal.segments import Position
from schemas.facts import Predecessor

_READ_BYTES = 1_048_576


class Left(NamedTuple):
    """What was found.

    previous: the epoch that came before, and its last number; None in a new journal.
    refused: what lies above that number was refused, and is not shipped.
    end: of what counts as answered. number: of the newest segment, 0 for none.
    empty: the segments that hold no record.
    """

    previous: Predecessor | None
    refused: bool
    end: Position
    number: int
    empty: list[Path]


def recover(disk: Disk, directory: Path) -> Left:
    """What an owner left is on stable storage, and all that can be read of it counts as answered.

    Whether it was, nobody knows: the answers went with their process. Only where a later epoch had begun
    is it known better; that one's header says it, and what takes the place of an empty segment says the same.
    """
    segments.seal(disk, directory)
    there = segments.numbers(disk, directory)
    empty: list[Path] = []
    previous, refused, end = None, False, Position()
    for number in reversed(there):
        path = directory / segments.name(number)
        with contextlib.closing(disk.open(path)) as file:
            header, begin = segments.header(file)
            size = file.size()
        last, end = _last(disk, directory, Position(number, begin), size)
        if last:
            previous = Predecessor(epoch=header.epoch, last=last)
            break
        if size == begin:
            empty.append(path)
        if header.previous is not None or header.refused:
            previous, refused = header.previous, header.refused and size == begin
            break
    return Left(previous, refused, end, there[-1] if there else 0, empty)


def _last(disk: Disk, directory: Path, begin: Position, size: int) -> tuple[int, Position]:
    """The last number that can be read in the segment, 0 for none, and the end of what can be read."""
    last, end, position = 0, begin, begin
    with contextlib.closing(Reader(disk, directory, begin, owned=False)) as reader:
        while (piece := reader.read(Position(begin.segment, size), _READ_BYTES)).position != position:
            position = piece.position
            if piece.entries:
                last, end = piece.entries[-1].sequence, position
    return last, end
