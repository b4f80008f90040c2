"""The tail: one partition read without a group, for those who keep no offset in Kafka."""

import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka as ck

from service.errors import Unavailable, Unreachable
from service.kafka.connection import (
    ASK_S,
    AT_END,
    POLL_S,
    Look,
    asked,
    connection,
    made,
    missing_topic,
    outage_of,
)
from service.kafka.records import Record, record_of
from service.settings import Settings


class Tail:
    """Reads one partition from an offset on, in no group; for one thread, and it blocks it.

    Where the offset is gone (retention, a new log), it goes on at the earliest. Making one raises Unreachable
    where there is no such partition, Unavailable where no broker answers.
    """

    def __init__(self, settings: Settings, topic: str, partition: int = 0, start: int = 0) -> None:
        self._prefix = settings.topic_prefix
        self._server = outage_of(settings)
        self.at_end = False
        """Whether the end of the log was reached since the last record."""
        more = {
            "group.id": self._prefix + "tail",  # required by the library; never joined, never committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
        self._client = made(ck.Consumer, connection(settings, **more))
        self._look = Look(self._server, self._client)
        # Asked beforehand: an assigned partition that does not exist is silence, for ever.
        if partition not in self._partitions(self._prefix + topic):
            raise Unreachable(missing_topic(topic))
        self._client.assign([ck.TopicPartition(self._prefix + topic, partition, start)])

    def _partitions(self, topic: str) -> Any:
        return asked(self._client.list_topics, topic, ASK_S).topics[topic].partitions

    def read(self, max_records: int, timeout_s: float) -> list[Record]:
        """Waits up to timeout_s for the first, then takes what is there."""
        records = []
        heard = False  # at_end outlasts the broker: an outage would end at every look
        messages = self._client.consume(1, timeout_s)
        more = self._client.consume(max_records - 1, 0) if messages and max_records > 1 else []
        for message in messages + more:
            error = message.error()
            if error is None:
                records.append(record_of(message, self._prefix))
                self.at_end, heard = False, True
            elif error.code() in AT_END:
                self.at_end = heard = True
        if heard:
            self._server.found()
        else:
            self._look.again()
        return records

    def close(self) -> None:
        """The connection is closed."""
        self._client.close()


def read_range(
    settings: Settings, topic: str, partition: int, start: int, end: int, deadline_s: float = 10.0
) -> Iterator[Record]:
    """The records from offset start up to, without, end, as far as they are there; joins no group.

    Unavailable after deadline_s without an answer. Blocks: not for an event loop.
    """
    tail = Tail(settings, topic, partition, start)
    heard = time.monotonic()
    try:
        while start < end and not tail.at_end:
            for record in tail.read(1_000, POLL_S):
                heard, start = time.monotonic(), record.offset + 1
                if record.offset < end:
                    yield record
            if time.monotonic() - heard > deadline_s:
                raise Unavailable(f"Kafka gave nothing of {topic}/{partition} for {deadline_s:.0f} s")
    finally:
        tail.close()
