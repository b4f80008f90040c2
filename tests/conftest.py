"""What every test may use: the browser's presence, a stack of its own, the words of ClickHouse."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proof.own_stack import OwnStack
from service import outage
from service.clickhouse import ClickHouse
from tests import chance

CHROMIUM = shutil.which("chromium")

chance.register()
_ALL_STACK = re.compile(r"^pytestmark = \[?pytest\.mark\.stack\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file whose tests all need the stack is not imported where these are left out: it is one in four."""
    if collection_path.suffix != ".py" or "not stack" not in config.option.markexpr:
        return None
    return bool(_ALL_STACK.search(collection_path.read_text("utf-8"))) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium the browser tests are skipped, said in one loud line; on CI that is a failure."""
    if CHROMIUM or not any(item.get_closest_marker("browser") for item in items):
        return
    if os.environ.get("CI") == "true":
        pytest.exit("CHROMIUM IS MISSING: on CI the browser stories must run", returncode=1)
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="CHROMIUM IS MISSING: the browser stories did not run"))


@pytest.fixture(autouse=True)
def _no_outage_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test learned of a server's absence is nothing to the next: a process keeps one record."""
    monkeypatch.setattr(outage, "_all", {})


class Warehouse:
    """What ClickHouse says, asked until it says what a test waits for."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        result = self._clickhouse.query(sql, parameters)
        return [dict(zip(result.names, row, strict=True)) for row in result.rows]

    async def until(
        self,
        settled: Callable[[list[dict[str, Any]]], bool],
        sql: str,
        deadline_s: float = 120.0,
        **parameters: Any,
    ) -> list[dict[str, Any]]:
        """The rows once `settled` holds of them; after the deadline the test fails and shows them."""
        limit = time.monotonic() + deadline_s
        while not settled(rows := await asyncio.to_thread(self.rows, sql, **parameters)):
            assert time.monotonic() < limit, f"not in {deadline_s} s; ClickHouse says: {rows}"
            await asyncio.sleep(0.05)  # the pause between two looks, not the wait for a result
        return rows


@pytest.fixture(scope="session")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path | None], OwnStack]]:
    """Starts stacks in fresh directories; each is stopped in order at the end."""
    started: list[OwnStack] = []

    def start(catalog: Path | None = None) -> OwnStack:
        # Loopback may state a visitor's country, as a proxy before the collector would.
        proxies = {"ROUNDTRIP_TRUSTED_PROXIES": "127.0.0.1"}
        stack = OwnStack(tmp_path_factory.mktemp("stack") / "state", catalog, proxies)
        started.append(stack)
        return stack.start(240.0)

    yield start
    for stack in started:
        stack.stop()
