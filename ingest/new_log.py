"""New log: whether Kafka still has the log that a cursor was kept for.

A log is another one where its identity (cluster and topic) is another, where it ends before a record that it
acknowledged, or where another record lies in that place. A log that cannot be asked is no new log.

Why nothing is lost, whenever the process ends or Kafka is replaced:
1. A position counts only together with the identities in its cursor, and both are written at once. Whoever
   reads the cursor later compares those identities again: dying between asking, writing and shipping repeats
   the question, or the shipping, and skips neither.
2. Identities are asked before the first record is sent under them, never after. If the log is replaced in
   between, the new one takes records under the old identity: the next comparison finds the difference.
3. An acknowledgement counts only if no connection ended since the log was asked (Producer.cuts). A broker
   that comes back empty, or as an older copy, does so over a new connection. Topics that are made again in a
   running cluster end no connection: there the identity differs, and is compared every few seconds.
4. The first record of all (no cursor) needs no comparison: nothing was acknowledged that could be missing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from ingest.journal.cursor import Cursor, Mark
from schemas.topics import FACTS
from schemas.wire import decoded
from service import outage
from service.errors import Unavailable, Unreachable
from service.kafka import Admin, Partition, Record, asked, records_at
from service.settings import Settings

ASK_S: Final = 5.0
EVERY_S: Final = 5.0
K = TypeVar("K")
V = TypeVar("V")


class Logs(Protocol):
    """Kafka, as far as it is asked here; every call blocks, and raises Unavailable where nobody answers."""

    def identities(self) -> dict[str, str]:
        """Of each fact topic, the identity of its log; Unavailable where one is missing."""

    def records_at(self, offsets: Mapping[Partition, int]) -> dict[Partition, Record | None]:
        """The first record at or after each offset."""

    def start_offsets(self, topics: Iterable[str]) -> dict[Partition, int]:
        """The first offset that is still there, of each partition."""


class Seen(NamedTuple):
    """The logs as they are. why: what shows that they are not those of the cursor; empty where they are."""

    identities: dict[str, str]
    why: str


def look(logs: Logs, cursor: Cursor) -> Seen:
    """Asks; blocks. Unavailable where not everything could be asked."""
    identities = logs.identities()
    if why := differing(cursor.logs, identities):
        return Seen(identities, why)
    found = logs.records_at({partition: mark.offset for partition, mark in cursor.marks.items()})
    if not missing(cursor.marks, found, {}):
        return Seen(identities, "")
    # Only now: what retention removed is no difference, and rarely has to be asked for.
    starts = logs.start_offsets({topic for topic, _ in cursor.marks})
    return Seen(identities, missing(cursor.marks, found, starts))


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which topics have another log than before; a topic that had none is no difference."""
    changed = sorted(topic for topic, log in now.items() if before.get(topic, log) != log)
    if not changed:
        return ""
    return f"{', '.join(changed)}: another log ({now[changed[0]]}, was {before[changed[0]]})"


def missing(
    marks: Mapping[Partition, Mark],
    found: Mapping[Partition, Record | None],
    starts: Mapping[Partition, int],
) -> str:
    """Which acknowledged record no longer lies where it lay.

    1. The same receipt in the same place: it is there.
    2. The place is before what the log still has: retention removed it.
    3. Else it is missing: the log ends before it, or has something else there.
    """
    for partition, mark in sorted(marks.items()):
        record = found[partition]
        if (
            record is not None
            and record.offset == mark.offset
            and receipt_of(record.value) == mark.receipt_id
        ):
            continue
        if starts.get(partition, 0) > mark.offset:
            continue
        topic, number = partition
        there = f"has {receipt_of(record.value) or 'something else'}" if record else "ends before it"
        return f"{topic}/{number} took {mark.receipt_id} at offset {mark.offset} and now {there}"
    return ""


class Watch:
    """What is known of the logs; for one event loop, which never waits for Kafka."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self.latest: dict[str, str] | None = None
        """The identities that somebody saw last."""

    def differs(self, identities: Mapping[str, str]) -> bool:
        """Whether the logs were others when somebody asked last."""
        return self.latest is not None and self.latest != identities

    async def look(self, cursor: Cursor) -> Seen:
        """Whether they are still those of the cursor; Unavailable where nobody can tell."""
        seen = await asyncio.to_thread(look, self._logs, cursor)
        self.latest = seen.identities
        return seen

    async def run(self) -> None:
        """For ever: identities are asked now and then, for topics that are made again without a word."""
        while True:
            await asyncio.sleep(EVERY_S)
            with contextlib.suppress(Unavailable):
                self.latest = await asyncio.to_thread(self._logs.identities)


class _Receipt(msgspec.Struct):
    receipt_id: str


_receipt = msgspec.json.Decoder(_Receipt)


def receipt_of(value: bytes) -> str:
    """The receipt that the bytes of a fact name; empty where they name none."""
    try:
        return decoded(_receipt, value).receipt_id
    except (msgspec.MsgspecError, ValueError):
        return ""


class KafkaLogs:
    """The real ones."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = outage.of(f"Kafka at {settings.kafka}")
        self._admin = Admin(settings, ASK_S)

    def identities(self) -> dict[str, str]:
        """Of each fact topic, the identity of its log.

        Unavailable where one is missing, or has another number of partitions than this installation: then a
        transaction's facts would not meet.
        """
        wanted = self._settings.partitions
        counts = self._answer(self._admin.partition_counts, FACTS)
        found = self._answer(self._admin.log_identities, FACTS)
        for topic in FACTS:
            if topic not in found:
                raise Unavailable(f"Kafka has no topic {topic}: roundtrip migrate")
            if (count := counts.get(topic, wanted)) != wanted:
                raise Unavailable(f"topic {topic} has {count} partitions, ROUNDTRIP_PARTITIONS says {wanted}")
        return found

    def records_at(self, offsets: Mapping[Partition, int]) -> dict[Partition, Record | None]:
        """The first record at or after each offset."""
        return records_at(self._settings, offsets, ASK_S)

    def start_offsets(self, topics: Iterable[str]) -> dict[Partition, int]:
        """The first offset that is still there, of each partition."""
        return self._answer(self._admin.start_offsets, topics)

    def _answer(self, ask: Callable[[Iterable[str]], dict[K, V]], topics: Iterable[str]) -> dict[K, V]:
        try:
            answer: dict[K, V] = asked(ask, topics)
        except Unreachable as error:
            self._server.lost("it does not answer")
            raise Unavailable(str(error)) from error
        return answer
