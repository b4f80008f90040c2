"""What Kafka holds of the topics that the joiner reads, and where reading a partition must begin."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from service.kafka import Admin, Partition
from service.settings import Settings
from streams.app import GROUP, READ
from streams.layout import Position

log = logging.getLogger(__name__)


class Logs(NamedTuple):
    """The topics as they are now.

    identity: of each topic's log. start, end: the first offset that is still there, the next to be written.
    committed: what the joiners' group has committed.
    """

    identity: Mapping[str, str]
    start: Mapping[Partition, int]
    end: Mapping[Partition, int]
    committed: Mapping[Partition, int]

    def effective(self, partition: Partition) -> int:
        """The offset before which everything took effect, as the group committed it; 0 where not known.

        What lies beyond the end was committed in another log of that name.
        """
        offset = self.committed.get(partition, 0)
        return offset if offset <= self.end[partition] else 0


def read(settings: Settings) -> Logs:
    """Asks Kafka; blocks. Unreachable where it does not answer or lacks a topic."""
    with Admin(settings) as admin:
        return Logs(
            {topic: admin.log_identity(topic) for topic in READ},
            admin.start_offsets(READ),
            admin.end_offsets(READ),
            {partition: offset for partition, (offset, _) in admin.committed(GROUP).items()},
        )


def begin(logs: Logs, partition: Partition, known: Position | None) -> tuple[int, str]:
    """The offset to read first, and what a person should know of it, if anything.

    1. Nothing is known here: the first that is there.
    2. The log is another one, or ends before what was read: all of it is read. Known receipts change nothing.
    3. What was to come next is gone: at what is left.
    4. Where the state says. A committed offset beyond that is the restore's affair (streams.restore).
    """
    name = f"{partition[0]}/{partition[1]}"
    start, end = logs.start[partition], logs.end[partition]
    if known is None:
        return start, ""
    if known.log != logs.identity[partition[0]] or known.offset > end:
        return (
            start,
            f"{name}: a new log ({end} records; {known.offset} were read of the old), read from {start}",
        )
    if known.offset < start:
        return start, f"{name}: records {known.offset} to {start - 1} were deleted before they were read"
    return known.offset, ""
