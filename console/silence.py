"""When a consumer is silent: records wait, Kafka answers, and nothing is committed.

It is the most reported fault of stream processors, and nothing inside the process tells it: heartbeats go on,
or all of it stands still. So it is looked for from outside, by what Kafka alone says. Who works without
getting ahead (a state that is loaded again) says so in the note beside its committed offset, which changes.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class Committed(msgspec.Struct, frozen=True):
    """What a group has committed of a partition: an offset, none if it never did, and a note beside it."""

    offset: int | None
    note: str = ""


class Silence:
    """How long a group has been silent, by looks from time to time."""

    def __init__(self) -> None:
        self._before: Mapping[Any, Committed] | None = None
        self._since_s = 0.0

    def look(self, committed: Mapping[Any, Committed], waiting: int, now_s: float) -> float:
        """For how many seconds so many records have waited without any commit.

        The time begins anew with the first look, with each commit, and where nothing waits.
        """
        if not waiting or committed != self._before:
            self._since_s = now_s
        self._before = dict(committed)
        return now_s - self._since_s

    def forget(self) -> None:
        """Kafka did not answer: whoever could not commit was not silent."""
        self._before = None
