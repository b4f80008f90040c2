"""New log: notices that a topic is another one than the group's offsets were kept for."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from service import outage
from service.errors import Unavailable
from service.kafka import Admin, Partition, told_together
from service.settings import Settings

log = logging.getLogger(__name__)

VERIFY_S = 60.0


class Kept(NamedTuple):
    """A partition as it was left and as it is now.

    offset: the committed one; identity: that of the log it was committed for, empty if not known.
    log: the identity of the log as it is; start, end: the first and the next offset there.
    """

    partition: Partition
    offset: int
    identity: str
    log: str
    start: int
    end: int


class Beginnings(NamedTuple):
    """Where to begin instead of at the committed offset, and a line for each, for people."""

    offsets: dict[Partition, int]
    lines: list[str]


def beginnings(kept: Iterable[Kept]) -> Beginnings:
    """Where each partition begins, by the first of these that applies.

    1. Another identity: a new log, read from its earliest offset.
    2. An end below the committed offset: a new log as well.
    3. A start above it: what was between is gone; read from the start.
    4. Else nothing: the committed offset serves.
    """
    found = Beginnings({}, [])
    for each in kept:
        if why := _why(each):
            found.offsets[each.partition] = each.start
            topic, number = each.partition
            found.lines.append(f"{topic}/{number}: {why}; reading from its earliest offset, {each.start}")
    return found


def _why(kept: Kept) -> str:
    if kept.identity and kept.identity != kept.log:
        return f"is a new log ({kept.log}, was {kept.identity})"
    if kept.end < kept.offset:
        return f"is a new log (ends at {kept.end}, offset {kept.offset} was committed)"
    if kept.start > kept.offset:
        return f"no longer has offsets {kept.offset} to {kept.start - 1} (retention)"
    return ""


def identity_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The topics that are another log than before."""
    return sorted(topic for topic, log in now.items() if before.get(topic, log) != log)


class Watch:
    """What a group keeps beside its offsets: the identities of the logs that it reads.

    What is not async blocks: it is for the Reader's thread.
    """

    def __init__(self, settings: Settings, group: str, topics: Sequence[str]) -> None:
        self._settings = settings
        self._group = group
        self._topics = tuple(topics)
        self._asked = time.monotonic()
        self._server = outage.of(f"Kafka at {settings.kafka}")
        self.identities: Mapping[str, str] = {}

    def assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        """The Reader's on_assigned: the identities are known, and where a committed offset does not serve."""
        with Admin(self._settings) as admin:
            identities = {topic: admin.log_identity(topic) for topic in self._topics}
            committed = admin.committed(self._group)
            starts, ends = admin.start_offsets(self._topics), admin.end_offsets(self._topics)
        found = beginnings(
            Kept(each, *committed[each], identities[each[0]], starts[each], ends[each])
            for each in partitions
            if each in committed
        )
        if found.lines:
            log.warning("%s", told_together(found.lines))
        self.identities = identities
        return found.offsets

    def problem(self) -> str:
        """Why nothing can be read now, for /readyz; empty while all is well."""
        if self._server.since:
            return "cannot be reached"
        return "" if self.identities else "no partitions yet"

    async def verify(self) -> None:
        """Unavailable where a log became another since the assignment; asks Kafka once in a while."""
        if time.monotonic() - self._asked < VERIFY_S:
            return
        self._asked = time.monotonic()
        if changed := await asyncio.to_thread(self._changed):
            raise Unavailable(f"{', '.join(changed)} became a new log")

    def _changed(self) -> list[str]:
        before = self.identities
        with Admin(self._settings) as admin:
            return identity_changes(before, {topic: admin.log_identity(topic) for topic in before})

    def notes(self, partitions: Iterable[Partition]) -> dict[Partition, str]:
        """What is committed beside the offsets."""
        return {each: self.identities[each[0]] for each in partitions}
