"""Watches a stack's processes: one that ends is started again, later and later while it keeps ending.

One that had lost what it keeps is furnished again.
"""

import time
from collections.abc import Callable, Sequence
from itertools import groupby

from deploy.process import Server, how
from deploy.terminal import say
from service.errors import No

POLL_S = 0.2
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
FURNISH_S = 5.0  # between two attempts
STEADY_S = 60.0  # who ran this long has recovered: the next pause is the first one again


class Watch:
    """How one server fares: when it may start again.

    ends: how often it ended without having been steady in between.
    resume_at: on the monotonic clock, when it is started again; None while it runs.
    furnish_at: when it is to be furnished, as soon as it is ready; None where nothing is missing.
    """

    def __init__(self, server: Server, now: float) -> None:
        self.server = server
        self.started_at = now
        self.ends = 0
        self.resume_at: float | None = None
        self.furnish_at: float | None = None

    def look(self, now: float) -> bool:
        """Whether it was started again just now."""
        if self.resume_at is None and self.server.exit_code is not None:
            self._ended(now)
        if self.resume_at is None or now < self.resume_at:
            return False
        return self._restart(now)

    def _ended(self, now: float) -> None:
        self.ends = 1 if now - self.started_at > STEADY_S else self.ends + 1
        # The first time it starts again at once: a kill should cost nothing.
        pause_s = min(FIRST_PAUSE_S * 2 ** (self.ends - 2), LONGEST_PAUSE_S) if self.ends > 1 else 0.0
        self.resume_at = now + pause_s
        server, code = self.server, self.server.exit_code or 0
        words = f": {server.last_words()}" if code > 0 else ""
        when = f"in {pause_s:g} s" if pause_s else "now"
        say(f"{server.name} (process {server.pid}) ended {how(code)}; it is started again {when}{words}")

    def _restart(self, now: float) -> bool:
        self.started_at, self.resume_at = now, None
        try:
            if self.server.begins_empty:
                self.furnish_at = now
            self.server.spawn()
        except (No, OSError) as error:
            self.ends += 1
            self.resume_at = now + LONGEST_PAUSE_S
            say(f"{self.server.name} cannot be started: {error}; next attempt in {LONGEST_PAUSE_S:g} s")
            return False
        return True

    def furnish(self, now: float, furnished: Callable[[Server], bool]) -> None:
        """Where it began with nothing and is ready by now, it was furnished, or will be tried again."""
        due = self.furnish_at is not None and now >= self.furnish_at
        if due and self.server.exit_code is None and self.server.is_ready():
            self.furnish_at = None if furnished(self.server) else time.monotonic() + FURNISH_S


def watch(
    servers: Sequence[Server],
    changed: Callable[[], None],
    furnished: Callable[[Server], bool],
    heed: Callable[[float], None] = lambda _: None,
) -> None:
    """Runs until an exception (a signal's) ends it; `changed` is called after each new process.

    `furnished` gives a server that began with nothing what belongs there, and says whether it could. `heed`
    is called in each turn with the time, and may end a server that runs and is of no use.
    """
    watches = [Watch(server, time.monotonic()) for server in servers]
    while True:
        replaced = [each.server for each in watches if each.look(time.monotonic())]
        if replaced:
            changed()
        for server in replaced:  # after `changed`: who reads the line finds the new process ID
            say(f"{server.name} is started again as process {server.pid}")
        for each in watches:
            each.furnish(time.monotonic(), furnished)
        heed(time.monotonic())
        time.sleep(POLL_S)


def stop_in_order(servers: Sequence[Server]) -> None:
    """All ended, one part after the other in the given order; the processes of a part side by side."""
    for _, of_part in groupby(servers, lambda server: server.part):
        together = list(of_part)
        for server in together:
            server.tell_to_end()
        for server in together:
            server.stop()
