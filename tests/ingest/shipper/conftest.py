"""A Kafka in memory and an edge, for each test its own; calls to threads are made at once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.ingest.shipper.fakes import Edge, FakeKafka


async def at_once(call: Callable[..., Any], *arguments: Any) -> Any:
    await asyncio.sleep(0)  # others go on meanwhile, as with a thread
    return call(*arguments)


@pytest.fixture(autouse=True)
def _no_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same order of things at each run; the tests with a real Kafka use threads."""
    if not request.node.get_closest_marker("stack"):
        monkeypatch.setattr(asyncio, "to_thread", at_once)


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka()


@pytest.fixture
def edge(kafka: FakeKafka) -> Edge:
    return Edge(kafka)
