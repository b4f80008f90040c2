"""The key watch: a changed file of keys is taken while the process runs, as a whole or not at all."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from schemas.transaction_id import Keyring
from service import keys
from service.errors import Problem, Usage

log = logging.getLogger(__name__)

LOOK_S = 1.0


class _Mark(NamedTuple):
    """What tells a changed file: it differs after every change, of its mode too."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class KeyWatch:
    """The file's keys as they could be taken last. Making one raises a Problem where they cannot be.

    problem: why the file as it is now is not taken; the keys of before are in force then. Empty: all is well.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._judged = self._seen = self._mark()
        self.keyring = keys.keyring(path)
        self.problem = ""

    async def follow(self, changed: Callable[[], None]) -> None:
        """For ever: the file is looked at once a second; `changed` is called when other keys are in force."""
        while True:
            await asyncio.sleep(LOOK_S)
            if await asyncio.to_thread(self.look):  # a disk that hangs must not stop the answers
                changed()

    def look(self) -> bool:
        """Whether other keys are in force now.

        A file is read when it looks as it did a look ago: while it is being written it may be well-formed and
        yet lack keys.
        """
        mark, before = self._mark(), self._seen
        self._seen = mark
        if mark == self._judged or mark != before:
            return False
        try:
            fresh = keys.keyring(self._path)
            _must_not_change_secrets(self._path, self.keyring, fresh)
        except Problem as problem:
            self._judged, self.problem = mark, str(problem)
            log.error("%s. The keys of before stay in force: %s", problem, _words(self.keyring))  # noqa: TRY400
            return False
        if self._mark() != mark:
            return False  # it changed while it was read
        self._judged, self.problem, self.keyring = mark, "", fresh
        log.info("the keys changed: %s", _words(fresh))
        return True

    def _mark(self) -> _Mark | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return _Mark(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _must_not_change_secrets(path: Path, old: Keyring, new: Keyring) -> None:
    """Every ID that a key signed would be a forgery; no rotation needs it."""
    for number in set(old.numbers) & set(new.numbers):
        if old.sign(number, b"") != new.sign(number, b""):
            raise Usage(f"{path}: key {number} has another secret than before; a number is never given twice")
    if old.identifiers not in (b"", new.identifiers):
        raise Usage(f"{path}: `identifiers` is not what it was; no customer would have the same ID as before")


def _words(ring: Keyring) -> str:
    return f"{', '.join(map(str, ring.numbers))} verify, {ring.signing} signs"
