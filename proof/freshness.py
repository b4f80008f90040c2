"""How long it takes from an accepted click to a row that a query sees: measured on real clicks."""

import asyncio
import time
from urllib.parse import urlencode

import msgspec

from proof.people import BROWSERS
from proof.wire import Wire
from service.clickhouse import ClickHouse
from service.errors import No

DEADLINE_S = 120.0
LOOK_EVERY_S = 0.02

# Both clocks are this machine's: the collector's at the click, ClickHouse's when the row was written.
STORED = """
SELECT count(), quantileExact(0.5)(age_ms), quantileExact(0.99)(age_ms), max(age_ms)
FROM
(
    SELECT date_diff('millisecond', received_at, inserted_at) AS age_ms
    FROM click_facts
    WHERE aff_sub5 = {tag:String}
)
"""
SEEN = "SELECT count() FROM clicks WHERE aff_sub5 = {tag:String} AND aff_click_id = {probe:String}"


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from click to row, of `count` clicks."""

    count: int
    p50_s: float
    p99_s: float
    worst_s: float

    def __str__(self) -> str:
        times = f"p50 {self.p50_s:.2f} s, p99 {self.p99_s:.2f} s, worst {self.worst_s:.2f} s"
        return f"{times} ({self.count} clicks)"


def stored_age(clickhouse: ClickHouse, tag: str) -> Age:
    """Of all clicks of a simulation, under its load: by the times on the rows."""
    ((count, half, most, worst),) = clickhouse.query(STORED, {"tag": tag}).rows
    return Age(count=count, p50_s=half / 1000, p99_s=most / 1000, worst_s=worst / 1000)


async def seen_age(collector: str, clickhouse: ClickHouse, visit: dict[str, str], probes: int) -> Age:
    """Of single clicks, one after the other: from before the request until a query sees the row."""
    wire = Wire(collector)
    try:
        ages = sorted([await _probe(wire, clickhouse, visit, f"probe-{number}") for number in range(probes)])
    finally:
        await wire.close()
    at_99 = min(len(ages) - 1, round(0.99 * (len(ages) - 1)))
    return Age(count=len(ages), p50_s=ages[len(ages) // 2], p99_s=ages[at_99], worst_s=ages[-1])


async def _probe(wire: Wire, clickhouse: ClickHouse, visit: dict[str, str], name: str) -> float:
    began_s = time.monotonic()
    target = f"/click?{urlencode({**visit, 'aff_click_id': name})}"
    await wire.get(target, {"User-Agent": BROWSERS[0].user_agent})
    parameters = {"tag": visit["aff_sub5"], "probe": name}
    while not (await asyncio.to_thread(clickhouse.query, SEEN, parameters)).rows[0][0]:
        if time.monotonic() - began_s > DEADLINE_S:
            raise No(f"a click was not to be seen in ClickHouse after {DEADLINE_S:g} s")
        await asyncio.sleep(LOOK_EVERY_S)
    return time.monotonic() - began_s
