"""The catalog follower: every version of the catalog that the topic holds, in memory and on disk.

Each record of `catalog` is a whole version, its key the number as text; the first with a number wins. A
thread reads the topic and keeps each version in DIR/catalog, so that a service starts without Kafka; the
event loop alone changes what callers see.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from schemas.catalog_reader import Reader
from schemas.catalog_versions import CatalogVersion, History
from service.errors import Unavailable, Unreachable
from service.kafka import Admin, Record, Tail
from service.settings import Settings

log = logging.getLogger(__name__)

TOPIC = "catalog"
POLL_S = 0.5  # how late the thread may notice the stop; a new version wakes it at once
RETRY_S = 1.0
ASK_S = 3.0  # for an answer of the broker; a stop may have to wait as long
IDENTITY_S = 30.0  # how often it is made sure that the log is still the same one


class Follower:
    """The catalog's history as far as it is known here; belongs to one event loop.

    on_version is called in the loop with the version in force: once the disk is read, once the topic is read
    to its end (nobody acts by a version of last year meanwhile), and whenever a new one comes after that.
    """

    def __init__(
        self, settings: Settings, on_version: Callable[[CatalogVersion], None] | None = None
    ) -> None:
        self.history = History()
        self.caught_up = False
        """Whether the topic was read to its end once."""
        self._settings = settings
        self._on_version = on_version
        self._shelf = Shelf(settings.dir / "catalog")
        self._arrived = asyncio.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unreachable = ""

    @property
    def current(self) -> CatalogVersion | None:
        """The version in force; None before the first."""
        return self.history.current

    @property
    def broken(self) -> int:
        """How many records did not decode."""
        return self._shelf.broken

    def load(self) -> None:
        """What the disk holds is known."""
        for version in self._shelf.load():
            self._take(version)
        self._say()

    def start(self) -> None:
        """What the disk holds is known, and the topic is followed from now on; in a running loop."""
        self.load()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._follow, name="catalog", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """The topic is not followed any more."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def wait_for(self, version: int, timeout_s: float) -> CatalogVersion:
        """The version with this number; Unavailable where it has not come in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while (found := self.history.at(version)) is None:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError as error:
            raise Unavailable(f"catalog version {version} has not come in {timeout_s:g} s") from error
        return found

    def alarms(self) -> list[str]:
        """What is wrong now, a sentence each."""
        empty = "" if self.current else "there is no catalog yet: roundtrip catalog apply FILE"
        return [alarm for alarm in (empty, self._unreachable, *self._shelf.alarms) if alarm]

    def _take(self, version: CatalogVersion) -> None:
        if self.history.add(version):
            self._arrived.set()
            if self.caught_up:
                self._say()

    def _say(self) -> None:
        if self._on_version and self.current:
            self._on_version(self.current)

    def _tell(self, act: Callable[..., None], *arguments: object) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act, *arguments)

    def _follow(self) -> None:
        with Admin(self._settings, ASK_S) as admin:  # one: a new one for each attempt costs memory for good
            while not self._stopping.is_set():
                try:
                    self._read_log(admin)
                except (Unreachable, Unavailable) as error:
                    self._unreachable = str(error)
                    self._stopping.wait(RETRY_S)

    def _read_log(self, admin: Admin) -> None:
        """Reads one log until the stop, or until another has taken its place."""
        identity = admin.log_identity(TOPIC)
        self._unreachable = ""
        tail = Tail(self._settings, TOPIC)
        sure_until = time.monotonic() + IDENTITY_S
        try:
            while not self._stopping.is_set():
                for record in tail.read(1, POLL_S):  # each may have megabytes
                    if version := self._shelf.keep(record):
                        self._tell(self._take, version)
                if tail.at_end and not self.caught_up:
                    self._tell(self._reached_end)
                if time.monotonic() > sure_until:
                    if admin.log_identity(TOPIC) != identity:
                        log.warning("the topic %s is a new one; it is read from its start", TOPIC)
                        return
                    self._shelf.write()
                    sure_until = time.monotonic() + IDENTITY_S
        finally:
            tail.close()

    def _reached_end(self) -> None:
        if not self.caught_up:
            self.caught_up = True
            self._say()


class Shelf:
    """DIR/catalog/NNNNNN.json: each version's bytes as they came; for one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[int, bytes] = {}  # number -> SHA-256 of the bytes
        self._conflicts: set[int] = set()
        self._bad_places: set[object] = set()
        self._unwritten: dict[int, bytes] = {}
        self._reader = Reader()
        self._disk_is_bad = False
        self.broken = 0

    @property
    def alarms(self) -> list[str]:
        """What is wrong with records and files."""
        found = [
            f"catalog version {number} in Kafka differs from the one that is in force here, which stays"
            for number in sorted(self._conflicts)
        ]
        return found + ([f"{self.broken} catalog records cannot be read"] if self.broken else [])

    def load(self) -> Iterator[CatalogVersion]:
        """The versions on disk, by number; a file that cannot be read is as if it were not there."""
        for path in sorted(self._directory.glob("*.json")):
            value = self._read(path)
            if value is not None and (version := self._decoded(path, path.stem, value)):
                yield version

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except OSError as error:
            log.warning("%s cannot be read, and is passed over: %s", path, error)
            return None

    def keep(self, record: Record) -> CatalogVersion | None:
        """The version of a record; None where its number was known, or it does not decode.

        It is on disk now, unless that is full or broken: the service goes on without, says so once, and tries
        again.
        """
        number = record.key.decode("utf-8", "replace")
        if number.isascii() and number.isdigit() and int(number) in self._known:
            if self._known[int(number)] != _digest(record.value):
                self._conflicts.add(int(number))
            return None
        version = self._decoded(record.offset, number, record.value)
        if version:
            self._unwritten[version.version] = record.value
            self.write()
        return version

    def write(self) -> None:
        """What is not on disk yet is there now, if the disk takes it."""
        try:
            while self._unwritten:
                number = min(self._unwritten)
                self._write(number, self._unwritten[number])
                del self._unwritten[number]
        except OSError as error:
            if not self._disk_is_bad:
                log.warning(
                    "catalog versions are kept in memory only, the disk does not take them: %s", error
                )
            self._disk_is_bad = True
            return
        if self._disk_is_bad:
            log.warning("catalog versions are kept on disk again")
        self._disk_is_bad = False

    def _decoded(self, place: object, number: str, value: bytes) -> CatalogVersion | None:
        try:
            version = self._reader.read(value)
            if not number.isdigit() or int(number) != version.version:
                raise ValueError(f"it says version {version.version}")  # noqa: TRY301  one place for all that is broken
        except (msgspec.MsgspecError, ValueError) as error:
            if place not in self._bad_places:
                self._bad_places.add(place)
                self.broken += 1
                log.warning(
                    "catalog record %r at %s cannot be read, and is passed over: %s", number, place, error
                )
            return None
        self._known[version.version] = _digest(value)
        return version

    def _write(self, number: int, value: bytes) -> None:
        """The file is there whole, also after a power cut; OSError where it is not there at all."""
        path = self._directory / f"{number:06}.json"
        # A name of its own: the services of one machine share the directory, and write at the same moment.
        fresh = path.with_suffix(f".{secrets.token_hex(4)}.new")
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            with fresh.open("wb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
