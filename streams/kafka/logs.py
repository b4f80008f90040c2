"""What Kafka holds of the topics that the joiner reads, and where reading a partition must begin."""

import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from schemas.topics import FACTS
from service.kafka import Admin, Partition, Record, records_at
from service.settings import Settings
from streams.kafka.topics import EMITTED, GROUP, READ
from streams.state import layout
from streams.state.layout import Position

log = logging.getLogger(__name__)

Records = Mapping[Partition, Record | None]

GIVE_AGAIN: Final = "Ship the facts again: `roundtrip replay --from …`; what is known counts once"


class Logs(NamedTuple):
    """The topics as they are now.

    identity: of each topic's log. start, end: the first offset that is still there, the next to be written.
    committed: what the joiners' group has committed.
    replaced: where something else lies than what was read there: the broker lost the end of its log, and
        others filled it.
    """

    identity: Mapping[str, str]
    start: Mapping[Partition, int]
    end: Mapping[Partition, int]
    committed: Mapping[Partition, int]
    replaced: frozenset[Partition] = frozenset()

    def effective(self, partition: Partition) -> int:
        """The offset before which everything took effect, as the group committed it; 0 where not known.

        What lies beyond the end was committed in another log of that name.
        """
        offset = self.committed.get(partition, 0)
        return offset if offset <= self.end[partition] and partition not in self.replaced else 0

    def lacks_cases(self, number: int) -> bool:
        """Whether facts of a partition number took effect and are gone, and yet `conversions` is empty.

        While all of them are there, what was sent can be decided from them again.
        """
        if not any(self.start[topic, number] for topic in FACTS):
            return False
        emitted = EMITTED, number
        took_effect = any(self.effective((topic, number)) for topic in FACTS)
        known = emitted in self.committed and self.committed[emitted] <= self.end[emitted]
        return (
            took_effect
            and not known
            and not any(self.end[place] for place in self.end if place[0] == EMITTED)
        )


def identities(settings: Settings) -> dict[str, str]:
    """Of each topic that is there the identity of its log; blocks. Unreachable without an answer."""
    with Admin(settings) as admin:
        return admin.log_identities(READ)


def last_read(found: Logs, positions: Mapping[Partition, Position]) -> dict[Partition, int]:
    """Where the last record that was read of each log should still lie."""
    return {
        place: known.offset - 1
        for place, known in positions.items()
        if known.last
        and known.log == found.identity[place[0]]
        and found.start[place] < known.offset <= found.end[place]
    }


def compared(found: Logs, positions: Mapping[Partition, Position], there: Records) -> Logs:
    """The logs, with those that are not as they were read. there: what lies where `last_read` says.

    A record further on (compaction took the last one that was read) says nothing.
    """
    replaced = {
        place
        for place, record in there.items()
        if record
        and record.offset == positions[place].offset - 1
        and layout.digest(record.value) != positions[place].last
    }
    return found._replace(replaced=frozenset(replaced))


def read(settings: Settings) -> Logs:
    """Asks Kafka; blocks. Unreachable where it does not answer or lacks a topic."""
    with Admin(settings) as admin:
        return Logs(
            {topic: admin.log_identity(topic) for topic in READ},
            admin.start_offsets(READ),
            admin.end_offsets(READ),
            {partition: offset for partition, (offset, _) in admin.committed(GROUP).items()},
        )


class Questions(NamedTuple):
    """What is asked of Kafka; each blocks, and raises Unreachable or Unavailable without an answer."""

    logs: Callable[[Settings], Logs] = read
    identities: Callable[[Settings], Mapping[str, str]] = identities
    records_at: Callable[[Settings, Mapping[Partition, int]], Records] = records_at


def begin(logs: Logs, partition: Partition, known: Position | None) -> tuple[int, str]:
    """The offset to read first, and what a person should know of it, if anything.

    1. Nothing is known here: the first that is there.
    2. The log is another one, or ends before what was read, or holds something else there: all of it is read.
       Known receipts change nothing.
    3. What was to come next is gone: at what is left.
    4. Where the state says. A committed offset beyond that is the restore's affair (restoring.restore).
    """
    name = f"{partition[0]}/{partition[1]}"
    start, end = logs.start[partition], logs.end[partition]
    if known is None:
        return start, ""
    anew = known.log != logs.identity[partition[0]] or partition in logs.replaced
    if anew or known.offset > end:
        return (
            start,
            f"{name}: a new log ({end} records; {known.offset} were read of the old), read from {start}",
        )
    if known.offset < start:
        return start, f"{deleted(name, known.offset, start)}. {GIVE_AGAIN}"
    return known.offset, ""


def deleted(name: str, since: int, until: int) -> str:
    """What is gone of a partition, for people."""
    return f"{name}: records {since} to {until - 1} were deleted before they were read"
