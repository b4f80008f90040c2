"""Times on the wire: `YYYY-MM-DDTHH:MM:SS.mmmZ` and back to milliseconds."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  both sides are UTC by the form; naive is three times as quick
_MILLISECOND: Final = timedelta(milliseconds=1)
# fromisoformat alone takes week dates, commas, zones and other lengths: text order would not be time order.
_FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII).fullmatch


@lru_cache(maxsize=16_384)  # one fact's times are asked for up to six times; 2 MB
def to_ms(text: str) -> int:
    """Unix time in milliseconds; ValueError unless its 24 characters name a moment of the calendar."""
    if _FORM(text) is None:
        raise ValueError(f"not a time of the form 2026-11-23T02:55:00.123Z: {text[:40]!r}")
    return (datetime.fromisoformat(text[:23]) - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> str:
    """The 24 characters of a Unix time in milliseconds; ValueError outside of the years 1 to 9999."""
    second, left = divmod(ms, 1_000)
    try:
        return f"{_second(second)}.{left:03}Z"
    except OverflowError as error:
        raise ValueError(f"no time between the years 1 and 9999: {ms} ms") from error


@lru_cache(maxsize=64)  # what is written now lies within seconds: a third of the cost
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()
