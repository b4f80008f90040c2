"""Patience: since when the disk has not given a place of a journal; damage is what it never gives."""

from collections.abc import Callable
from typing import Final

from ingest.journal.segments import Position

LASTS_S: Final = 60.0
_GAP_S: Final = 10.0  # so long not asked, and nobody knows what the disk would have given meanwhile


class Patience:
    """Outlives the readers of a journal, which end at each error. seconds: the time, from anywhere."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._asked: dict[Position, tuple[float, float]] = {}  # for the first and for the last time in a row

    def ends(self, place: Position) -> bool:
        """Whether the place, which the disk did not give just now, was asked for in vain long enough."""
        now = self._seconds()
        since, last = self._asked.get(place, (now, now))
        if now - last > _GAP_S:
            since = now
        self._asked[place] = since, now
        return now - since >= LASTS_S

    def given(self, begin: Position, end: Position) -> None:
        """The disk gave what lies from there to there."""
        for place in [each for each in self._asked if begin <= each < end]:
            del self._asked[place]
