"""Bisect: stores all rows but the bad ones, by dividing what ClickHouse refuses."""

from collections.abc import Awaitable, Callable, Sequence

from service.errors import Refused
from sinks.batches import Bad, Row


async def store(rows: Sequence[Row], insert: Callable[[Sequence[Row]], Awaitable[None]]) -> list[Bad]:
    """Every row is stored or in the answer. `insert` stores all of its rows, or none and raises Refused.

    A refusal that names its row costs three inserts a bad row, any other about 2 * log2(rows).
    """
    waiting = [list(rows)] if rows else []
    bad: list[Bad] = []
    while waiting:
        part = waiting.pop()
        try:
            await insert(part)
        except Refused as refused:
            if len(part) == 1:
                bad.append(Bad(part[0].record, str(refused)))
            else:
                waiting.extend(reversed(divided(part, refused.row)))
    return bad


def divided(rows: list[Row], number: int) -> list[list[Row]]:
    """Two or three smaller parts, in order: around the row of that number (from 1), else halves."""
    if 1 <= number <= len(rows):
        parts = [rows[: number - 1], rows[number - 1 : number], rows[number:]]
    else:
        middle = len(rows) // 2
        parts = [rows[:middle], rows[middle:]]
    return [part for part in parts if part]
