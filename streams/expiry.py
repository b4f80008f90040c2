"""What is kept, and until when: a partition's time, and what is then too old to change a row. Pure.

1. Time is `received_at`, the collectors' clock; what a caller claims (`occurred_at`) never counts. A record
   tells no later moment than the broker's clock did when it came (LogAppendTime): a collector whose clock is
   ahead moves nobody's time.
2. A topic's clock is the latest moment that any of its records told: a collector whose clock is behind holds
   nothing back.
3. A partition's time is the least clock of its topics, leaving out those that are read to their end; where
   all are, the greatest. So a topic that is read ahead of another expires nothing that the other needs.
4. A visit is kept for the longest window that an offer may have and twice the allowance for late arrivals:
   it counts for what is received one allowance after its window (rules.credit), which may come by another
   one later. What waits to be decided holds its visits longer.
5. Statements, and all that was made of them, are kept together for the correction window and the allowance,
   from the moment when the first of them was received.
6. A statement that was received after the correction window, or comes when the others are no longer kept, is
   too late to correct anything. That there was something is remembered for as long again: else a correction
   would be taken for something new, and replace what it is about.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas import times
from schemas.topics import (
    CLICKS_KEPT_DAYS,
    CORRECTION_WINDOW_DAYS,
    DAY_MS,
    IMPRESSIONS_KEPT_DAYS,
    LATENESS_DAYS,
)
from streams.rules.credit import span

CORRECTION_MS: Final = CORRECTION_WINDOW_DAYS * DAY_MS
KEPT_MS: Final = {
    "clicks": CLICKS_KEPT_DAYS * DAY_MS,
    "impressions": IMPRESSIONS_KEPT_DAYS * DAY_MS,
    **dict.fromkeys(
        ("pixels", "postbacks", "adjustments"), (CORRECTION_WINDOW_DAYS + LATENESS_DAYS) * DAY_MS
    ),
}
STATEMENTS_KEPT_MS: Final = KEPT_MS["postbacks"]
REMEMBERED_MS: Final = 2 * STATEMENTS_KEPT_MS

_LATEST_MS: Final = times.to_ms("9999-12-31T23:59:59.999Z")


class Clock:
    """The latest moment that a topic's records told: rules 1 and 2."""

    def __init__(self) -> None:
        self._latest = ""
        self._appended_ms = -1
        self._appended = ""

    def tell(self, received_at: str, appended_ms: int) -> None:
        """One record's moment is counted. Compared as texts: their order is the order of the times."""
        if appended_ms != self._appended_ms:  # seldom: the broker dates whole batches
            self._appended_ms = appended_ms
            self._appended = times.from_ms(max(0, min(appended_ms, _LATEST_MS)))
        self._latest = max(self._latest, min(received_at, self._appended))

    @property
    def ms(self) -> int:
        """0 where nothing was told."""
        return times.to_ms(self._latest) if self._latest else 0


class TopicTime(NamedTuple):
    """How far a topic has told the time, and whether all that it holds is read."""

    clock_ms: int
    at_end: bool


def time_of(topics: Iterable[TopicTime]) -> int:
    """A partition's time: rule 3."""
    all_of_them = list(topics)
    behind = [topic.clock_ms for topic in all_of_them if not topic.at_end]
    return min(behind) if behind else max((topic.clock_ms for topic in all_of_them), default=0)


def oldest_kept_ms(topic: str, time_ms: int) -> int:
    """The first moment of receipt that is still kept: rules 4 and 5."""
    return time_ms - KEPT_MS[topic]


def too_late(received_ms: int, born_ms: int, time_ms: int) -> str:
    """Why a statement can correct nothing any more, in numbers; empty where it can: rule 6.

    born_ms: when the first statement of its bundle was received, its own moment where it is the first.
    """
    if received_ms - born_ms > CORRECTION_MS:
        after = span(received_ms - born_ms)
        return f"received {after} after the first statement about it, allowed {span(CORRECTION_MS)}"
    if time_ms - born_ms > STATEMENTS_KEPT_MS:
        after, allowed = span(time_ms - born_ms), span(STATEMENTS_KEPT_MS)
        return f"came {after} after the first statement about it was received, allowed {allowed}"
    return ""
