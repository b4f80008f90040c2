"""Ranges: long stretches of many partitions read one after another, by one client and in no group."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import confluent_kafka as ck

from service.kafka.connection import ASK_S, AT_END, POLL_S, Look, connection, made, outage_of
from service.kafka.records import Record, record_of
from service.settings import Settings

_AHEAD_KIB = 16_384  # read ahead of who takes the records, some tenths of a second; bounds the memory
_GATHER_S = 0.01  # for more after a first record: a few large lists cost less than many small ones


class Stretch(NamedTuple):
    """Records of one partition, in order, and the offset at which the next one begins."""

    records: list[Record]
    end: int


class Ranges:
    """A client that reads what it is told to; for one thread, and it blocks it. Use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.topic_prefix
        self._server = outage_of(settings)
        more = {
            "group.id": self._prefix + "ranges",  # required by the library; never joined, never committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": _AHEAD_KIB,
            "fetch.wait.max.ms": 10,  # what is held back at a log's end holds up the next range: 0.5 s
        }
        self._client = made(ck.Consumer, connection(settings, **more))
        self._look = Look(self._server, self._client)

    def __enter__(self) -> Self:
        """The client knows all topics: else each costs it a second, the first time that it is read."""
        with contextlib.suppress(ck.KafkaException):  # a broker that is away is waited for in `read`
            self._client.list_topics(timeout=ASK_S)
        return self

    def __exit__(self, *_: object) -> None:
        """The connections are closed."""
        self._client.close()

    def read(self, topic: str, partition: int, start: int, end: int, max_records: int) -> Iterator[Stretch]:
        """All from offset start up to, without, end, or to where the log ends before that.

        An empty stretch says that Kafka gave nothing for POLL_S: the caller decides how long to wait, and a
        partition that does not exist is silence. Where an offset is gone (retention, a new log) it goes on at
        the earliest that is there, which may lie before or after.
        """
        if start < end:
            self._client.assign([ck.TopicPartition(self._prefix + topic, partition, start)])
        at, at_end = start, False
        while at < end and not at_end:
            records = []
            for message in self._consumed(min(max_records, end - at)):
                error = message.error()
                if error is None:
                    records.append(record_of(message, self._prefix))
                    at = message.offset() + 1
                elif error.code() in AT_END:
                    at, at_end = message.offset(), True
            if records or at_end:
                self._server.found()
            else:
                self._look.again()
            yield Stretch([each for each in records if each.offset < end], at)

    def _consumed(self, count: int) -> list[Any]:
        messages: list[Any] = self._client.consume(1, POLL_S)
        return messages + self._client.consume(count - 1, _GATHER_S) if messages and count > 1 else messages
