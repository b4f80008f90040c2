"""Reading back: what lies at one place of each of many partitions."""

import time
from collections.abc import Mapping
from typing import Any

import confluent_kafka as ck

from service.errors import Unavailable
from service.kafka.connection import AT_END, NO_TOPIC, POLL_S, asked, connection, made, outage_of
from service.kafka.records import Partition, Record, record_of
from service.settings import Settings

_NOTHING = AT_END | NO_TOPIC | {ck.KafkaError._AUTO_OFFSET_RESET}  # noqa: SLF001  the library's public name


def records_at(
    settings: Settings, offsets: Mapping[Partition, int], deadline_s: float = 10.0
) -> dict[Partition, Record | None]:
    """The first record at or after each offset; None where there is none, or the log does not reach so far.

    Unavailable where not all is known after deadline_s. Blocks: not for an event loop.
    """
    if not offsets:
        return {}
    more = {
        "group.id": settings.topic_prefix + "readback",  # required by the library; never joined
        "enable.auto.commit": False,
        "auto.offset.reset": "error",  # an offset that the log does not have is an answer, not a detour
        "enable.partition.eof": True,
        # Of each partition one batch is wanted. Of batches that are larger than this the broker gives one an
        # answer: with 4 KiB four partitions took 8 s. 320 of small records take 0.1 to 0.25 s.
        "fetch.message.max.bytes": 262_144,
        "queued.min.messages": 1,
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 50,
    }
    client = made(ck.Consumer, connection(settings, **more))
    try:
        return _read(client, settings, offsets, deadline_s)
    finally:
        client.close()


def _read(
    client: Any, settings: Settings, offsets: Mapping[Partition, int], deadline_s: float
) -> dict[Partition, Record | None]:
    prefix = settings.topic_prefix
    limit = time.monotonic() + deadline_s
    found = _absent(client, prefix, offsets, deadline_s)
    client.assign(
        [
            ck.TopicPartition(prefix + topic, number, offset)
            for (topic, number), offset in offsets.items()
            if (topic, number) not in found
        ]
    )
    while len(found) < len(offsets):
        if time.monotonic() > limit:
            raise Unavailable(
                f"Kafka said in {deadline_s:.0f} s what lies in {len(found)} of {len(offsets)} partitions"
            )
        known = set(found)
        for message in asked(client.consume, min(len(offsets) - len(found), 100), POLL_S):
            _take(found, message, prefix)
        client.pause([ck.TopicPartition(prefix + topic, number) for topic, number in found.keys() - known])
    outage_of(settings).found()
    return found


def _take(found: dict[Partition, Record | None], message: Any, prefix: str) -> None:
    """What lies there is known, if this message tells it."""
    error = message.error()
    if error is not None and (error.code() not in _NOTHING or message.topic() is None):
        return  # a connection's complaint: asked again until the deadline
    partition = (message.topic().removeprefix(prefix), message.partition())
    found.setdefault(partition, record_of(message, prefix) if error is None else None)


def _absent(
    client: Any, prefix: str, offsets: Mapping[Partition, int], deadline_s: float
) -> dict[Partition, Record | None]:
    """The partitions that do not exist: assigned, they would be silent for ever."""
    there = asked(lambda: client.list_topics(timeout=deadline_s)).topics
    return {
        (topic, number): None
        for topic, number in offsets
        if prefix + topic not in there or number not in there[prefix + topic].partitions
    }
