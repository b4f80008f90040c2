"""The catalog's log: reading it, appending the next version, and finding out who won."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from schemas.catalog import Catalog
from schemas.catalog_reader import Reader
from schemas.catalog_versions import CatalogVersion, History, encode_version, record_key
from schemas.topics import CATALOG, TOPICS
from service.errors import No, Unreachable
from service.kafka import Admin, Outgoing, Producer, read_range
from service.settings import Settings

MAX_BYTES: Final = TOPICS[CATALOG].max_bytes - 4_096  # beside the value: the record's and its batch's heads


class Log(Protocol):
    """The records of the topic `catalog`, oldest first."""

    def read(self) -> Iterator[bytes]:
        """Every value up to the end, one at a time: each may have megabytes."""

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """The keys and values are at the end, acknowledged, in order, maybe with others' between them."""


class KafkaLog:
    """The topic itself. Unreachable where Kafka or the topic is not there."""

    def __init__(self, settings: Settings, deadline_s: float = 10.0) -> None:
        self._settings = settings
        self._deadline_s = deadline_s

    def read(self) -> Iterator[bytes]:
        """Every value up to the end, one at a time."""
        with Admin(self._settings, self._deadline_s) as admin:
            start = admin.start_offsets([CATALOG]).get((CATALOG, 0))
            end = admin.end_offsets([CATALOG]).get((CATALOG, 0), 0)
        if start is None:
            raise Unreachable(f"there is no topic {CATALOG}; make it: roundtrip migrate")
        return (record.value for record in read_range(self._settings, CATALOG, 0, start, end))

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """The keys and values are at the end, acknowledged by Kafka."""
        asyncio.run(self._send([Outgoing(CATALOG, key, value, 0) for key, value in records]))

    async def _send(self, records: list[Outgoing]) -> None:
        producer = Producer(self._settings)
        try:
            await producer.send_all(records)
        finally:
            await producer.close()


def history_of(values: Iterable[bytes]) -> History:
    """The versions in these records; what does not decode is passed over, as every service does."""
    history, reader = History(), Reader()
    for value in values:
        if version := _decoded(reader, value):
            history.add(version)
    return history


def kept_values(directory: Path) -> Iterator[bytes]:
    """The versions that the services of this directory keep (DIR/catalog/NNNNNN.json), as they came."""
    return (path.read_bytes() for path in sorted((directory / "catalog").glob("*.json")))


def restore(log: Log, kept: Iterable[bytes]) -> list[int]:
    """The numbers of the kept versions that were published again, because the log is empty; else none."""
    if any(True for _ in log.read()):
        return []
    reader = Reader()
    versions = {version.version: value for value in kept if (version := _decoded(reader, value))}
    log.append([(record_key(number), versions[number]) for number in sorted(versions)])
    return sorted(versions)


def publish(log: Log, catalog: Catalog, applied_at: str, applied_by: str) -> tuple[CatalogVersion, bool]:
    """The version in force, and whether this call made it so; not, where it says the same already.

    No where somebody else's version took the number first: what that one says may be why ours must change.
    """
    current = history_of(log.read()).current
    if current is not None and current.catalog == catalog:
        return current, False
    number = current.version + 1 if current else 1
    ours = CatalogVersion(version=number, applied_at=applied_at, applied_by=applied_by, catalog=catalog)
    value = encode_version(ours)
    if len(value) > MAX_BYTES:
        raise No(
            f"the catalog has {len(value) / 1e6:.1f} MB as it is published, and a version may have"
            f" {MAX_BYTES / 1e6:.1f} MB (some 40 000 offers): leave out what nobody can convert on any more"
        )
    log.append([(record_key(number), value)])
    winner = history_of(log.read()).at(number)
    if winner != ours:
        who = f"{winner.applied_by} at {winner.applied_at}" if winner else "nobody"
        raise No(
            f"lost: version {number} is by {who}, who was quicker; nothing of yours is in force."
            " Look at it with `roundtrip catalog show`, then apply again"
        )
    return ours, True


def _decoded(reader: Reader, value: bytes) -> CatalogVersion | None:
    try:
        return reader.read(value)
    except (msgspec.MsgspecError, ValueError):
        return None
