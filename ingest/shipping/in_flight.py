"""In flight: the pieces of a journal that are on their way to Kafka, and how far all of them have arrived."""

import asyncio
from collections import deque
from typing import NamedTuple

from ingest.journal.frames import Entry
from ingest.journal.reader import Piece
from service.kafka import Outcome


class Sent(NamedTuple):
    """A piece that was given to the producer; size: its bytes."""

    piece: Piece
    size: int
    ending: asyncio.Future[Outcome]


class InFlight:
    """Pieces in the order of the journal. One that has arrived counts only when all before it have."""

    def __init__(self) -> None:
        self._sent: deque[Sent] = deque()
        self.records = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def oldest(self) -> Entry | None:
        """The first record of all that is on its way."""
        return next((each.piece.entries[0] for each in self._sent if each.piece.entries), None)

    @property
    def first(self) -> Sent | None:
        """The piece that comes next in the journal, if it has ended."""
        return self._sent[0] if self._sent and self._sent[0].ending.done() else None

    def add(self, sent: Sent) -> None:
        """One piece more, behind the others."""
        self._sent.append(sent)
        self.records += len(sent.piece.entries)
        self.bytes += sent.size

    def arrived(self, cuts: int) -> Sent | None:
        """The next piece of which every record was acknowledged while the connections stayed as they were.

        It is no longer in flight. None where the next has not ended, or did not end well.
        """
        if (sent := self.first) is None:
            return None
        outcome = sent.ending.result()
        if outcome.lost or outcome.turned or outcome.cuts != cuts:
            return None
        return self.take()

    def take(self) -> Sent:
        """The next piece, no longer in flight."""
        sent = self._sent.popleft()
        self.records -= len(sent.piece.entries)
        self.bytes -= sent.size
        return sent

    async def ended(self, timeout_s: float) -> None:
        """Every piece has ended, well or not, or the time is over."""
        if endings := [sent.ending for sent in self._sent]:
            await asyncio.wait(endings, timeout=timeout_s)

    async def one_ended(self, timeout_s: float) -> None:
        """The next piece has ended, or the time is over."""
        if self._sent:
            await asyncio.wait([self._sent[0].ending], timeout=timeout_s)

    def forget(self) -> None:
        """Nothing is in flight: what was will be sent again."""
        self._sent.clear()
        self.records = self.bytes = 0
