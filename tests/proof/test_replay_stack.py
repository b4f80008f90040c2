"""Replay on a real stack: all is shipped again, nothing counts twice, and an edge's word on it holds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proof.own_stack import OwnStack
from schemas.topics import FACTS
from service.clickhouse import ClickHouse
from service.kafka import Admin
from tests.conftest import Warehouse

CATALOG = Path(__file__).parents[2] / "proof" / "catalog.toml"
CLICKS = 400
VIEWS = ("clicks", "impressions", "observations", "conversions", "conversion_history", "quarantine")

pytestmark = pytest.mark.stack


def said(stack: OwnStack, *words: str, code: int = 0) -> str:
    """What the command wrote; the test fails where it does not end with this code."""
    line = [sys.executable, "-m", "roundtrip", *words, "--dir", str(stack.directory)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def counts(warehouse: Warehouse) -> dict[str, int]:
    """How many rows each view has."""
    return {
        view: warehouse.rows(f"SELECT count() AS n FROM {view}")[0]["n"]  # noqa: S608  our own views
        for view in VIEWS
    }


def in_kafka(stack: OwnStack) -> int:
    with Admin(stack.settings) as admin:
        return sum(admin.end_offsets(FACTS).values())


async def test_everything_shipped_again_counts_nothing_twice(
    own_stack: Callable[[Path | None], OwnStack], tmp_path: Path
) -> None:
    stack, truth = own_stack(CATALOG), str(tmp_path / "truth.jsonl")
    said(stack, "simulate", "--clicks", str(CLICKS), "--seed", "7", "--truth", truth)
    said(stack, "verify", "--truth", truth)
    clickhouse = ClickHouse(stack.settings)
    warehouse = Warehouse(clickhouse)
    before, events = counts(warehouse), in_kafka(stack)
    assert said(stack, "replay", "--from", "2000-01-01", "--to", "2000-01-02").endswith(
        "in all: 0 events shipped again\n"
    )
    assert in_kafka(stack) == events

    told = said(stack, "replay", "--from", "yesterday")

    assert f"in all: {events} events shipped again" in told
    assert in_kafka(stack) == 2 * events
    said(stack, "verify", "--truth", truth)
    assert counts(warehouse) == before
    assert warehouse.rows("SELECT * FROM contradicting_receipts") == []

    (journal,) = json.loads(said(stack, "journal", "--format", "json", "--verify"))["journals"]
    assert (journal["in_use"], journal["unshipped_events"]) == (True, 0)
    (epoch,) = journal["epochs"]
    assert epoch["last"] == events
    os.kill(stack.addresses.processes["collector"][0], signal.SIGTERM)  # its last word; `up` replaces it
    word = "SELECT last FROM tails WHERE epoch = {epoch:String}"
    await warehouse.until(lambda found: found == [{"last": events}], word, epoch=epoch["epoch"])
    clickhouse.close()

    stack.stop()
    (journal,) = json.loads(said(stack, "journal", "--format", "json"))["journals"]
    assert (journal["in_use"], journal["unshipped_events"]) == (False, 0)
    assert "cannot be reached" in said(stack, "replay", "--from", "yesterday", code=3)
