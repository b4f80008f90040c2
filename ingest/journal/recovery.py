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
    number: of the newest segment, 0 for none. empty: the segments that hold no record.
    """

    previous: Predecessor | None
    number: int
    empty: list[Path]


def recover(disk: Disk, directory: Path) -> Left:
    """What an owner left is on stable storage, and all that can be read of it counts as answered.

    Whether it was, nobody knows: the answers went with their process. Only where a later epoch had begun
    is it known better, and that one's header says it.
    """
    segments.seal(disk, directory)
    there = segments.numbers(disk, directory)
    empty: list[Path] = []
    previous = None
    for number in reversed(there):
        path = directory / segments.name(number)
        with contextlib.closing(disk.open(path)) as file:
            header, begin = segments.header(file)
            size = file.size()
        if last := _last(disk, directory, Position(number, size)):
            previous = Predecessor(epoch=header.epoch, last=last)
            break
        if size == begin:
            empty.append(path)
        if header.previous is not None:
            previous = header.previous
            break
    return Left(previous, there[-1] if there else 0, empty)


def _last(disk: Disk, directory: Path, end: Position) -> int:
    """The last number that can be read in the segment; 0 for none."""
    last = 0
    with contextlib.closing(Reader(disk, directory, Position(end.segment, 0), owned=False)) as reader:
        position = Position()
        while (piece := reader.read(end, _READ_BYTES)).position != position:
            position = piece.position
            last = piece.entries[-1].sequence if piece.entries else last
    return last
