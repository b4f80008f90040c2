"""The hand: one thread for what blocks, one job after the other: the disk may hang, and no answer does.

A job handed to asyncio's own threads costs three times as much, and they would keep a process from ending.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

Job = Callable[[], None]
Then = Callable[[OSError | None], None]


class Hand(Protocol):
    """Does jobs."""

    def do(self, job: Job, then: Then) -> None:
        """The job is done, after those before it; `then` is told in the event loop how the disk took it."""

    def rest(self) -> None:
        """The jobs that were given are the last ones."""


class ThreadHand:
    """Does them in a thread of its own; made in the event loop. Any error but the disk's ends the process."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Job, Then] | None] = SimpleQueue()
        # A daemon: a disk that never answers must not keep the process from ending.
        threading.Thread(target=self._work, name="journal", daemon=True).start()

    def do(self, job: Job, then: Then) -> None:
        """The job is done, after those before it; `then` is told in the event loop how the disk took it."""
        self._jobs.put((job, then))

    def rest(self) -> None:
        """The jobs that were given are the last ones."""
        self._jobs.put(None)

    def _work(self) -> None:
        while given := self._jobs.get():
            job, then = given
            problem = None
            try:
                job()
            except OSError as error:
                problem = error
            if self._loop.is_closed():
                return  # the disk came back after the process was told to end
            self._loop.call_soon_threadsafe(then, problem)
