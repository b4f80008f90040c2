"""What goes through Kafka, as everything of ours sees it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Partition = tuple[str, int]
"""A topic's name and a partition's number."""


class Record(NamedTuple):
    """A record as read; an absent key or value is empty.

    timestamp_ms: LogAppendTime on our topics, Unix milliseconds.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes


class Outgoing(NamedTuple):
    """A record to send; without a partition its key decides (murmur2)."""

    topic: str
    key: bytes
    value: bytes
    partition: int | None = None


class TopicSpec(NamedTuple):
    """A topic as it must be."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = {}


class Description(NamedTuple):
    """A topic as it is; config holds every setting, defaults too."""

    partitions: int
    topic_id: str
    config: dict[str, str]


def record_of(message: Any, prefix: str) -> Record:
    """A message of librdkafka that is no error."""
    return Record(
        message.topic().removeprefix(prefix),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key() or b"",
        message.value() or b"",
    )


def note_of(committed: Any) -> str:
    """What stands beside a committed offset; nothing where that is no text.

    librdkafka hands a note on without its length. One that another client wrote, without a zero at its end,
    runs on into whatever lies behind it in memory.
    """
    try:
        return committed.metadata or ""
    except UnicodeDecodeError:
        return ""


def told_together(lines: Sequence[str]) -> str:
    """One line of many that each tell of a partition: the first, and how many more there are."""
    more = len(lines) - 1
    return lines[0] + (f" (and {more} more partitions alike)" if more else "")
