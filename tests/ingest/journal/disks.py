"""A disk in memory that knows what is synced and what is not; it passes the real one's contract."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from ingest.journal.disk import File, Lock

Pick = Callable[[int], int]
"""A number from 0 to the given one, both included."""


class Inode:
    """content: what the kernel shows; durable: what would be there after a loss of power.

    clean: up to where the kernel believes that content is durable; a failed sync moves it on all the same.
    pristine: content as it was written, without what flipped. doubted: a sync of it has failed.
    named: it has a name.
    """

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = bytearray()
        self.clean = 0
        self.pristine = bytearray()
        self.doubted = False
        self.named = True

    def sync(self) -> None:
        self.durable += bytes(self.clean - len(self.durable))
        self.durable += self.content[self.clean :]
        self.clean = len(self.content)

    def lose(self, pick: Pick) -> None:
        """A loss of power: of what was not synced a part stays, cut at any byte, perhaps with zeros."""
        dirty = self.content[self.clean :]
        kept = pick(len(dirty))
        zeros = pick(len(dirty) - kept)
        if kept + zeros:
            self.durable += bytes(self.clean - len(self.durable)) + dirty[:kept] + bytes(zeros)
        self.pristine = self.pristine[: len(self.durable)]
        self.content = bytearray(self.durable)
        self.clean = len(self.content)

    def flip(self, at: int, bit: int) -> None:
        self.content[at] ^= 1 << bit
        if at < len(self.durable):
            self.durable[at] ^= 1 << bit


class Faults:
    """What the disk refuses from now on, each so many times.

    sync: what was written is lost. late: it is stored, and the error is told all the same.
    room: bytes that may still be written before ENOSPC, None for any number.
    unreadable: of every file these bytes cannot be read, and come as zeros.
    """

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.room: int | None = None
        self.unreadable = range(0)

    def strike(self, operation: str) -> None:
        """EIO, if it is its turn."""
        if self.left.get(operation, 0):
            self.left[operation] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), operation)


class SimulatedFile:
    def __init__(self, inode: Inode, faults: Faults) -> None:
        self.inode = inode
        self._faults = faults
        self._open = True
        self.holes = 0

    def _check(self) -> None:
        if not self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def write(self, data: bytes) -> None:
        self._check()
        self._faults.strike("write")
        room = self._faults.room
        taken = data if room is None else data[:room]
        self.inode.content += taken
        self.inode.pristine += taken
        if room is not None:
            self._faults.room = room - len(taken)
            if len(taken) < len(data):
                self._faults.left["full"] -= 1
                if not self._faults.left["full"]:
                    self._faults.room = None
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        self._check()
        if self._faults.left.get("sync"):
            self.inode.clean = len(self.inode.content)  # as Linux does: the pages count as clean
            self.inode.doubted = True
        self._faults.strike("sync")
        self.inode.sync()
        self._faults.strike("late")
        if not self.inode.named:
            raise OSError(errno.ENOENT, "removed while it was in use")

    def read(self, offset: int, size: int) -> bytes:
        self._check()
        data = self.inode.content[offset : offset + size]
        bad = self._faults.unreadable
        begin, stop = max(bad.start, offset), min(bad.stop, offset + len(data))
        if begin < stop:
            data[begin - offset : stop - offset] = bytes(stop - begin)
            self.holes += 1
        return bytes(data)

    def size(self) -> int:
        self._check()
        return len(self.inode.content)

    def close(self) -> None:
        self._open = False


class SimulatedLock:
    def __init__(self, disk: "SimulatedDisk", path: Path) -> None:
        self._disk = disk
        self._path = path
        self._inode = disk.files[path]

    def named(self) -> bool:
        return self._inode.named

    def release(self) -> None:
        if self._inode.named:
            self._disk.locked.discard(self._path)


class SimulatedDisk:
    def __init__(self) -> None:
        self.files: dict[Path, Inode] = {}
        self.durable_names: dict[Path, Inode] = {}
        self.directories: set[Path] = {Path("/")}
        self.locked: set[Path] = set()
        self.free_bytes = 1 << 40
        self.faults = Faults()

    def create(self, path: Path) -> File:
        self.faults.strike("create")
        self._parent(path)
        if path in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self.files[path] = Inode()
        return self.open(path)

    def open(self, path: Path) -> File:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return SimulatedFile(self.files[path], self.faults)

    def names(self, directory: Path) -> list[str]:
        return [path.name for path in (*self.files, *self.directories) if path.parent == directory != path]

    def remove(self, path: Path) -> None:
        self.faults.strike("remove")
        if node := self.files.pop(path, None):
            node.named = False
            self.locked.discard(path)

    def replace(self, source: Path, target: Path) -> None:
        if node := self.files.get(target):
            node.named = False
        self.files[target] = self.files.pop(source)

    def sync_directory(self, directory: Path) -> None:
        self.faults.strike("sync_directory")
        for path in [each for each in self.durable_names if each.parent == directory]:
            del self.durable_names[path]
        self.durable_names |= {path: node for path, node in self.files.items() if path.parent == directory}

    def make_directory(self, directory: Path) -> None:
        self.directories |= {directory, *directory.parents}

    def lock(self, path: Path) -> Lock | None:
        self._parent(path)
        self.files.setdefault(path, Inode())
        if path in self.locked:
            return None
        self.locked.add(path)
        return SimulatedLock(self, path)

    def free(self, directory: Path) -> int:
        self._parent(directory / "any")
        return self.free_bytes

    def _parent(self, path: Path) -> None:
        if path.parent not in self.directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))

    def kill(self) -> None:
        """The process is gone: its locks too, and what it wrote is in the kernel's memory."""
        self.locked.clear()
        self.faults = Faults()

    def lose_power(self, pick: Pick) -> None:
        """The machine is gone: what was synced is there, and of the rest anything."""
        self.kill()
        for path in sorted({*self.files, *self.durable_names}):
            new, old = self.files.get(path), self.durable_names.get(path)
            stays = new if new is old or pick(1) else old
            if stays is None:
                self.files.pop(path, None)
            else:
                self.files[path] = stays
                stays.named = True
                stays.lose(pick)
        self.durable_names = dict(self.files)
