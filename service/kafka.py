"""Kafka: the only door to confluent_kafka.

Topics and groups are named without ROUNDTRIP_TOPIC_PREFIX outside this module; it adds and strips it.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Self

import confluent_kafka as ck
from confluent_kafka import admin as cka

from service import outage
from service.deliveries import Board, Delivery
from service.errors import Problem, Unavailable, Unreachable, Usage
from service.settings import Settings

log = logging.getLogger(__name__)

Partition = tuple[str, int]
"""A topic's name and a partition's number."""

ASK_S = 5.0  # for a question that a living broker answers in milliseconds
POLL_S = 0.25  # how late the poll thread may notice that it should end; deliveries wake it at once
DELIVERY_S = (
    30.0  # then a record fails as Unavailable; whoever sent it keeps it (journal, outbox) and sends again
)
MAX_RECORD_BYTES = 33_554_432  # a whole catalog; each topic has its own limit, which the broker keeps

_ERROR = ck.KafkaError
# Kafka will never take such a record, from whomever and whenever.
_FINAL = frozenset(
    {_ERROR.MSG_SIZE_TOO_LARGE, _ERROR.INVALID_RECORD, _ERROR.INVALID_MSG, _ERROR.INVALID_TIMESTAMP}
)


def _codes(*names: str) -> frozenset[int]:
    """Librdkafka's codes by name; its own ones begin with an underscore, public all the same."""
    return frozenset(getattr(_ERROR, name) for name in names)


_NO_TOPIC = _codes("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION")
_LOST = _codes("_ALL_BROKERS_DOWN", "_RESOLVE", "_AUTHENTICATION", "_SSL")
_SILENT = _codes("_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "REQUEST_TIMED_OUT")
_AT_END = _codes("_PARTITION_EOF")


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


class _Quiet(logging.Filter):
    """Keeps librdkafka's own lines back: they repeat for each broker, connection and attempt.

    What matters of them reaches error_cb, which tells the outage.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.CRITICAL


_library_log = logging.getLogger("librdkafka")
_library_log.addFilter(_Quiet())


def _outage(settings: Settings) -> outage.Outage:
    return outage.of(f"Kafka at {settings.kafka}")


def connection(settings: Settings, **more: Any) -> dict[str, Any]:
    """Librdkafka's configuration of a connection: where, how secured, who complains to whom."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka,
        "security.protocol": settings.kafka_security,
        "error_cb": partial(_complaint, _outage(settings)),
        "reconnect.backoff.max.ms": 2_000,  # 10 s would delay what waits after a broker's restart
        "broker.address.ttl": 1_000,
        "allow.auto.create.topics": False,
        "topic.metadata.propagation.max.ms": 5_000,  # a topic that is not there is told after 5 s, not 30
    }
    if settings.kafka_ca:
        config["ssl.ca.location"] = settings.kafka_ca
    if settings.kafka_security.startswith("sasl"):
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": settings.kafka_password,
        }
    return config | more


def _complaint(server: outage.Outage, error: Any) -> None:
    if error.code() in _LOST:
        server.lost(_sentence(error))
    else:
        log.debug("librdkafka: %s", error)


def _sentence(error: Any) -> str:
    return str(error.str()).removesuffix(".")


def _made(kind: Any, config: dict[str, Any]) -> Any:
    """A client of librdkafka; a configuration that it does not take is the settings' fault."""
    try:
        return kind(config, logger=_library_log)
    except ck.KafkaException as error:
        raise Usage(
            f"Kafka's settings cannot be used: {_sentence(error.args[0])} (ROUNDTRIP_KAFKA…)"
        ) from error


