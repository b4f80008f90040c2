"""Moments: what people write for times on the command line."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from service.errors import Usage


def zone(name: str) -> ZoneInfo:
    """The IANA zone of that name; Usage where there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise Usage(f"--tz {name!r}: no such time zone; write one like Europe/Berlin or UTC") from error


def moment(option: str, written: str, in_zone: ZoneInfo, now: datetime, *, whole_day: bool) -> datetime:
    """The moment that an option's words name; Usage where they name none.

    A day alone is its first moment; with whole_day the first one after it, as the end of a span.
    """
    today = now.astimezone(in_zone).date()
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        if written in days or re.fullmatch(r"\d{4}-\d\d-\d\d", written):
            day = days.get(written) or date.fromisoformat(written)
            return midnight(day + timedelta(days=1 if whole_day else 0), in_zone)
        found = datetime.fromisoformat(written)
        return (found if found.tzinfo else found.replace(tzinfo=in_zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Usage(
            f"{option} {written!r}: write a day (2026-11-23), a time (2026-11-23T14:30), today or yesterday"
        ) from error


def midnight(day: date, in_zone: ZoneInfo) -> datetime:
    """A day's first moment in the zone."""
    return datetime(day.year, day.month, day.day, tzinfo=in_zone).astimezone(UTC)


def text(at: datetime, in_zone: ZoneInfo) -> str:
    """A moment for people: `2026-11-23 14:30:05+01:00`."""
    return at.astimezone(in_zone).isoformat(sep=" ", timespec="seconds")
