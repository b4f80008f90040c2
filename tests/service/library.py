"""Librdkafka's producer, as far as service.kafka.Producer knows it."""

import itertools
import threading
from typing import Any

import confluent_kafka as ck

ERROR = ck.KafkaError


class Client:
    """Stands in for librdkafka's producer: answers in poll and flush, from the thread that calls."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.held: list[tuple[bytes, Any]] = []
        self.fatal = False
        self.silent = False
        self.refused: dict[bytes, int] = {}
        self._wake = threading.Event()
        self._offsets: Any = itertools.count()
        self.config: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.held)

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, on_delivery: Any) -> None:  # noqa: ARG002  librdkafka's order
        if len(value) > 100:
            raise ck.KafkaException(ERROR(ERROR.MSG_SIZE_TOO_LARGE, "too large"))
        if len(self.held) >= self.room:
            raise BufferError
        self.held.append((value, on_delivery))
        self._wake.set()

    def poll(self, timeout: float) -> None:
        self._wake.wait(timeout)
        self._wake.clear()
        if self.fatal:
            raise ck.KafkaException(ERROR(ERROR._FATAL, "fenced", fatal=True))
        if not self.silent:
            self._answer(None)

    def _answer(self, code: int | None) -> None:
        held, self.held = self.held, []
        for value, on_delivery in held:
            why = self.refused.get(value, code)
            message = ck.Message(topic="t", value=value, partition=0, offset=next(self._offsets))
            on_delivery(None if why is None else ERROR(why, "no"), message)

    def flush(self, timeout: float) -> None:
        if not self.silent:
            self.poll(min(timeout, 0.01))

    def purge(self) -> None:
        self._answer(ERROR._PURGE_QUEUE)

    def break_down(self) -> None:
        self.fatal = True
        self._wake.set()
