"""Deliveries: what waits for Kafka's acknowledgement, told to the event loop in batches.

A `call_soon_threadsafe` a record is what costs (it wakes the loop through a pipe), so the thread that polls
collects what ended and wakes the loop once a poll.
"""

import asyncio
import threading
from typing import Protocol

from service.errors import RecordsRefused, Refused, Unavailable


class Sending(Protocol):
    """Records that were sent together."""

    def conclude(self) -> None:
        """Whoever waits is told how they ended; in the loop."""


class Board:
    """What has ended and was not told yet. Any thread answers; one future a sending, in one loop.

    heard: whether Kafka acknowledged anything since this was last set to False.
    cuts: how often a connection to Kafka ended; what was acknowledged later may lie in another log.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.lock = threading.Lock()
        self.ended: list[Sending] = []
        self.heard = False
        self.cuts = 0

    def announce(self) -> None:
        """What has ended is on its way to the loop, with one wake."""
        if not self.ended:
            return
        with self.lock:
            ended, self.ended = self.ended, []
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(_conclude, ended)


def _conclude(ended: list[Sending]) -> None:
    for sending in ended:
        sending.conclude()


class Delivery:
    """Some records sent together; the future ends when the last of them was answered."""

    __slots__ = ("_board", "_left", "_lost", "_refused", "_single", "future")

    def __init__(self, board: Board, count: int, *, single: bool = False) -> None:
        self._board = board
        self._left = count
        self._single = single
        self._refused: dict[int, str] = {}
        self._lost = ""
        self.future: asyncio.Future[None] = board.loop.create_future()

    def answered(self, index: int, problem: str = "", *, final: bool = False) -> None:
        """One record has ended: well, or with a problem; final if Kafka can never take it."""
        board = self._board
        with board.lock:
            if problem and final:
                self._refused[index] = problem
            elif problem:
                self._lost = problem
            self._left -= 1
            if not self._left:
                board.ended.append(self)

    def conclude(self) -> None:
        """The future has its result; in the loop."""
        if self.future.done():
            return  # its waiter was cancelled
        if self._lost:
            self.future.set_exception(Unavailable(self._lost))
        elif not self._refused:
            self.future.set_result(None)
        elif self._single:
            self.future.set_exception(Refused(self._refused[0]))
        else:
            self.future.set_exception(RecordsRefused(dict(sorted(self._refused.items()))))
