"""Story 16: everything is shipped again, and not one figure changes."""

import asyncio
import json
import time
from typing import Any

import pytest

import roundtrip
from console.reports import REPORTS
from tests.stories.conftest import World
from tests.stories.stating import clicked, standing, stated

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

FIGURES = "SELECT * EXCEPT (hour) FROM stats WHERE source = 'replayed' ORDER BY ALL"
ROWS = """
SELECT * EXCEPT (kafka_partition, kafka_offset, inserted_at) FROM conversions
WHERE source = 'replayed' ORDER BY conversion_id
"""


async def test_a_day_that_is_shipped_again_changes_no_figure(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        transaction = await clicked(world, source="replayed")
        await stated(world, transaction, order_id=f"R-{number}", amount="50.00")
        await standing(world, transaction, 1)
    await all_read(world, capsys)  # what stories before this one left behind
    until = at(3_600)  # said, or a day that begins meanwhile would be in another report
    before, shown = figures(world), reports(world, capsys, until)
    with_rows = {name for name, text in shown.items() if text.count("\n") > 1}
    assert with_rows >= {"offers", "affiliates", "hours", "days", "conversions", "clicks"}

    assert await asyncio.to_thread(replay, world) == 0
    await all_read(world, capsys)

    assert figures(world) == before
    assert reports(world, capsys, until) == shown


def at(from_now_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + from_now_s))


def replay(world: World) -> int:
    return roundtrip.main(["replay", "--from", at(-3_600), "--dir", str(world.stack.directory)])


def figures(world: World) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return world.warehouse.rows(FIGURES), world.warehouse.rows(ROWS)


def reports(world: World, capsys: pytest.CaptureFixture[str], until: str) -> dict[str, str]:
    """Every report as it is shown, by name."""
    found = {}
    for name in REPORTS:
        capsys.readouterr()
        words = ["report", name, "--to", until, "--format", "csv", "--dir", str(world.stack.directory)]
        assert roundtrip.main(words) == 0
        found[name] = capsys.readouterr().out
    return found


async def all_read(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing waits for joiner and writer any more."""
    deadline = time.monotonic() + 240.0
    while True:
        capsys.readouterr()
        words = ["lag", "--format", "json", "--dir", str(world.stack.directory)]
        await asyncio.to_thread(roundtrip.main, words)
        waiting = [row for row in json.loads(capsys.readouterr().out) if row["lag"]]
        if not waiting:
            return
        assert time.monotonic() < deadline, waiting
        await asyncio.sleep(0.1)  # the pause between two looks
