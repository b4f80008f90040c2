"""The journal of one owner: groups of records on stable storage, in epochs, in segments."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ingest import receipts
from ingest.journal import recovery, segments
from ingest.journal.counters import Counters
from ingest.journal.directory import Directory, Held
from ingest.journal.disk import File
from ingest.journal.segments import Header, Position
from schemas.facts import Predecessor


class _Reached(NamedTuple):
    """How far a journal has come; replaced as a whole, so that other threads read what belongs together."""

    epoch: str = ""
    last: int = 0
    committed: Position = Position()


class Journal:
    """Writes the first journal that nobody holds. One thread calls start, commit and close; any one asks."""

    def __init__(
        self,
        directory: Directory,
        *,
        segment_bytes: int,
        counters: Counters,
        draw: Callable[[int], bytes],
        clock_ms: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._disk = directory.disk
        self._segment_bytes = segment_bytes
        self._counters = counters
        self._draw = draw
        self._clock_ms = clock_ms
        self._held: Held | None = None
        self._file: File | None = None
        self._empty: list[Path] = []
        self._refused = False
        self._number = 0
        self._size = 0
        self._begin = 0  # of the segment's first record
        self.previous: Predecessor | None = None
        self._reached = _Reached()
        self._answered = Position()  # the end of what was answered before this epoch

    @property
    def path(self) -> Path | None:
        """Where it lies; None until it could be locked for the first time."""
        return self._held.path if self._held else None

    def how_far(self) -> tuple[str, int]:
        """The newest epoch and its last number on stable storage, of one instant."""
        return self._reached[:2]

    @property
    def epoch(self) -> str:
        """The newest epoch; empty before the first."""
        return self._reached.epoch

    @property
    def last(self) -> int:
        """The newest epoch's last number on stable storage; 0 for none."""
        return self._reached.last

    @property
    def committed(self) -> Position:
        """Everything before it is on stable storage, and may be shipped."""
        return self._reached.committed

    def start(self) -> None:
        """A new epoch has begun, in a new file, both durable; `previous` is the epoch before it.

        OSError where the disk fails: nothing has begun, and it may be tried again.
        """
        if self._held is None:
            self._recover(self._directory.own())
        else:
            self._held = self._directory.again(self._held)
        epoch = receipts.epoch(self._clock_ms(), self._draw(receipts.RANDOM_BYTES))
        header = Header(
            epoch=epoch,
            first=1,
            opened_ms=self._clock_ms(),
            previous=self.previous,
            refused=self._refused,
        )
        self._open(header)
        self._answered = self._reached.committed
        self._reached = _Reached(epoch, 0, Position(self._number, self._size))
        self._counters.epochs.inc()
        while self._empty:  # not before: the newest file's number must not come again
            with contextlib.suppress(OSError):
                self._disk.remove(self._empty.pop())

    def _recover(self, held: Held) -> None:
        try:
            left = recovery.recover(self._disk, held.path)
        except OSError:
            held.lock.release()
            raise
        self.previous, self._refused = left.previous, left.refused
        self._number, self._empty = left.number, left.empty
        self._reached = _Reached(committed=left.end)
        self._held = held

    def commit(self, records: Sequence[bytes]) -> None:
        """The frames, which go on from `last`, are on stable storage.

        OSError where the disk fails: none of them is to be relied upon, the epoch is over and its file is
        never written or synced again: what a second sync says of pages that a first one lost is no truth.
        """
        if self._file is None:
            raise RuntimeError("no epoch has begun")
        data = b"".join(records)
        began = time.perf_counter()
        try:
            if self._size > self._begin and self._size + len(data) > self._segment_bytes:
                self._roll()
            self._file.write(data)
            self._file.sync()
        except OSError:
            self._give_up()
            raise
        self._counters.sync_seconds.observe(time.perf_counter() - began)
        self._size += len(data)
        epoch, last, _ = self._reached
        self._reached = _Reached(epoch, last + len(records), Position(self._number, self._size))

    def close(self) -> None:
        """Nothing more is written, and others may take the journal."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._held is not None:
            self._held.lock.release()
            self._held = None

    def _roll(self) -> None:
        """The epoch goes on in a new file."""
        full = self._file
        self._open(Header(epoch=self.epoch, first=self.last + 1, opened_ms=self._clock_ms()))
        if full is not None:
            full.close()

    def _open(self, header: Header) -> None:
        """A new file with the header is there, durably, and is the one that is written."""
        self._number += 1  # never again, whatever becomes of the file
        path = self._path(self._number)
        data = segments.encode(header)
        file = self._disk.create(path)
        try:
            file.write(data)
            file.sync()
            self._disk.sync_directory(path.parent)
        except OSError:
            self._drop(file, path)
            raise
        self._file, self._size, self._begin = file, len(data), len(data)

    def _give_up(self) -> None:
        """The epoch is over; the next one names it, if any of it was answered."""
        file, self._file = self._file, None
        if file is not None and self._size > self._begin:
            file.close()
            self._refused = True
        elif file is not None and not self._drop(file, self._path(self._number)):
            self._refused = True
        if self.last:
            self.previous = Predecessor(epoch=self.epoch, last=self.last)
        else:  # its header said where the epoch before ended, and may be gone: read no further until the next
            self._reached = self._reached._replace(committed=self._answered)

    def _drop(self, file: File, path: Path) -> bool:
        """Whether a file without an answered record is gone: attempts must not fill a full disk.

        The next file that is made there makes it durable, too.
        """
        file.close()
        if self._held is None or not self._held.lock.named():
            return False  # what has the name now may be another owner's
        try:
            self._disk.remove(path)
        except OSError:
            return False
        return True

    def _path(self, number: int) -> Path:
        if self._held is None:
            raise RuntimeError("no journal is held")
        return self._held.path / segments.name(number)
