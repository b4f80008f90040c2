"""A silent joiner is ended, so that the supervisor starts another: the console tells of it, from outside.

By Kafka alone (console/lookout.py): records wait, Kafka answers, and nothing was committed for silent_s.
"""

from deploy.parts import Service
from deploy.terminal import say

ASKS = 12  # in silent_s: every 5 s


class Silence:
    """Listens for one service; asked in each turn of the supervisor.

    silent_s: a process that is younger was not there to be silent so long.
    """

    def __init__(self, joiner: Service, console: Service, silent_s: float) -> None:
        self._joiner = joiner
        self._console = console
        self._silent_s = silent_s
        self._pid = 0
        self._since = 0.0
        self._ask_at = 0.0

    def heed(self, now: float) -> None:
        """A joiner that was silent for too long has ended."""
        if self._joiner.pid != self._pid:
            self._pid, self._since = self._joiner.pid, now
        if now < self._ask_at or now - self._since < self._silent_s or self._joiner.exit_code is not None:
            return
        self._ask_at = now + self._silent_s / ASKS
        if said := self._console.note(self._joiner.part):
            say(f"{self._joiner.name} (process {self._pid}) is silent: {said}; it is ended")
            self._joiner.kill()  # what it decided is on disk, and is sent at the next start
