"""Tails: an edge says each minute how far its journal's epoch has come, so that a lost end is noticed too."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from schemas import facts, times
from schemas.facts import Tail
from schemas.topics import TAILS

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0


HowFar = Callable[[], tuple[str, int]]
"""The running epoch, empty for none, and its greatest number on stable storage: of one instant."""


class Sender(Protocol):
    """Kafka's producer, as far as it is needed here (service.kafka.Producer)."""

    def send(self, topic: str, key: bytes, value: bytes) -> "asyncio.Future[None]":
        """The future ends when Kafka acknowledged, or with an error."""


class Tails:
    """Publishes a journal's tail. Nobody waits for it: of a word that is lost, the next one says more."""

    def __init__(
        self,
        how_far: HowFar,
        sender: Sender,
        edge: str,
        clock_ms: Callable[[], int],
        every_s: float = EVERY_S,
    ) -> None:
        self._how_far = how_far
        self._sender = sender
        self._edge = edge
        self._clock_ms = clock_ms
        self._every_s = every_s
        self._complaint = ""

    async def run(self) -> None:
        """For ever: a word each minute."""
        while True:
            await asyncio.sleep(self._every_s)
            self.say()

    async def close(self) -> None:
        """The last word is with the producer, whose own close sends it."""
        self.say()

    def say(self) -> None:
        """Our own tail as it stands is with the producer; nothing while the epoch has no event."""
        self.word(*self._how_far())

    def word(self, epoch: str, last: int) -> None:
        """The same of any epoch whose end is known here: that of a journal whose owner will not say it."""
        if not epoch or not last:
            return
        tail = Tail(edge=self._edge, epoch=epoch, last=last, at=times.from_ms(self._clock_ms()))
        self._sender.send(TAILS, epoch.encode(), facts.encode(tail)).add_done_callback(self._ended)

    def _ended(self, sent: "asyncio.Future[None]") -> None:
        error = None if sent.cancelled() else sent.exception()
        complaint = str(error) if error else ""
        if complaint and complaint != self._complaint:
            log.info("how far the journal has come could not be told: %s; the next word will", complaint)
        self._complaint = complaint
