"""Freshness: up to when what ClickHouse shows is complete, and how much could not be used."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from console import lag, moments
from console.lag import Lag
from service.clickhouse import ClickHouse
from service.errors import Unavailable, Unreachable
from service.moments import text
from service.settings import Settings

# What a report waits for: facts that no joiner has decided, and anything that no writer has stored.
_NEEDED = frozenset({"roundtrip-joiner", "roundtrip-writer"})


class Freshness(msgspec.Struct, frozen=True):
    """What a report says of itself.

    complete_to: everything that reached Kafka before is in it; none where Kafka could not be asked.
    waiting: records that are not in it yet. newest: when the newest fact in it was received.
    quarantined: records of the report's span that could not be used. problem: why complete_to is not known.
    """

    complete_to: datetime | None
    waiting: int
    newest: datetime | None
    quarantined: int
    problem: str = ""

    def line(self, in_zone: ZoneInfo) -> str:
        """One line for people."""
        if self.complete_to is None:
            newest = text(self.newest, in_zone) if self.newest else "none"
            whole = f"complete to: not known ({self.problem}); newest fact {newest}"
        else:
            wait = f" ({self.waiting} records wait)" if self.waiting else ""
            whole = f"complete to {text(self.complete_to, in_zone)}{wait}"
        return f"{whole}, {self.quarantined} quarantined"


def complete_to(lags: Iterable[Lag], asked_at: datetime) -> datetime | None:
    """The moment at which the first record that waits was appended; that of asking where none waits.

    None where the age of something that waits is not known.
    """
    waiting = [each for each in lags if each.group in _NEEDED and each.lag]
    if any(each.waiting_since_ms is None for each in waiting):
        return None
    since = [datetime.fromtimestamp((each.waiting_since_ms or 0) / 1000, UTC) for each in waiting]
    return min([asked_at, *since])


def measure(
    settings: Settings, clickhouse: ClickHouse, span: moments.Span, clock: Callable[[], datetime]
) -> Freshness:
    """How fresh a query is that is asked after this.

    Asked before the report's own query, so that the rows hold at least what this promises.
    """
    asked_at = clock()
    problem = ""
    lags: list[Lag] = []
    try:
        lags = lag.measure(settings, asked_at.timestamp())
        complete = complete_to(lags, asked_at)
        problem = "" if complete else "what waits in Kafka could not be read"
    except (Unreachable, Unavailable) as error:
        complete, problem = None, str(error)
    newest, quarantined = _rows(clickhouse, span)
    waiting = sum(each.lag for each in lags if each.group in _NEEDED)
    return Freshness(complete, waiting, newest, quarantined, problem)


def _rows(clickhouse: ClickHouse, span: moments.Span) -> tuple[datetime | None, int]:
    found = clickhouse.query(
        """
        SELECT (SELECT toUnixTimestamp64Milli(max(received_at)) FROM click_facts),
            (SELECT toUnixTimestamp64Milli(max(received_at)) FROM impression_facts),
            (SELECT toUnixTimestamp64Milli(max(received_at)) FROM observation_facts),
            (SELECT count() FROM quarantine
             WHERE at >= toDateTime64({since:Int64}, 3) AND at < toDateTime64({until:Int64}, 3))
        """,
        {"since": int(span.start.timestamp()), "until": int(span.end.timestamp()) + 1},
    ).rows[0]
    newest_ms = max(found[:3])
    return datetime.fromtimestamp(newest_ms / 1000, UTC) if newest_ms else None, found[3]
