"""Learning: what an edge lacks of the catalog's secrets is said where operators look, until it is there."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from ingest import learning
from ingest.counters import Counters
from ingest.edge import Edge
from schemas.catalog import Advertiser, Catalog, Key, PostbackProofs
from schemas.catalog_versions import CatalogVersion
from service import keys, references
from service.health import Health
from tests.ingest.fakes import Bench


class FakeFollower:
    """Has one version from the start."""

    def __init__(self, catalog: Catalog) -> None:
        self.current = CatalogVersion(version=1, applied_at="", applied_by="", catalog=catalog)
        self.start = lambda: None
        self.close = asyncio.Event().wait

    def __call__(self, *_: object) -> "FakeFollower":
        return self


def metric(health: Health) -> str:
    (line,) = [
        line
        for line in generate_latest(health.registry).decode().splitlines()
        if line.startswith("roundtrip_secrets_missing ")
    ]
    return line.partition(" ")[2]


async def test_a_secret_that_is_not_at_hand_is_a_note_and_a_metric_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").write_text("a key of the shop")
    where = [f"file:{tmp_path / name}" for name in ("here", "gone")]
    keys = tuple(Key(id=f"k{n}", secret=place) for n, place in enumerate(where))
    shop = Advertiser(id=1, name="Shop", postback=PostbackProofs(keys=keys))
    monkeypatch.setattr(learning, "Follower", FakeFollower(Catalog(advertisers=(shop,))))
    monkeypatch.setattr(references, "LOOK_S", 0.001)
    health, edge = Health("collector"), Bench().edge
    spawned: list[Coroutine[Any, Any, None]] = []

    learned(health, edge, tmp_path, lambda work, _name: spawned.append(work))

    assert metric(health) == "1.0"
    assert health._notes["secrets"]().startswith(f"{where[1]}: ")
    (tmp_path / "gone").write_text("another key of the shop")
    tasks = [asyncio.create_task(work) for work in spawned]
    async with asyncio.timeout(60):
        await until(lambda: metric(health) == "0.0")
    assert health._notes["secrets"]() == ""
    for task in tasks:
        task.cancel()


def learned(health: Health, edge: Edge, directory: Path, spawn: Callable[..., None]) -> None:
    own = keys.Key(number=1, secret=keys.new_secret(), signs=True)
    keys.write(directory / "keys.toml", keys.KeyFile(keys=(own,)))
    settings = SimpleNamespace(keys_path=directory / "keys.toml", edge="edge")
    lifetime: Any = SimpleNamespace(settings=settings, spawn=spawn, on_close=lambda *_: None)
    learning.learn(lifetime, edge, Counters(health.registry), health)


async def until(holds: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(0.001)  # the pause between two looks
        if holds():
            return
