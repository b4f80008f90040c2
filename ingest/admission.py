"""Admission: when may we say yes.

An event is accepted once it is on stable storage. Today that is Kafka's acknowledgement by all in-sync
replicas; a journal on disk can take its place behind `Admission` without anybody else noticing.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from ingest import receipts
from ingest.receipts import Book, Receipt
from schemas import facts
from schemas.facts import AnyFact
from service.errors import Unavailable

log = logging.getLogger(__name__)

Build = Callable[[Receipt], AnyFact]
"""Makes the fact of its receipt; called once, when it is sure to be tried."""

ADMIT_S: Final = (
    2.0  # a person waits this long once; after it the edge answers at once until Kafka is well again
)
PROBE_S: Final = 0.5  # how long after Kafka's return the first yes may come


class Admission(Protocol):
    """What makes events durable."""

    async def accept(self, topic: str, key: str, build: Build) -> str:
        """The receipt's ID, once the event is durable; Unavailable where it is not, or nobody can tell."""

    def problem(self) -> str:
        """Why nothing can be accepted now; empty while it can."""


class Sender(Protocol):
    """Kafka's producer, as far as it is needed here (service.kafka.Producer)."""

    def send(self, topic: str, key: bytes, value: bytes) -> "asyncio.Future[None]":
        """The future ends when Kafka acknowledged: None, Unavailable, or Refused for good."""


class KafkaAdmission:
    """Durable means acknowledged by Kafka. After a failure it says no at once until Kafka is well again."""

    def __init__(self, sender: Sender, draw: Callable[[int], bytes], clock_ms: Callable[[], int]) -> None:
        self._sender = sender
        self._draw = draw
        self._clock_ms = clock_ms
        self._book = Book()
        self._problem = "Kafka has not answered yet"
        self._heard = 0.0

    def problem(self) -> str:
        """Why nothing can be accepted now; empty while it can."""
        return self._problem

    async def accept(self, topic: str, key: str, build: Build) -> str:
        """The receipt's ID, once Kafka acknowledged.

        Unavailable after ADMIT_S; Kafka may have taken it all the same, and a second try then repeats it.
        """
        if self._problem:
            raise Unavailable(self._problem)
        receipt = self._receipt()
        try:
            async with asyncio.timeout(ADMIT_S):
                await self._sender.send(topic, key.encode(), facts.encode(build(receipt)))
        except BaseException as error:
            self._book.give_up(receipt)
            if isinstance(error, TimeoutError):
                self._problem = f"Kafka did not acknowledge within {ADMIT_S:g} s"
                raise Unavailable(self._problem) from error
            if isinstance(error, Unavailable):
                self._problem = str(error)
            raise
        self._heard = time.monotonic()
        if self._problem:
            self.found("")
        return receipt.receipt_id

    def _receipt(self) -> Receipt:
        if not self._book.epoch:
            self._book.begin(receipts.epoch(self._clock_ms(), self._draw(receipts.RANDOM_BYTES)))
        return self._book.next()

    def found(self, problem: str) -> None:
        """What somebody who asked Kafka found wrong, or nothing."""
        if problem and problem != self._problem:
            log.warning("cannot accept: %s", problem)
        elif self._problem and not problem:
            log.info("accepting: Kafka is there")
        self._problem = problem

    async def watch(self, check: Callable[[], str]) -> None:
        """For ever: while nothing is heard of Kafka, `check` is asked, in a thread, what is wrong with it."""
        while True:
            if self._problem or time.monotonic() - self._heard > ADMIT_S:
                self.found(await asyncio.to_thread(check))
            await asyncio.sleep(PROBE_S if self._problem else ADMIT_S)
