"""The reader: a journal's records from a position on, in order; damage is set aside, and passed over."""

import contextlib
import errno
import logging
from bisect import bisect_right
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from ingest.journal import frames, segments
from ingest.journal.disk import Disk, File
from ingest.journal.frames import Entry
from ingest.journal.patience import Patience
from ingest.journal.segments import Header, Position

log = logging.getLogger(__name__)

DAMAGED: Final = "damaged"  # the directory beside the segments
_COPY_BYTES: Final = 1_048_576
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_sequence = attrgetter("sequence")


class Piece(NamedTuple):
    """Some records of one segment.

    epoch: a record's receipt is `{epoch}-{sequence}`.
    position: after them; where it has not moved, there is nothing more up to the end.
    damaged, torn: regions that were newly set aside: bytes of answered records, and of what a crash cut.
    """

    entries: list[Entry]
    epoch: str
    position: Position
    damaged: int = 0
    torn: int = 0


class _Segment(NamedTuple):
    number: int
    file: File
    header: Header


class _Named(NamedTuple):
    last: int
    refused: bool


class Reader:
    """Reads a journal, a piece at a time. Only a position that a piece gave may be kept and started from.

    owned: the journal is locked by this process, so that damage is set aside and what a crash cut is passed
    over. Else it only looks: at the live end it waits, where what is read may not be synced yet.
    patience: when an owner takes for damage what the disk does not give; never, where there is none.
    """

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        start: Position,
        *,
        owned: bool,
        patience: Patience | None = None,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._position = start
        self._owned = owned
        self._patience = patience
        self._segment: _Segment | None = None
        self._last = 0  # the number before the position, 0 where that is not known

    def close(self) -> None:
        """No file is open; the reader may go on."""
        if self._segment is not None:
            self._segment.file.close()
            self._segment = None

    def read(self, end: Position | None, max_bytes: int) -> Piece:
        """What follows: so many bytes at most (but a record at least), up to the end of what is committed.

        OSError where the disk fails: the same may be read again. No end: all that there is.
        """
        start = self._position
        while segment := self._at(end):
            stop = end.offset if end and end.segment == segment.number else segment.file.size()
            if self._position.offset < stop:
                return self._piece(segment, stop, end, max_bytes) or Piece([], "", start)
            following = self._following(segment.number + 1, end)
            if following is None:
                break
            self._move(Position(following, 0))
        return Piece([], "", start)

    def _at(self, end: Position | None) -> _Segment | None:
        """The segment of the position, or the first one after it, open."""
        if self._segment is None:
            number = self._following(self._position.segment, end)
            if number is None:
                return None
            offset = self._position.offset if number == self._position.segment else 0
            file = self._disk.open(self._directory / segments.name(number))
            header, begin = segments.header(file)
            if not header.epoch and not self._owned:
                file.close()
                return None  # it is just being made
            if not header.epoch and file.holes:
                file.close()
                raise _unread(self._directory, Position(number, offset))  # of all of it: no mere bad block
            self._segment = _Segment(number, file, header)
            self._position = Position(number, max(offset, begin))
        return self._segment

    def _following(self, number: int, end: Position | None) -> int | None:
        """The first segment from this number on."""
        if end is not None and end.segment < number:
            return None
        there = segments.numbers(self._disk, self._directory)
        return next((each for each in there if each >= number and (not end or each <= end.segment)), None)

    def _move(self, position: Position) -> None:
        if position.segment != self._position.segment:
            self.close()
            self._last = 0
        self._position = position

    def _piece(self, segment: _Segment, stop: int, end: Position | None, max_bytes: int) -> Piece | None:
        """What lies at the position, if only damage; None where it must be waited for."""
        at, holes = self._position.offset, segment.file.holes
        data = segment.file.read(at, min(max(max_bytes, frames.LEAST_BYTES), stop - at))
        entries, used = frames.decode(data, self._last)
        if not used and len(data) < (said := frames.length(data)) <= stop - at:
            entries, used = frames.decode(segment.file.read(at, said), self._last)
        if not used:
            return self._damage(segment, stop, end, holes)
        named = self._named(segment, end)
        if named is not None and named.refused and entries[-1].sequence > named.last:
            del entries[bisect_right(entries, named.last, key=_sequence) :]
            self._position = Position(segment.number, stop)
        else:
            self._last = entries[-1].sequence
            self._position = Position(segment.number, at + used)
        self._given(Position(segment.number, at), self._position)
        return Piece(entries, segment.header.epoch, self._position)

    def _named(self, segment: _Segment, end: Position | None) -> _Named | None:
        """What the next epoch says of the end of the segment's; an epoch that it does not name had none."""
        following = self._next_header(segment, end)
        epoch = segment.header.epoch
        if following is None or following.epoch == epoch:
            return None
        previous = following.previous
        return _Named(previous.last if previous and previous.epoch == epoch else 0, following.refused)

    def _next_header(self, segment: _Segment, end: Position | None) -> Header | None:
        """What the next segment says that says anything."""
        if end is not None and end.segment == segment.number:
            return None  # what is committed was answered
        number = segment.number
        while (number := self._following(number + 1, end) or 0) > 0:
            with contextlib.closing(self._disk.open(self._directory / segments.name(number))) as file:
                header, begin = segments.header(file)
            if not begin and file.holes:
                self._wait(Position(number, 0))
            self._given(Position(number, 0), Position(number, begin))
            if header.epoch:
                return header
        return None

    def _wait(self, place: Position) -> None:
        """OSError where what an owner could not read there may yet be given."""
        if self._owned and not (self._patience and self._patience.ends(place)):
            raise _unread(self._directory, place)

    def _given(self, begin: Position, end: Position) -> None:
        if self._patience is not None:
            self._patience.given(begin, end)

    def _damage(self, segment: _Segment, stop: int, end: Position | None, holes: int) -> Piece | None:
        """The region from the position to the next good record, or to the end, is set aside.

        holes: of the file, before the region was read; OSError where it has more now, while patience lasts.

        It is torn, and no answered record was in it, where it ends an epoch and nothing answered is missing.
        """
        at = self._position.offset
        good = segments.next_good(segment.file, at + 1, stop, self._last)
        if segment.file.holes > holes:
            self._wait(self._position)
        following = self._next_header(segment, end)
        committed = end is not None and end.segment == segment.number
        if good is None and not self._owned and following is None and not committed:
            return None
        named = self._named(segment, end)
        lost = (
            good is not None
            or committed
            or (following is not None and following.epoch == segment.header.epoch)
            or (named is not None and self._last < named.last)
        )
        behind = stop if good is None else good
        new = not self._owned or self._set_aside(segment, at, behind, "damaged" if lost else "torn")
        self._position = Position(segment.number, behind)
        return Piece([], segment.header.epoch, self._position, int(new and lost), int(new and not lost))

    def _set_aside(self, segment: _Segment, begin: int, stop: int, kind: str) -> bool:
        """The bytes lie in the directory of damage; whether they are new there.

        OSError where the disk fails, or gives something else by now: it does not fail for good, and what it
        did not give is no damage. Where it only has no room, the segment still has the bytes, and the records
        behind them must not wait: shipped, they make room.
        """
        directory = self._directory / DAMAGED
        name = f"{segment.number:012d}-{begin}"
        path = self._directory / segments.name(segment.number)
        region = f"{path}: {stop - begin} bytes from {begin} on are {kind}"
        if name in self._disk.names(directory):
            return False
        try:
            self._disk.make_directory(directory)
            self._copy(segment.file, begin, stop, directory / f"{name}.part")
            self._sure(segment, begin, stop)
            self._disk.replace(directory / f"{name}.part", directory / name)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                self.close()  # its header may not have been read either
                with contextlib.suppress(OSError):
                    self._disk.remove(directory / f"{name}.part")
                raise
            log.warning("%s; passed over, and could not be set aside: %s", region, error)
        else:
            log.error("%s; set aside", region)
            with contextlib.suppress(OSError):  # a loss of power costs the copy, not the original
                self._disk.sync_directory(directory)
        return True

    def _sure(self, segment: _Segment, begin: int, stop: int) -> None:
        """The region is still bad after the disk took a write and a sync, and so is well."""
        good = segments.next_good(segment.file, begin, stop, self._last)
        if good is not None or segments.header(segment.file)[0] != segment.header:
            raise OSError(errno.EIO, "the disk did not give what it gives now", str(self._directory))

    def _copy(self, source: File, begin: int, stop: int, target: Path) -> None:
        self._disk.remove(target)
        with contextlib.closing(self._disk.create(target)) as file:
            for at in range(begin, stop, _COPY_BYTES):
                file.write(source.read(at, min(_COPY_BYTES, stop - at)))
            file.sync()


def _unread(directory: Path, place: Position) -> OSError:
    path = directory / segments.name(place.segment)
    why = f"the disk does not give what lies from {place.offset} on, and what is behind it waits"
    return OSError(errno.EIO, why, str(path))
