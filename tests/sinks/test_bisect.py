"""How a batch with bad rows is stored."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from service.errors import Refused
from sinks import bisect
from sinks.batches import Row
from tests.sinks.examples import record


class Table:
    def __init__(self, bad: set[int], *, names_rows: bool) -> None:
        self.bad, self.names_rows = bad, names_rows
        self.stored: list[int] = []
        self.inserts = 0

    async def insert(self, rows: Sequence[Row]) -> None:
        self.inserts += 1
        for number, row in enumerate(rows, 1):
            if row.record.offset in self.bad:
                raise Refused("no", row=number if self.names_rows else 0)
        self.stored += [row.record.offset for row in rows]


def rows(count: int) -> list[Row]:
    return [Row(record("clicks", n, b"{}"), b"{}") for n in range(count)]


@given(st.integers(0, 40), st.sets(st.integers(0, 39)), st.booleans())
async def test_every_good_row_is_stored_once_and_in_order_and_every_bad_one_is_named(
    count: int,
    bad: set[int],
    names_rows: bool,  # noqa: FBT001  hypothesis gives it by place
) -> None:
    table = Table(bad, names_rows=names_rows)
    found = await bisect.store(rows(count), table.insert)
    assert table.stored == [n for n in range(count) if n not in bad]
    assert [each.record.offset for each in found] == [n for n in range(count) if n in bad]


async def test_a_named_row_costs_four_inserts() -> None:
    table = Table({2_500}, names_rows=True)
    await bisect.store(rows(5_000), table.insert)
    assert table.inserts == 4


async def test_an_unnamed_row_costs_the_logarithm() -> None:
    table = Table({2_501}, names_rows=False)
    await bisect.store(rows(5_000), table.insert)
    assert table.inserts < 30


async def test_a_wrong_number_does_not_stop_it() -> None:
    async def insert(part: Sequence[Row]) -> None:
        if any(row.record.offset == 3 for row in part):
            raise Refused("no", row=1)

    assert [each.record.offset for each in await bisect.store(rows(8), insert)] == [3]
