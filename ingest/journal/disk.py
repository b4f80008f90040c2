"""The disk: the journal's one door to the file system; tests put their faults here."""

import errno
import fcntl
import os
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

_BLOCK_BYTES: Final = 4_096


class File(Protocol):
    """An open file. Every method raises OSError where the disk does.

    holes: how many blocks could not be read up to now.
    """

    holes: int

    def write(self, data: bytes) -> None:
        """All of it is appended; where it fails, some of it may be."""

    def sync(self) -> None:
        """What was written is on stable storage, under the file's name.

        Where it fails, nobody may try again on this file; it fails where the file was removed, too.
        """

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there; fewer at the file's end. A block that cannot be read comes as zeros."""

    def size(self) -> int:
        """How many bytes it has now."""

    def close(self) -> None:
        """Nothing more is done with it; tells no error."""


class Lock(Protocol):
    """A lock that this process holds."""

    def named(self) -> bool:
        """Whether its file is still there; else another process may have the like."""

    def release(self) -> None:
        """Others may take it."""


class Disk(Protocol):
    """Files and directories. Every method raises OSError where the disk does."""

    def create(self, path: Path) -> File:
        """A new file to append to; FileExistsError where there is one. Durable after sync_directory."""

    def open(self, path: Path) -> File:
        """An existing file, to read and to sync."""

    def names(self, directory: Path) -> list[str]:
        """What lies in the directory, in no order; nothing where there is none."""

    def remove(self, path: Path) -> None:
        """The file is gone, and it is no error if it was."""

    def replace(self, source: Path, target: Path) -> None:
        """The target is what the source was, at no instant neither; durable after sync_directory."""

    def sync_directory(self, directory: Path) -> None:
        """What was created, replaced and removed there stays so."""

    def make_directory(self, directory: Path) -> None:
        """The directory is there, durably, and those above it."""

    def lock(self, path: Path) -> Lock | None:
        """The lock on the file, which is made where there is none; None while another holds it."""

    def free(self, directory: Path) -> int:
        """How many bytes may still be written there."""


class RealFile:
    """A file of the operating system."""

    def __init__(self, path: Path, flags: int) -> None:
        self._path = path
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o640)
        self.holes = 0

    def write(self, data: bytes) -> None:
        """All of it is appended; the kernel may take it in parts."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        """What was written is on stable storage, the size that goes with it, and has a name."""
        os.fdatasync(self._descriptor)
        if not os.fstat(self._descriptor).st_nlink:
            raise OSError(errno.ENOENT, "somebody removed the file while it was in use", str(self._path))

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there; fewer at the file's end. A block that cannot be read comes as zeros."""
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        end = min(offset + size, self.size())
        starts = [offset, *range(offset - offset % _BLOCK_BYTES + _BLOCK_BYTES, end, _BLOCK_BYTES), end]
        return b"".join(self._block(begin, stop - begin) for begin, stop in pairwise(starts))

    def _block(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.holes += 1
            return bytes(size)

    def size(self) -> int:
        """How many bytes it has now."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Nothing more is done with it; what a close could tell, sync has told."""
        descriptor, self._descriptor = self._descriptor, -1
        try:
            os.close(descriptor)
        except OSError:
            return


class RealLock:
    """flock: it ends with the process, however that ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def named(self) -> bool:
        """Whether its file is still there."""
        return os.fstat(self._descriptor).st_nlink > 0

    def release(self) -> None:
        """Others may take it."""
        os.close(self._descriptor)


class RealDisk:
    """The operating system's file system."""

    def create(self, path: Path) -> File:
        """A new file to append to; FileExistsError where there is one."""
        return RealFile(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND)

    def open(self, path: Path) -> File:
        """An existing file, to read and to sync."""
        return RealFile(path, os.O_RDONLY)

    def names(self, directory: Path) -> list[str]:
        """What lies in the directory, in no order; nothing where there is none."""
        try:
            return [each.name for each in directory.iterdir()]
        except FileNotFoundError:
            return []

    def remove(self, path: Path) -> None:
        """The file is gone, and it is no error if it was."""
        path.unlink(missing_ok=True)

    def replace(self, source: Path, target: Path) -> None:
        """The target is what the source was."""
        source.replace(target)

    def sync_directory(self, directory: Path) -> None:
        """What was created, replaced and removed there stays so."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_directory(self, directory: Path) -> None:
        """The directory is there, durably, and those above it."""
        if directory.is_dir():
            return
        self.make_directory(directory.parent)
        directory.mkdir(mode=0o750, exist_ok=True)
        self.sync_directory(directory.parent)

    def lock(self, path: Path) -> Lock | None:
        """The lock on the file, which is made where there is none; None while another holds it."""
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return RealLock(descriptor)

    def free(self, directory: Path) -> int:
        """How many bytes may still be written there."""
        space = os.statvfs(directory)
        return space.f_bavail * space.f_frsize
