"""When it happened, as a server states it: Unix seconds or ISO 8601, in the advertiser's zone if without."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

MAX_AHEAD_MS: Final = 5 * 60_000  # a server's clock may be wrong by this much (design §4)
MAX_BEHIND_MS: Final = 90 * 86_400_000

_UNIX: Final = re.compile(r"\d{1,11}(\.\d{1,9})?", re.ASCII).fullmatch
# A `+` that was not percent-encoded arrives as a blank; between time and offset it can mean nothing else.
_LOST_PLUS: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)", re.ASCII
).fullmatch


def read(text: str, zone: str, received_ms: int) -> int:
    """Unix time in ms; ValueError tells why the claim is not honoured."""
    text = text.strip()
    claimed = int(float(text) * 1000) if _UNIX(text) else _iso(text, zone)
    if claimed > received_ms + MAX_AHEAD_MS:
        raise ValueError("more than 5 minutes ahead: the time of receipt counts")
    if claimed < received_ms - MAX_BEHIND_MS:
        raise ValueError("more than 90 days ago: the time of receipt counts")
    return claimed


def is_local(text: str) -> bool:
    """Whether a text that can be read names no zone."""
    text = text.strip()
    return not _UNIX(text) and _written(text).tzinfo is None


def _written(text: str) -> datetime:
    """The moment as written; ValueError where there is none."""
    if plus := _LOST_PLUS(text):
        text = f"{plus[1]}+{plus[2]}"
    return datetime.fromisoformat(text)


def _iso(text: str, zone: str) -> int:
    try:
        moment = _written(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_zone(zone))
        return int(moment.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise ValueError("neither ISO 8601 nor Unix seconds: the time of receipt counts") from error


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
