"""Patience: waits between attempts at the same thing, says once that it waits and once that it is over."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

FIRST_S = 0.25
MOST_S = 5.0  # how late a recovery may be noticed
CALM_S = 2.0  # what fails at once, each time anew, must not be told as well in between


class Patience:
    """The waits of one kind of work; `quiet` tells that somebody else has said already what is wrong."""

    def __init__(self, work: str, stopping: asyncio.Event, quiet: Callable[[], bool] = lambda: False) -> None:
        self._work = work
        self._stopping = stopping
        self._quiet = quiet
        self._delay_s = 0.0
        self._since = 0.0
        self._said = False
        self.problem = ""
        """What is wrong now, for /readyz; empty while all is well."""

    async def wait(self, problem: Exception) -> None:
        """A while has passed, twice the last one up to MOST_S; or the process stops."""
        if not self._delay_s:
            self._since = time.monotonic()
        if not self._said and not self._quiet():
            self._said = True
            log.warning("%s: %s; trying again until it works", self._work, problem)
        self.problem = f"{self._work}: {problem}"
        self._delay_s = min(max(FIRST_S, self._delay_s * 2), MOST_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._delay_s)

    def calm(self, began: float) -> None:
        """Nothing went wrong since `began` (monotonic), long enough to call it well though nothing came."""
        if self._delay_s and time.monotonic() - began > CALM_S:
            self.over()

    def over(self) -> None:
        """It worked: the next wait is a first one. Cheap while all is well."""
        if self._delay_s:
            self._delay_s = 0.0
            self.problem = ""
            if self._said:
                log.warning("%s: works again after %.0f s", self._work, time.monotonic() - self._since)
            self._said = False
