"""The directory of journals: one a process; one whose owner is gone is taken by whoever comes."""

import errno
import logging
from pathlib import Path
from typing import Final, NamedTuple

from ingest.journal import segments
from ingest.journal.disk import Disk, Lock

log = logging.getLogger(__name__)

_LOCK: Final = "lock"


class Held(NamedTuple):
    """A journal that this process has locked: nobody else writes it, ships it or removes from it."""

    number: int
    path: Path
    lock: Lock


class Directory:
    """DIR/journal, with the journals 0, 1, 2 and so on."""

    def __init__(self, disk: Disk, root: Path) -> None:
        self.disk = disk
        self.root = root
        self._unusable: set[int] = set()

    def numbers(self) -> list[int]:
        """The journals that there are."""
        return sorted(int(name) for name in self.disk.names(self.root) if name.isascii() and name.isdigit())

    def path(self, number: int) -> Path:
        """Where a journal lies."""
        return self.root / str(number)

    def own(self) -> Held:
        """The first journal that nobody holds, new where all are held; OSError where the disk fails."""
        number = 0
        while (held := self._take(number)) is None:
            number += 1
        return held

    def again(self, held: Held) -> Held:
        """The journal is where it was and held, even if somebody removed its directory meanwhile.

        OSError where the disk fails, or another process has taken its place.
        """
        if held.lock.named():
            return held
        new = self._take(held.number)
        if new is None:
            raise OSError(
                errno.EEXIST, "somebody removed the journal, and another process has a new one there"
            )
        log.error("%s: somebody removed it while it was in use; it is made again", held.path)
        held.lock.release()
        return new

    def left_by_others(self) -> list[Held]:
        """Each journal whose owner is gone, now held here: its records are on stable storage.

        Whoever has nothing to do with one releases its lock. One that the disk does not give is said, once,
        and not held: it keeps nobody from the others.
        """
        return [held for number in self.numbers() if (held := self._usable(number))]

    def left(self, number: int) -> Held | None:
        """The journal, if its owner is gone, now held here: its records are on stable storage.

        OSError where the disk fails: it is not held.
        """
        if held := self._take(number):
            try:
                segments.seal(self.disk, held.path)
            except OSError:
                held.lock.release()
                raise
        return held

    def _usable(self, number: int) -> Held | None:
        try:
            held = self.left(number)
        except OSError as error:
            if number not in self._unusable:
                log.warning("%s cannot be taken, and is not shipped: %s", self.path(number), error)
            self._unusable.add(number)
            return None
        self._unusable.discard(number)
        return held

    def _take(self, number: int) -> Held | None:
        path = self.path(number)
        self.disk.make_directory(path)
        lock = self.disk.lock(path / _LOCK)
        return Held(number, path, lock) if lock else None
