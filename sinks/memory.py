"""Memory: which notices have ended and what partners were told last; the only door to rocksdict here."""

from pathlib import Path
from typing import NamedTuple

import msgspec
from rocksdict import AccessType, Options, Rdict, WriteBatch

from schemas.decisions import Delivery, Notice
from service.errors import Problem
from sinks.notice import was_dialled

# Longer than the correction window (120 days), the click window and the lateness allowance together: until
# then a replayed fact may bring a notice again. Older keys go when RocksDB compacts.
KEPT_S = 200 * 86_400
_VERSION_BYTES = 8


class Place(NamedTuple):
    """Up to where a partition of `deliveries` is remembered, in which log."""

    identity: str = ""
    offset: int = 0


class Told(NamedTuple):
    """What a partner was told last of a conversion: the newest version, and the notice."""

    version: int = 0
    notice_id: str = ""


class Memory:
    """What ended, on disk: a copy of the topic `deliveries`, which repairs it. Any thread may use it."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(f"{directory} cannot be made: {error.strerror}; see ROUNDTRIP_DIR") from error
        try:
            self._db = Rdict(str(directory), Options(raw_mode=True), access_type=AccessType.with_ttl(KEPT_S))
        except Exception as error:  # rocksdict raises nothing narrower
            raise Problem(
                f"the notifier's memory {directory} cannot be opened: {error};"
                " does another notifier run in this directory?"
            ) from error

    def ended(self, notice: Notice) -> bool:
        """Whether the notice was told, refused or given up, and its partner told nothing else since.

        One that is newer than what else was told is due again: approved, rejected, approved.
        """
        found = self._db.get(_ended(notice.notice_id))
        if found is None:
            return False
        last = self.told_last(notice.conversion_id, notice.subscription)
        is_overtaken = last.notice_id not in ("", notice.notice_id) and notice.version > last.version
        return not (is_overtaken and notice.version > int.from_bytes(found))

    def told_last(self, conversion_id: str, subscription: str) -> Told:
        """What this subscription was told last of the conversion; a Told of nothing if nothing."""
        found = self._db.get(_told(conversion_id, subscription)) or b""
        return Told(int.from_bytes(found[:_VERSION_BYTES]), found[_VERSION_BYTES:].decode())

    def note(self, delivery: Delivery) -> None:
        """The delivery is remembered."""
        batch = WriteBatch(raw_mode=True)
        version = delivery.version.to_bytes(_VERSION_BYTES)
        if delivery.ended:
            key = _ended(delivery.notice_id)
            batch.put(key, max(version, self._db.get(key) or b""))
        newer = delivery.version > self.told_last(delivery.conversion_id, delivery.subscription).version
        if newer and was_dialled(delivery):
            key = _told(delivery.conversion_id, delivery.subscription)
            batch.put(key, version + delivery.notice_id.encode())
        self._db.write(batch)

    def place(self, partition: int) -> Place:
        """Up to where the partition is remembered; a Place of nothing if not at all."""
        found = self._db.get(b"p%d" % partition)
        return Place(*msgspec.json.decode(found)) if found else Place()

    def remember(self, partition: int, place: Place) -> None:
        """Everything below the place is remembered, and need not be read back."""
        self._db.put(b"p%d" % partition, msgspec.json.encode(place))

    def close(self) -> None:
        """The directory is free."""
        self._db.close()


def _ended(notice_id: str) -> bytes:
    return b"e" + notice_id.encode()


def _told(conversion_id: str, subscription: str) -> bytes:
    return f"v{conversion_id}/{subscription}".encode()
