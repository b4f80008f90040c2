"""Whatever happens to an edge and its Kafka, in whatever order: nothing accepted is missing at the end."""

import asyncio

import pytest

from ingest import new_log
from ingest.shipping import carrier as carrier_module
from tests.ingest.shipper.conftest import at_once
from tests.ingest.shipper.histories import History


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_log, "EVERY_S", 0)
    monkeypatch.setattr(carrier_module, "SLICE_BYTES", 300)
    monkeypatch.setattr(carrier_module, "FLIGHT_RECORDS", 10)


@pytest.mark.parametrize("seed", range(40))
async def test_nothing_accepted_is_missing(seed: int) -> None:
    history = History(seed)
    assert await history.play() == [], history.told


@pytest.mark.stack
async def test_nothing_accepted_is_missing_in_a_thousand_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute; no server, but too long for each change."""
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    for seed in range(1_000, 2_000):
        history = History(seed)
        assert await history.play() == [], (seed, history.told)
