"""What Kafka no longer has although a state needs it: told, and where nothing else is left, the end."""

from collections.abc import Mapping

from schemas import times
from schemas.topics import DAY_MS, FACTS
from service.errors import Problem
from service.kafka import Record
from streams import expiry
from streams.kafka import logs
from streams.kafka.logs import Logs
from streams.kafka.topics import EMITTED, GROUP
from streams.state.layout import Position


def check(found: Logs, number: int, positions: Mapping[str, Position]) -> None:
    """Problem where facts of a partition number took effect, and neither a state nor `conversions` tells how.

    Deciding from what Kafka still has of them would send worse versions of right rows.
    """
    if found.lacks_cases(number) and not any(topic in positions for topic in FACTS):
        raise Problem(
            f"{EMITTED} is empty although the group has committed facts of partition {number}, and this"
            f" worker has no state of it: what was sent is not known. Fill {EMITTED} again, or start a worker"
            " with the directory that had this partition; or, for all to be decided anew from what the fact"
            f" topics hold, delete the offsets of the group {GROUP}. Then start the joiner again"
        )


def young(found: Logs, number: int, positions: Mapping[str, Position]) -> dict[tuple[str, int], int]:
    """Where the oldest record of each fact topic lies that is read from there, though it is not its first."""
    places = [(topic, number) for topic in FACTS]
    return {
        place: found.start[place]
        for place in places
        if place[0] not in positions and found.start[place] > 0 and found.effective(place)
    }


def gone(
    found: Logs,
    number: int,
    positions: Mapping[str, Position],
    oldest: Mapping[tuple[str, int], Record | None],
    now_ms: int,
) -> list[str]:
    """What of the fact topics Kafka no longer has although this state needs it, a line each.

    1. What comes next for a state that is behind.
    2. For one that begins: all that was younger than a state keeps facts. Where the oldest record that is
       left is older than that, the others were too old; else some may have been young enough.
    """
    lines = []
    for topic in FACTS:
        place = topic, number
        known, start = positions.get(topic), found.start[place]
        if known and known.log == found.identity[topic] and known.offset < min(start, found.effective(place)):
            lines.append(logs.deleted(f"{topic}/{number}", known.offset, start))
        elif place in oldest:
            record = oldest[place]
            if record is None:
                lines.append(f"{topic}/{number}: all {found.end[place]} records are gone from Kafka")
            elif record.timestamp_ms > now_ms - expiry.KEPT_MS[topic]:
                lines.append(
                    f"{topic}/{number}: the first {record.offset} records are gone from Kafka; the oldest"
                    f" left is of {times.from_ms(record.timestamp_ms)}, a state holds those of"
                    f" {expiry.KEPT_MS[topic] // DAY_MS} days"
                )
    return lines