class Producer:
    """Sends records, each acknowledged by all in-sync replicas; made inside a running event loop.

    The loop calls send and send_all, which never block. A thread polls; it also replaces a producer that
    librdkafka gave up (a fatal error), so that the caller only ever sees Unavailable.
    """

    def __init__(self, settings: Settings, *, linger_ms: float = 5.0) -> None:
        self._settings = settings
        self._linger_ms = linger_ms
        self._server = _outage(settings)
        self._board = Board(asyncio.get_running_loop())
        self._swap = threading.Lock()  # a record never goes into a producer that was already emptied
        self._closing = threading.Event()
        self._flush_s = 0.0
        self._heard = False
        self._client = self._fresh()
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._thread.start()

    def _fresh(self) -> Any:
        config = connection(
            self._settings,
            **{
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",  # Faust's too; librdkafka's own agrees on 8 % of keys
                "compression.type": "lz4",
                "linger.ms": self._linger_ms,
                "delivery.timeout.ms": int(DELIVERY_S * 1000),
                "message.max.bytes": MAX_RECORD_BYTES,
                "queue.buffering.max.messages": self._settings.kafka_queue_records,
                "queue.buffering.max.kbytes": self._settings.kafka_queue_kib,
            },
        )
        return _made(ck.Producer, config)

    @property
    def waiting(self) -> int:
        """How many records wait for an acknowledgement."""
        return len(self._client)

    def send(
        self, topic: str, key: bytes, value: bytes, partition: int | None = None
    ) -> asyncio.Future[None]:
        """The future ends when Kafka acknowledged: None, Unavailable (a full queue too) or Refused."""
        delivery = Delivery(self._board, 1, single=True)
        self._produce(delivery, [Outgoing(topic, key, value, partition)])
        return delivery.future

    async def send_all(self, records: Sequence[Outgoing]) -> None:
        """Every record is acknowledged.

        Else Unavailable, where at least one may be tried again; else RecordsRefused. Raised only after the
        last was answered.
        """
        if not records:
            return
        delivery = Delivery(self._board, len(records))
        self._produce(delivery, records)
        await delivery.future

    def _produce(self, delivery: Delivery, records: Sequence[Outgoing]) -> None:
        prefix = self._settings.topic_prefix
        with self._swap:
            for index, (topic, key, value, partition) in enumerate(records):
                if self._closing.is_set():
                    delivery.answered(index, "this process stops")
                    continue
                try:
                    self._client.produce(
                        prefix + topic,
                        value,
                        key,
                        -1 if partition is None else partition,
                        on_delivery=partial(self._delivered, delivery, index),
                    )
                except BufferError:
                    delivery.answered(
                        index, f"the queue for Kafka is full ({self._settings.kafka_queue_records} records)"
                    )
                except ck.KafkaException as error:
                    self._failed(delivery, index, error.args[0], topic)
        self._board.announce()

    def _delivered(self, delivery: Delivery, index: int, error: Any, message: Any) -> None:
        if error is None:
            self._heard = True
            delivery.answered(index)
        else:
            self._failed(delivery, index, error, message.topic().removeprefix(self._settings.topic_prefix))

    def _failed(self, delivery: Delivery, index: int, error: Any, topic: str) -> None:
        code = error.code()
        if code in _NO_TOPIC:
            delivery.answered(index, _missing(topic))
        else:
            delivery.answered(index, f"Kafka, topic {topic}: {_sentence(error)}", final=code in _FINAL)

    def _poll(self) -> None:
        while not self._closing.is_set():
            try:
                self._client.poll(POLL_S)
            except ck.KafkaException as error:
                self._replace(error)
            self._tell()
        self._empty(self._client, self._flush_s)
        self._tell()

    def _tell(self) -> None:
        if self._heard:
            self._heard = False
            self._server.found()
        self._board.announce()

    def _replace(self, error: ck.KafkaException) -> None:
        """A new producer serves; what the old one held failed as Unavailable."""
        log.warning("Kafka's client gave up (%s); a new one takes over", _sentence(error.args[0]))
        with self._swap:
            old, self._client = self._client, self._fresh()
        self._empty(old, 0.0)

    @staticmethod
    def _empty(client: Any, flush_s: float) -> None:
        """Everything that the client held was answered: acknowledged within flush_s, or failed."""
        for act in (lambda: client.flush(flush_s), client.purge, lambda: client.flush(POLL_S)):
            with contextlib.suppress(ck.KafkaException):  # a fatal one repeats itself on each call
                act()

    async def close(self, timeout_s: float = 10.0) -> None:
        """What could be sent within timeout_s was; the rest failed as Unavailable, as later sends do."""
        self._flush_s = timeout_s
        self._closing.set()
        await asyncio.to_thread(self._thread.join)


