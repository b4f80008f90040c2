"""One line when a server is lost and one when it is back, however often its library complains."""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

STALE_S = 5.0  # a complaint so soon after the recovery is another connection's, and late


class Outage:
    """What is known of one server's reachability; any thread may tell it."""

    def __init__(self, name: str, clock: Callable[[], float] = time.time) -> None:
        self._name = name
        self._clock = clock
        self._since = 0.0
        self._found = 0.0
        self._lock = threading.Lock()

    @property
    def since(self) -> float:
        """When it was lost, Unix seconds; 0 while it is there."""
        return self._since

    def lost(self, why: str) -> None:
        """The loss is known, and was logged once."""
        with self._lock:
            now = self._clock()
            if self._since or now - self._found < STALE_S:
                return
            self._since = now
        log.warning("%s cannot be reached: %s; trying again until it can", self._name, why)

    def found(self) -> None:
        """The recovery is known, and was logged once. Cheap while all is well."""
        if not self._since:
            return
        with self._lock:
            if not self._since:
                return  # another thread told it
            self._found = self._clock()
            lasted, self._since = self._found - self._since, 0.0
        log.warning("%s can be reached again after %.0f s", self._name, lasted)


_all: dict[str, Outage] = {}
_all_lock = threading.Lock()


def of(name: str) -> Outage:
    """The process's one record of a server: five connections that lose it make one line."""
    with _all_lock:
        return _all.setdefault(name, Outage(name))
