"""The pulse: measures the load of this process, and says which requests are shed."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from ingest.load import Class, Load, shed, smoothed

log = logging.getLogger(__name__)

PERIOD_S: Final = 0.05
STANDING: Final = 3  # measurements in a row that must be late before it counts
QUIET_S: Final = 10.0  # an overload that ends and begins again within that time is said once


class Pulse:
    """The load as it was measured last; for one event loop."""

    def __init__(self, queue: Callable[[], float]) -> None:
        """queue: which part of the places for waiting events is taken, 0 to 1."""
        self.load = Load()
        self.shedding: frozenset[Class] = frozenset()
        """The classes that are turned away now."""
        self._queue = queue
        self._said: float | None = None

    async def run(self) -> None:
        """For ever: the load is measured."""
        clock = asyncio.get_running_loop().time
        newest = deque([0.0] * STANDING, maxlen=STANDING)
        while True:
            due = clock() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            newest.append(clock() - due)
            self.feel(Load(smoothed(self.load.lag_s, newest), self._queue()), clock())

    def feel(self, load: Load, now_s: float) -> None:
        """The load is this now. An overload's begin and its end are said, once each."""
        self.load = load
        self.shedding = frozenset(kind for kind in Class if shed(load, kind))
        if self.shedding:
            if self._said is None:
                log.warning("overloaded (%s): 503 for %s", _words(load), _names(self.shedding))
            self._said = now_s
        elif self._said is not None and now_s - self._said > QUIET_S:
            self._said = None
            log.warning("no longer overloaded: nothing was shed for %g s", QUIET_S)

    def note(self) -> str:
        """What /readyz says of it; empty while all is well."""
        return f"503 for {_names(self.shedding)}: {_words(self.load)}" if self.shedding else ""


def _words(load: Load) -> str:
    return f"the loop is {load.lag_s * 1000:.0f} ms late, the journal's queue {load.queue:.0%} full"


def _names(kinds: frozenset[Class]) -> str:
    return ", ".join(f"{kind.value}s" for kind in Class if kind in kinds)