def _missing(topic: str) -> str:
    return f"Kafka has no topic {topic}, or not that partition; run `roundtrip migrate`"


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
        self._server = _outage(settings)
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._assigned: frozenset[Partition] = frozenset()
        self._problem: Exception | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{group}")
        self._client = _made(
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
            raise Unavailable(f"Kafka's client gave up: {_sentence(error.args[0])}") from error
        records = [
            _record(each, self._settings.topic_prefix) for each in messages if not self._complained(each)
        ]
        if records:
            self._server.found()
        elif self._problem:
            return self._read(max_records, timeout_s)
        return records

    def _complained(self, message: Any) -> bool:
        """Whether this is an error; one that ends the reading waits until those before it were read."""
        error = message.error()
        if error is None:
            return False
        if error.code() in _NO_TOPIC:
            self._problem = Unreachable(
                _missing((message.topic() or "").removeprefix(self._settings.topic_prefix))
            )
        elif error.fatal() or error.code() in {
            _ERROR.TOPIC_AUTHORIZATION_FAILED,
            _ERROR.GROUP_AUTHORIZATION_FAILED,
        }:
            self._problem = Unavailable(f"Kafka: {_sentence(error)}")
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
            raise Unavailable(f"Kafka did not store the offsets: {_sentence(error.args[0])}") from error
        for each in done:
            if each.error:
                raise Unavailable(
                    f"Kafka did not store the offset of {each.topic}/{each.partition}:"
                    f" {_sentence(each.error)}"
                )

    async def committed(
        self, partitions: Iterable[Partition], timeout_s: float = 10.0
    ) -> dict[Partition, tuple[int, str]]:
        """Offset and note that the group holds; a partition without one is absent."""
        found = await self._do(
            _asked, self._client.committed, [self._wired(each) for each in partitions], timeout_s
        )
        return {
            name: (each.offset, each.metadata or "")
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
        await self._do(_asked, self._client.seek, self._wired(partition, offset))

    async def pause(self, partitions: Iterable[Partition]) -> None:
        """Nothing is read from these until resume or the next assignment; go on calling read meanwhile."""
        await self._do(_asked, self._client.pause, [self._wired(each) for each in partitions])

    async def resume(self, partitions: Iterable[Partition]) -> None:
        """These are read again."""
        await self._do(_asked, self._client.resume, [self._wired(each) for each in partitions])

    async def close(self) -> None:
        """The group knows that this member left; others take over at once."""
        await self._do(self._client.close)
        self._thread.shutdown(wait=False)


def _asked(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except ck.KafkaException as error:
        raise Unavailable(f"Kafka: {_sentence(error.args[0])}") from error


def _record(message: Any, prefix: str) -> Record:
    return Record(
        message.topic().removeprefix(prefix),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key() or b"",
        message.value() or b"",
    )


class Tail:
    """Reads one partition from an offset on, in no group; for one thread, and it blocks it.

    Where the offset is gone (retention, a new log), it goes on at the earliest. Making one raises Unreachable
    where there is no such partition, Unavailable where no broker answers.
    """

    def __init__(self, settings: Settings, topic: str, partition: int = 0, start: int = 0) -> None:
        self._prefix = settings.topic_prefix
        self._server = _outage(settings)
        self.at_end = False
        """Whether the end of the log was reached since the last record."""
        more = {
            "group.id": self._prefix + "tail",  # required by the library; never joined, never committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
        self._client = _made(ck.Consumer, connection(settings, **more))
        # Asked beforehand: an assigned partition that does not exist is silence, for ever.
        if partition not in self._partitions(self._prefix + topic):
            raise Unreachable(_missing(topic))
        self._client.assign([ck.TopicPartition(self._prefix + topic, partition, start)])

    def _partitions(self, topic: str) -> Any:
        return _asked(self._client.list_topics, topic, ASK_S).topics[topic].partitions

    def read(self, max_records: int, timeout_s: float) -> list[Record]:
        """Waits up to timeout_s for the first, then takes what is there."""
        records = []
        messages = self._client.consume(1, timeout_s)
        for message in messages + (self._client.consume(max_records - 1, 0) if messages else []):
            error = message.error()
            if error is None:
                records.append(_record(message, self._prefix))
                self.at_end = False
            elif error.code() in _AT_END:
                self.at_end = True
        if records or self.at_end:
            self._server.found()
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


# A longer retention than asked for is the operator's choice; a shorter one loses what state expects to find.
_AT_LEAST = frozenset({"retention.ms", "retention.bytes", "max.message.bytes"})


class Admin:
    """What is known of and done to topics and groups; everything blocks, at most deadline_s a call.

    Unreachable where Kafka does not answer. Use as a context manager, or close.
    """

    def __init__(self, settings: Settings, deadline_s: float = 10.0) -> None:
        self._settings = settings
        self._prefix = settings.topic_prefix
        self._deadline_s = deadline_s
        self._client = _made(cka.AdminClient, connection(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do: the client goes with the last reference."""

    def _answer(self, future: Any) -> Any:
        """What Kafka answered."""
        try:
            return future.result(self._deadline_s)
        except ck.KafkaException as error:
            if error.args[0].code() in _SILENT:
                raise self._unreachable() from error
            raise
        except TimeoutError as error:
            raise self._unreachable() from error

    def _unreachable(self) -> Unreachable:
        return Unreachable(
            f"Kafka at {self._settings.kafka} cannot be reached (no answer in {self._deadline_s:.0f} s);"
            " is it running, and is ROUNDTRIP_KAFKA right?"
        )

    def check(self) -> str:
        """The cluster's ID: a broker answered."""
        return str(self._answer(self._client.describe_cluster(request_timeout=self._deadline_s)).cluster_id)

    def describe(self, topics: Iterable[str]) -> dict[str, Description]:
        """Each topic that exists."""
        asked = [self._prefix + topic for topic in topics]
        if not asked:
            return {}
        futures = self._client.describe_topics(ck.TopicCollection(asked), request_timeout=self._deadline_s)
        found = {name: each for name, future in futures.items() if (each := self._if_there(future))}
        configs = self._configs(found)
        return {
            name.removeprefix(self._prefix): Description(
                len(each.partitions), str(each.topic_id), configs[name]
            )
            for name, each in found.items()
        }

    def _if_there(self, future: Any) -> Any:
        try:
            return self._answer(future)
        except ck.KafkaException as error:
            if error.args[0].code() in _NO_TOPIC:
                return None
            raise

    def _configs(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [cka.ConfigResource(cka.ConfigResource.Type.TOPIC, name) for name in topics]
        if not resources:
            return {}
        futures = self._client.describe_configs(resources, request_timeout=self._deadline_s)
        return {
            resource.name: {name: str(entry.value) for name, entry in self._answer(future).items()}
            for resource, future in futures.items()
        }

    def ensure_topics(self, specs: Iterable[TopicSpec]) -> list[str]:
        """Every topic is there as specified; one line for each thing that was done.

        A number of partitions never changes, because keys would move: a difference is a Problem. A retention
        that is longer than specified stays.
        """
        wanted = {spec.name: spec for spec in specs}
        present = self.describe(wanted)
        for name, found in present.items():
            if found.partitions != wanted[name].partitions:
                raise Problem(
                    f"topic {name} has {found.partitions} partitions, not {wanted[name].partitions}:"
                    " their number is chosen at installation; set ROUNDTRIP_PARTITIONS to what is there,"
                    " or use another ROUNDTRIP_TOPIC_PREFIX"
                )
        missing = [spec for name, spec in wanted.items() if name not in present]
        return self._create(missing) + [
            line for name, found in present.items() for line in self._alter(wanted[name], found.config)
        ]

    def _create(self, specs: list[TopicSpec]) -> list[str]:
        if not specs:
            return []
        fresh = [
            cka.NewTopic(self._prefix + name, count, copies, config=dict(config))
            for name, count, copies, config in specs
        ]
        futures = self._client.create_topics(
            fresh, request_timeout=self._deadline_s, operation_timeout=self._deadline_s
        )
        for name, future in futures.items():
            try:
                self._answer(future)
            except ck.KafkaException as error:
                if error.args[0].code() != _ERROR.TOPIC_ALREADY_EXISTS:  # another migrate was quicker
                    raise Problem(
                        f"Kafka does not create the topic {name}: {_sentence(error.args[0])}"
                    ) from error
        self._await_topics([spec.name for spec in specs])
        return [f"topic {spec.name}: created, {spec.partitions} partitions" for spec in specs]

    def _await_topics(self, topics: list[str]) -> None:
        """Brokers answer for the topics: they say `created` before each of them knows."""
        limit = time.monotonic() + self._deadline_s
        while len(self.describe(topics)) < len(topics):
            if time.monotonic() > limit:
                raise self._unreachable()
            time.sleep(0.05)

    def _alter(self, spec: TopicSpec, present: Mapping[str, str]) -> list[str]:
        changes = {
            name: value
            for name, value in spec.config.items()
            if not _suffices(name, value, present.get(name, ""))
        }
        if not changes:
            return []
        entries = [
            cka.ConfigEntry(name, value, incremental_operation=cka.AlterConfigOpType.SET)
            for name, value in changes.items()
        ]
        resource = cka.ConfigResource(
            cka.ConfigResource.Type.TOPIC, self._prefix + spec.name, incremental_configs=entries
        )
        for future in self._client.incremental_alter_configs(
            [resource], request_timeout=self._deadline_s
        ).values():
            self._answer(future)
        return [
            f"topic {spec.name}: {name} set to {value} (was {present.get(name, 'unset')})"
            for name, value in changes.items()
        ]

    def start_offsets(self, topics: Iterable[str]) -> dict[Partition, int]:
        """The first offset that is still there, of each partition."""
        return self._offsets(topics, cka.OffsetSpec.earliest())

    def end_offsets(self, topics: Iterable[str]) -> dict[Partition, int]:
        """The offset that the next record will get, of each partition."""
        return self._offsets(topics, cka.OffsetSpec.latest())

    def offsets_at(self, topics: Iterable[str], timestamp_ms: int) -> dict[Partition, int]:
        """The first offset at or after a time; -1 where nothing is that young."""
        return self._offsets(topics, cka.OffsetSpec.for_timestamp(timestamp_ms))

    def _offsets(self, topics: Iterable[str], spec: Any) -> dict[Partition, int]:
        asked = {
            ck.TopicPartition(self._prefix + topic, number): spec
            for topic, found in self.describe(topics).items()
            for number in range(found.partitions)
        }
        if not asked:
            return {}
        futures = self._client.list_offsets(asked, request_timeout=self._deadline_s)
        return {
            (each.topic.removeprefix(self._prefix), each.partition): int(self._answer(future).offset)
            for each, future in futures.items()
        }

    def committed(self, group: str) -> dict[Partition, tuple[int, str]]:
        """Offset and note that a group holds of each partition."""
        asked = ck.ConsumerGroupTopicPartitions(self._prefix + group)
        futures = self._client.list_consumer_group_offsets([asked], request_timeout=self._deadline_s)
        found = [each for future in futures.values() for each in self._answer(future).topic_partitions]
        return {
            (each.topic.removeprefix(self._prefix), each.partition): (each.offset, each.metadata or "")
            for each in found
            if each.offset >= 0 and each.topic.startswith(self._prefix)
        }

    def groups(self) -> list[str]:
        """The consumer groups of this installation (with an empty prefix: of the cluster)."""
        found = self._answer(self._client.list_consumer_groups(request_timeout=self._deadline_s)).valid
        return sorted(
            each.group_id.removeprefix(self._prefix)
            for each in found
            if each.group_id.startswith(self._prefix)
        )

    def log_identity(self, topic: str) -> str:
        """`CLUSTER:TOPIC` by their IDs: another one is another log, whatever its offsets say."""
        found = self.describe([topic]).get(topic)
        if found is None:
            raise Unreachable(_missing(topic))
        return f"{self.check()}:{found.topic_id}"


def _suffices(name: str, wanted: str, present: str) -> bool:
    if wanted == present:
        return True
    if name not in _AT_LEAST or not present:
        return False
    return present == "-1" or (wanted != "-1" and int(present) > int(wanted))
