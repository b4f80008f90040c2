"""Moments: the span that a report is asked for, and the wall clocks of any zone."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from service.errors import Usage
from service.moments import midnight, moment, text

DEFAULT_DAYS = 7
FIRST = datetime(1990, 1, 1, tzinfo=UTC)  # the web's first clicks are younger
LAST = datetime(2200, 1, 1, tzinfo=UTC)
_LOOK = timedelta(hours=12)  # no zone has changed its offset there and back within so little


class Span(NamedTuple):
    """From start up to, without, end."""

    start: datetime
    end: datetime


class Offsets(NamedTuple):
    """A zone's offsets over a span: first_s holds from its start, then at each moment changes_s is added.

    All in seconds; moments are Unix times.
    """

    first_s: int
    moments: list[int]
    changes_s: list[int]


def span(start: str, end: str, in_zone: ZoneInfo, now: datetime) -> Span:
    """The span of `--from` and `--to`; Usage where they cannot be read or nothing lies between.

    A date alone is its first moment as a start and its last as an end; without a start, the seven days that
    end with the day of the end.
    """
    until = moment("--to", end, in_zone, now, whole_day=True) if end else now
    if start:
        since = moment("--from", start, in_zone, now, whole_day=False)
    else:
        last_day = (until - timedelta(microseconds=1)).astimezone(in_zone).date()
        since = midnight(last_day - timedelta(days=DEFAULT_DAYS - 1), in_zone)
    if since >= until:
        raise Usage(f"--from {text(since, in_zone)} is not before --to {text(until, in_zone)}")
    return Span(max(since, FIRST), min(until, LAST))


def offsets(over: Span, in_zone: ZoneInfo) -> Offsets:
    """The zone's offsets, by Python's own copy of the zones."""
    at = over.start
    found = Offsets(_offset_s(at, in_zone), [], [])
    while at < over.end:
        ahead = min(at + _LOOK, over.end)
        before, after = _offset_s(at, in_zone), _offset_s(ahead, in_zone)
        if before != after:
            found.moments.append(_change(at, ahead, in_zone))
            found.changes_s.append(after - before)
        at = ahead
    return found


def _offset_s(at: datetime, in_zone: ZoneInfo) -> int:
    offset = at.astimezone(in_zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _change(before: datetime, after: datetime, in_zone: ZoneInfo) -> int:
    """The first second at which the later offset holds."""
    low, high = int(before.timestamp()), int(after.timestamp())
    later = _offset_s(after, in_zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(datetime.fromtimestamp(middle, UTC), in_zone) == later:
            high = middle
        else:
            low = middle
    return high


def wall_text(wall_s: int, offset_s: int, unit: str) -> str:
    """A wall clock's hour, day or month; an hour with its offset: a clock set back shows it twice."""
    wall = datetime.fromtimestamp(wall_s, UTC).replace(tzinfo=None)
    if unit == "month":
        return wall.strftime("%Y-%m")
    if unit == "day":
        return wall.date().isoformat()
    sign, minutes = "-" if offset_s < 0 else "+", abs(offset_s) // 60
    return f"{wall:%Y-%m-%d %H:%M}{sign}{minutes // 60:02}:{minutes % 60:02}"
