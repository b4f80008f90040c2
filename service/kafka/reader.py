"""The reader: a member of a consumer group, with a thread of its own."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import confluent_kafka as ck

from service.errors import Unavailable, Unreachable
from service.kafka.connection import (
    NO_TOPIC,
    Look,
    asked,
    connection,
    made,
    missing_topic,
    outage_of,
    sentence,
)
from service.kafka.records import Partition, Record, note_of, record_of
from service.settings import Settings

log = logging.getLogger(__name__)

_RIGHTS = frozenset({ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, ck.KafkaError.GROUP_AUTHORIZATION_FAILED})


class Reader:
    """Reads topics as a member of a consumer group; nothing is committed by itself.

    One thread of its own does all the work, one call after the other. `on_assigned` and `on_revoked` run in
    that thread, during read or close, and must be quick: on_assigned may return the offsets to start from,
    for partitions where the committed one does not serve.
    A caller that does not read for 15 minutes loses its partitions.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: Callable[[list[Partition]], Mapping[Partition, int] | None] | None = None,
        on_revoked: Callable[[list[Partition]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._server = outage_of(settings)
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._assigned: frozenset[Partition] = frozenset()
        self._problem: Exception | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{group}")
        self._client = made(
            ck.Consumer,
            connection(
                settings,
                **{
                    "group.id": settings.topic_prefix + group,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "session.timeout.ms": int(settings.kafka_session_s * 1000),
                    "max.poll.interval.ms": 900_000,
                    "queued.max.messages.kbytes": 16_384,  # a partition's; 64 of the default 64 MiB are 4 GiB
                    "fetch.queue.backoff.ms": 50,  # with small queues the default of 1 s is the throughput
                },
            ),
        )
        self._look = Look(self._server, self._client)
        self._client.subscribe(
            [settings.topic_prefix + topic for topic in topics],
            on_assign=self._assign,
            on_revoke=self._revoke,
        )

    async def _do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(call, *arguments))

    def _named(self, partitions: Iterable[Any]) -> list[Partition]:
        return [(each.topic.removeprefix(self._settings.topic_prefix), each.partition) for each in partitions]

    def _wired(self, partition: Partition, offset: int = ck.OFFSET_INVALID, note: str = "") -> Any:
        topic, number = partition
        return ck.TopicPartition(self._settings.topic_prefix + topic, number, offset, note)

    def _assign(self, client: Any, partitions: list[Any]) -> None:
        self._server.found()
        named = self._named(partitions)
        self._assigned = frozenset(named)
        starts = (self._on_assigned(named) if self._on_assigned else None) or {}
        client.assign([self._wired(each, starts.get(each, ck.OFFSET_STORED)) for each in named])
        client.resume(partitions)  # librdkafka keeps a pause while a partition is not ours, and after that

    def _revoke(self, _client: Any, partitions: list[Any]) -> None:
        named = self._named(partitions)
        self._assigned -= frozenset(named)
        if self._on_revoked:
            self._on_revoked(named)

    def assigned(self) -> frozenset[Partition]:
        """What this member reads now; any thread may ask."""
        return self._assigned

    async def read(self, max_records: int, timeout_s: float) -> list[Record]:
        """Waits up to timeout_s for the first record, then takes what is there, at most max_records.

        Unreachable where a topic does not exist; Unavailable where a new Reader is needed.
        """
        records: list[Record] = await self._do(self._read, max_records, timeout_s)
        return records

    def _read(self, max_records: int, timeout_s: float) -> list[Record]:
        if problem := self._problem:
            self._problem = None
            raise problem
        try:
            messages = self._client.consume(1, timeout_s)
            if messages and max_records > 1:
                messages += self._client.consume(max_records - 1, 0)
        except ck.KafkaException as error:
            raise Unavailable(f"Kafka's client gave up: {sentence(error.args[0])}") from error
        records = [
            record_of(each, self._settings.topic_prefix) for each in messages if not self._complained(each)
        ]
        if records:
            self._server.found()
        elif self._problem:
            return self._read(max_records, timeout_s)
        else:
            self._look.again()
        return records

    def _complained(self, message: Any) -> bool:
        """Whether this is an error; one that ends the reading waits until those before it were read."""
        error = message.error()
        if error is None:
            return False
        if error.code() in NO_TOPIC:
            self._problem = Unreachable(
                missing_topic((message.topic() or "").removeprefix(self._settings.topic_prefix))
            )
        elif error.fatal() or error.code() in _RIGHTS:
            self._problem = Unavailable(f"Kafka: {sentence(error)}")
        else:
            log.debug("librdkafka: %s", error)
        return True

    async def commit(
        self, offsets: Mapping[Partition, int], notes: Mapping[Partition, str] | None = None
    ) -> None:
        """The group goes on from these offsets, each the NEXT to read; a note is kept beside it.

        Unavailable where it could not be stored, for one because the partition belongs to another by now.
        """
        if offsets:
            wired = [
                self._wired(each, offset, (notes or {}).get(each, "")) for each, offset in offsets.items()
            ]
            await self._do(self._commit, wired)

    def _commit(self, wired: list[Any]) -> None:
        try:
            done = self._client.commit(offsets=wired, asynchronous=False)
        except ck.KafkaException as error:
            raise Unavailable(f"Kafka did not store the offsets: {sentence(error.args[0])}") from error
        for each in done:
            if each.error:
                raise Unavailable(
                    f"Kafka did not store the offset of {each.topic}/{each.partition}: {sentence(each.error)}"
                )

    async def committed(
        self, partitions: Iterable[Partition], timeout_s: float = 10.0
    ) -> dict[Partition, tuple[int, str]]:
        """Offset and note that the group holds; a partition without one is absent."""
        found = await self._do(
            asked, self._client.committed, [self._wired(each) for each in partitions], timeout_s
        )
        return {
            name: (each.offset, note_of(each))
            for name, each in zip(self._named(found), found, strict=True)
            if each.offset >= 0
        }

    async def positions(self) -> dict[Partition, int]:
        """The next offset of each partition from which something was read."""
        found = await self._do(self._client.position, [self._wired(each) for each in self._assigned])
        return {
            name: each.offset
            for name, each in zip(self._named(found), found, strict=True)
            if each.offset >= 0
        }

    async def seek(self, partition: Partition, offset: int) -> None:
        """The next record of the partition is the one at the offset."""
        await self._do(asked, self._client.seek, self._wired(partition, offset))

    async def pause(self, partitions: Iterable[Partition]) -> None:
        """Nothing is read from these until resume or the next assignment; go on calling read meanwhile."""
        await self._do(asked, self._client.pause, [self._wired(each) for each in partitions])

    async def resume(self, partitions: Iterable[Partition]) -> None:
        """These are read again."""
        await self._do(asked, self._client.resume, [self._wired(each) for each in partitions])

    async def close(self) -> None:
        """The group knows that this member left; others take over at once."""
        await self._do(self._client.close)
        self._thread.shutdown(wait=False)
