"""Survey: what is known of a journal from its files' ends, beside a collector that may be writing it."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ingest.journal import segments
from ingest.journal.disk import Disk
from ingest.journal.frames import Entry
from ingest.journal.reader import DAMAGED, Piece, Reader
from ingest.journal.segments import Header, Position
from schemas import times

_READ_BYTES: Final = 1_048_576
_BEGINNING: Final = Position()
_LOOK_BYTES: Final = 65_536  # enough for a record, mostly


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of an epoch: its first and last number, when they were received, in how many files."""

    epoch: str
    first: int
    last: int
    first_received_at: str
    last_received_at: str
    segments: int
    bytes: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a journal; a time that does not apply is empty.

    in_use: a running process owns it. shipped_to: file and offset up to which Kafka has acknowledged all.
    kept_since, oldest_unshipped_at: when the first event of all, and of those unshipped, was received.
    set_aside: regions that could not be read as events; their bytes lie in `damaged/`.
    unreadable: what the disk does not give, and why; what is not in here counts without it.
    """

    journal: int
    directory: str
    in_use: bool
    epochs: list[Epoch]
    segments: int
    bytes: int
    kept_since: str
    shipped_to: str
    unshipped_events: int
    unshipped_bytes: int
    oldest_unshipped_at: str
    set_aside: int
    set_aside_bytes: int
    unreadable: list[str] = []


class Found(NamedTuple):
    """A segment: its number, what it says of itself, where its records begin, how long it is."""

    number: int
    header: Header
    begin: int
    size: int


class _Run(NamedTuple):
    """The segments of an epoch, and its first and last record there."""

    segments: list[Found]
    first: Entry
    last: Entry


class _Waiting(NamedTuple):
    """What is not shipped."""

    events: int = 0
    bytes: int = 0
    oldest_at: str = ""


def in_use(directory: Path) -> bool:
    """Whether a process owns the journal.

    Asked by a shared lock that is given back at once: two who ask do not take each other for an owner.
    """
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def segments_of(disk: Disk, directory: Path) -> list[Found]:
    """The segments, oldest first; one that is removed meanwhile or is just being made is none.

    Nor is one that the disk does not give: to find that is verification's affair.
    """
    return _segments(disk, directory)[0]


def _segments(disk: Disk, directory: Path) -> tuple[list[Found], list[str]]:
    """The segments, and what is to be said of those that the disk does not give."""
    there, unreadable = [], []
    for number in segments.numbers(disk, directory):
        path = directory / segments.name(number)
        try:
            with contextlib.closing(disk.open(path)) as file:
                header, begin = segments.header(file)
                found = Found(number, header, begin, file.size())
                for at in (begin, max(begin, found.size - _LOOK_BYTES)):  # its first events and its last
                    file.read(at, _LOOK_BYTES)
                holes = file.holes
        except FileNotFoundError:
            continue
        except OSError as error:
            unreadable.append(f"{path}: {error.strerror}")
            continue
        if holes:
            unreadable.append(f"{path}: {os.strerror(errno.EIO)}")
        if header.epoch:
            there.append(found)
    return there, unreadable


def pieces(
    disk: Disk,
    directory: Path,
    start: Position = _BEGINNING,
    end: Position | None = None,
    max_bytes: int = _READ_BYTES,
) -> Iterator[Piece]:
    """What can be read from there up to the end; over a segment that is removed meanwhile it goes on."""
    at = start
    while True:
        with contextlib.closing(Reader(disk, directory, start, owned=False)) as reader:
            try:
                while (piece := reader.read(end, max_bytes)).position not in (start, at):
                    at = piece.position
                    yield piece
            except FileNotFoundError:
                start = Position(max(at.segment + 1, start.segment), 0)
            else:
                return


def state(disk: Disk, directory: Path, shipped: Position) -> State:
    """What is known of the journal; shipped is its cursor's position."""
    there, unreadable = _segments(disk, directory)
    runs = list(_runs(disk, directory, there))
    waiting = _waiting(disk, directory, runs, shipped)
    aside = [directory / DAMAGED / name for name in disk.names(directory / DAMAGED)]
    return State(
        journal=int(directory.name),
        directory=str(directory),
        in_use=in_use(directory),
        epochs=[_epoch(run) for run in runs],
        segments=len(there),
        bytes=sum(each.size for each in there),
        kept_since=times.from_ms(runs[0].first.at_ms) if runs else "",
        shipped_to=f"{segments.name(shipped.segment)}:{shipped.offset}" if shipped.segment else "",
        unshipped_events=waiting.events,
        unshipped_bytes=waiting.bytes,
        oldest_unshipped_at=waiting.oldest_at,
        set_aside=len(aside),
        set_aside_bytes=sum(each.stat().st_size for each in aside),
        unreadable=unreadable,
    )


def _epoch(run: _Run) -> Epoch:
    return Epoch(
        epoch=run.segments[0].header.epoch,
        first=run.first.sequence,
        last=run.last.sequence,
        first_received_at=times.from_ms(run.first.at_ms),
        last_received_at=times.from_ms(run.last.at_ms),
        segments=len(run.segments),
        bytes=sum(each.size for each in run.segments),
    )


def _runs(disk: Disk, directory: Path, there: list[Found]) -> Iterator[_Run]:
    """Each epoch that has a record, oldest first."""
    for _, group in groupby(there, key=lambda each: each.header.epoch):
        of_epoch = list(group)
        first = next((entry for each in of_epoch if (entry := _first(disk, directory, each))), None)
        last = next((entry for each in reversed(of_epoch) if (entry := _last(disk, directory, each))), None)
        if first and last:
            yield _Run(of_epoch, first, last)


def _first(disk: Disk, directory: Path, segment: Found) -> Entry | None:
    return next((each[0] for each in _entries(disk, directory, segment, _LOOK_BYTES)), None)


def _last(disk: Disk, directory: Path, segment: Found) -> Entry | None:
    last = None
    for each in _entries(disk, directory, segment, _READ_BYTES):
        last = each[-1]
    return last


def _entries(disk: Disk, directory: Path, segment: Found, max_bytes: int) -> Iterator[list[Entry]]:
    """The records of one segment, as far as the disk gives them."""
    with contextlib.suppress(OSError):
        for piece in pieces(disk, directory, Position(segment.number, 0), max_bytes=max_bytes):
            if piece.position.segment != segment.number:
                return
            if piece.entries:
                yield piece.entries


def _waiting(disk: Disk, directory: Path, runs: list[_Run], shipped: Position) -> _Waiting:
    """What lies behind the cursor, by the numbers of the records."""
    oldest = None
    with contextlib.suppress(OSError):
        behind = pieces(disk, directory, shipped, max_bytes=_LOOK_BYTES)
        oldest = next((piece for piece in behind if piece.entries), None)
    epochs = [run.segments[0].header.epoch for run in runs]
    if oldest is None or oldest.epoch not in epochs:
        return _Waiting()
    entry, number = oldest.entries[0], oldest.position.segment
    later = runs[epochs.index(oldest.epoch) + 1 :]
    events = runs[epochs.index(oldest.epoch)].last.sequence - entry.sequence + 1
    return _Waiting(
        events + sum(run.last.sequence - run.first.sequence + 1 for run in later),
        sum(_bytes(each, shipped) for run in runs for each in run.segments if each.number >= number),
        times.from_ms(entry.at_ms),
    )


def _bytes(segment: Found, shipped: Position) -> int:
    """How much of the segment lies behind the cursor."""
    begin = shipped.offset if segment.number == shipped.segment else segment.begin
    return max(segment.size - begin, 0)
