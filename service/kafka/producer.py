"""The producer: what is sent is acknowledged by all in-sync replicas, or said not to be."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import confluent_kafka as ck

from service.kafka.connection import (
    FINAL,
    NO_TOPIC,
    POLL_S,
    complaint,
    connection,
    made,
    missing_topic,
    outage_of,
    sentence,
    was_cut,
)
from service.kafka.deliveries import Board, Delivery
from service.kafka.records import Outgoing
from service.kafka.shipments import Outcome, Shipment
from service.settings import Settings

log = logging.getLogger(__name__)

DELIVERY_S = (
    30.0  # then a record fails as Unavailable; whoever sent it keeps it (journal, outbox) and sends again
)
MAX_RECORD_BYTES = 33_554_432  # a whole catalog; each topic has its own limit, which the broker keeps


class Producer:
    """Sends records, each acknowledged by all in-sync replicas; made inside a running event loop.

    The loop calls send and send_all, which never block. A thread polls; it also replaces a producer that
    librdkafka gave up (a fatal error), so that the caller only ever sees Unavailable.

    delivery_s: a record that was not sent by then never is, also where the process was held still meanwhile.
    """

    def __init__(self, settings: Settings, *, linger_ms: float = 5.0, delivery_s: float = DELIVERY_S) -> None:
        self._settings = settings
        self._linger_ms = linger_ms
        self._delivery_s = delivery_s
        self._server = outage_of(settings)
        self._board = Board(asyncio.get_running_loop())
        self._swap = threading.Lock()  # a record never goes into a producer that was already emptied
        self._closing = threading.Event()
        self._flush_s = 0.0
        self._retired: list[Any] = []
        self._client = self._fresh()
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._thread.start()

    def _fresh(self) -> Any:
        config = connection(
            self._settings,
            **{
                "error_cb": self._complained,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",  # Faust's too; librdkafka's own agrees on 8 % of keys
                "compression.type": "lz4",
                "linger.ms": self._linger_ms,
                "delivery.timeout.ms": int(self._delivery_s * 1000),
                "message.max.bytes": MAX_RECORD_BYTES,
                "queue.buffering.max.messages": self._settings.kafka_queue_records,
                "queue.buffering.max.kbytes": self._settings.kafka_queue_kib,
            },
        )
        return made(ck.Producer, config)

    def _complained(self, error: Any) -> None:
        # In the thread that polls, and in order: what was acknowledged over the next connection comes later.
        if was_cut(error):
            self._board.cuts += 1
        complaint(self._server, error)

    @property
    def cuts(self) -> int:
        """How often a connection to Kafka ended, or the client gave up.

        Only what was acknowledged while this stayed the same is sure to lie in one log: a broker that is
        replaced by an empty one, or by an older copy of itself, takes what the client sends again without a
        word.
        """
        return self._board.cuts

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

    def ship(self, records: Sequence[Outgoing]) -> asyncio.Future[Outcome]:
        """The future ends when the last was answered, and tells where they lie; it never fails."""
        shipment = Shipment(self._board, len(records), self._settings.topic_prefix)
        with self._swap:
            self._load(shipment, records)
        self._board.announce()
        return shipment.future

    def _load(self, shipment: Shipment, records: Sequence[Outgoing]) -> None:
        prefix = self._settings.topic_prefix
        if self._closing.is_set() or not records:
            shipment.unsent(len(records), "this process stops" if records else "")
            return
        for index, record in enumerate(records):
            topic, key, value, partition = record
            try:
                self._client.produce(
                    prefix + topic,
                    value,
                    key,
                    -1 if partition is None else partition,
                    on_delivery=shipment.answered,
                )
            except BufferError:
                shipment.unsent(len(records) - index, self._full())
                return
            except ck.KafkaException as error:
                shipment.failed(record, error.args[0])

    def _full(self) -> str:
        return f"the queue for Kafka is full ({self._settings.kafka_queue_records} records)"

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
                    delivery.answered(index, self._full())
                except ck.KafkaException as error:
                    self._failed(delivery, index, error.args[0], topic)
        self._board.announce()

    def _delivered(self, delivery: Delivery, index: int, error: Any, message: Any) -> None:
        if error is None:
            self._board.heard = True
            delivery.answered(index)
        else:
            self._failed(delivery, index, error, message.topic().removeprefix(self._settings.topic_prefix))

    def _failed(self, delivery: Delivery, index: int, error: Any, topic: str) -> None:
        code = error.code()
        if code in NO_TOPIC:
            delivery.answered(index, missing_topic(topic))
        else:
            delivery.answered(index, f"Kafka, topic {topic}: {sentence(error)}", final=code in FINAL)

    def _poll(self) -> None:
        while not self._closing.is_set():
            try:
                self._client.poll(POLL_S)
            except ck.KafkaException as error:
                log.warning("Kafka's client gave up (%s); a new one takes over", sentence(error.args[0]))
                self.renew()
            while self._retired:
                self._empty(self._retired.pop(), 0.0)
            self._tell()
        for client in self._retired:
            self._empty(client, 0.0)
        self._empty(self._client, self._flush_s)
        self._tell()

    def _tell(self) -> None:
        if self._board.heard:
            self._board.heard = False
            self._server.found()
        self._board.announce()

    def renew(self) -> None:
        """Another client serves, with another producer's number; what the old one held fails as Unavailable.

        In another log too: an emptied Kafka gives old numbers out again, and two clients that use one at a
        time may have what one sent taken for what the other did.
        """
        fresh = self._fresh()
        with self._swap:
            self._board.cuts += 1  # before the new one can take anything
            self._retired.append(self._client)
            self._client = fresh

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
