"""What ClickHouse shows of a history, compared with what was worked out by hand."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

from tests.histories.holes import seconds
from tests.histories.reading import History, Row
from tests.histories.scene import Scene
from tests.histories.world import World

Found = dict[str, Any]

_ANY = ("-", "*")
_SHOWN = ("name", "goal_id", "status", "reason", "payout", "revenue", "conversion_unique_id", "reason_detail")


def wrong(history: History, scene: Scene, world: World, stored: dict[str, list[Found]]) -> list[str]:
    """Each difference, of the order of rows that has the fewest; stored: the rows of each transaction."""
    names = {scene.id(name): name for name in (*scene.names, *history.names)}
    found = [{**row, "name": names[one]} for one in names for row in stored.get(one, [])]
    shown = "; ".join(" ".join(str(row[column]) for column in _SHOWN) for row in found)
    keys = Counter((row.name, row.goal) for row in history.rows if row.goal != "*")
    there = Counter((row["name"], str(row["goal_id"])) for row in found)
    if len(found) != len(history.rows) or keys - there:
        return [f"{len(history.rows)} conversions must stand; there are {len(found)}: {shown}"]
    tries = [
        _differences(list(zip(history.rows, order, strict=True)), world) for order in permutations(found)
    ]
    best = min(tries, key=len)
    return [*best, f"there are: {shown}"] if best else []


def _differences(pairs: list[tuple[Row, Found]], world: World) -> list[str]:
    known = {f"#{n}": found["conversion_id"] for n, (_, found) in enumerate(pairs, 1)}
    said = []
    for row, found in pairs:
        place = {"name": row.name, "goal_id": row.goal, "duplicate_of": ""}
        for column, must in {**place, **row.columns}.items():
            value = found[column]
            if must not in _ANY and not _is(known.get(must, must), value, found, world):
                said.append(f"{row.name}/{row.goal} {column}: must be {must}, is {value}")
    return said


def _is(must: str, value: Any, found: Found, world: World) -> bool:
    match value:
        case datetime():
            base_s = world.midnight_s if "d" in must else world.start_s
            moment = datetime.fromtimestamp(base_s + seconds(must), UTC).replace(tzinfo=None)
            return bool(value == found.get(must, moment))
        case bool():
            return must == str(int(value))
        case Decimal() | int():
            return Decimal(must) == value
        case list() | tuple():
            return must == ",".join(value)
        case _:
            return must == str(value).replace(" ", "_")


def owed(histories: Iterable[History]) -> dict[str, Decimal]:
    """What all of them together owe affiliates, by currency."""
    owed: dict[str, Decimal] = {}
    for row in (row for history in histories for row in history.rows):
        if row.columns["status"] == "approved":
            currency = row.columns["payout_currency"]
            owed[currency] = owed.get(currency, Decimal(0)) + Decimal(row.columns["payout"])
    return owed
