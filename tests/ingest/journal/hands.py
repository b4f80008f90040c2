"""A hand without a thread: it does what it is given at once, or holds it back as a disk that hangs does."""

import asyncio
from collections import deque

from ingest.journal.hand import Job, Then


class HeldHand:
    """Passes the contract of the real one."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Job, Then]] = deque()
        self.holding = False

    def do(self, job: Job, then: Then) -> None:
        self.jobs.append((job, then))
        self._work()

    def rest(self) -> None:
        """Nothing: there is no thread."""

    def hold(self) -> None:
        """The disk hangs from now on."""
        self.holding = True

    def release(self) -> None:
        """The disk answers again, and does what it was given."""
        self.holding = False
        self._work()

    async def given(self) -> None:
        """Something waits for the disk that hangs."""
        while not self.jobs:  # noqa: ASYNC110  what is waited for is another task of this loop
            await asyncio.sleep(0)

    def _work(self) -> None:
        while self.jobs and not self.holding:
            job, then = self.jobs.popleft()
            problem = None
            try:
                job()
            except OSError as error:
                problem = error
            then(problem)
