"""Health: alive, ready, and what is measured."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import Counter

from service import health
from service.errors import Problem
from service.health import Health


@pytest.fixture
async def served() -> AsyncIterator[tuple[Health, str]]:
    own = Health("writer")
    port = await own.serve("127.0.0.1", 0)
    yield own, f"http://127.0.0.1:{port}"
    await own.close()


async def answer(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_a_living_process_is_healthy_whatever_its_checks_say(served: tuple[Health, str]) -> None:
    own, url = served
    own.check("kafka", lambda: "lost")
    assert await answer(url + "/healthz") == (200, "ok\n")


async def test_it_is_ready_when_every_check_passes(served: tuple[Health, str]) -> None:
    own, url = served

    async def fine() -> str:
        return ""

    own.check("kafka", fine)
    own.check("disk", lambda: "")
    status, body = await answer(url + "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "checks": {"kafka": "ok", "disk": "ok"}})


async def test_it_is_not_ready_when_one_fails_and_says_which(served: tuple[Health, str]) -> None:
    own, url = served
    own.check("kafka", lambda: "no broker")
    own.check("disk", lambda: "")
    status, body = await answer(url + "/readyz")
    assert (status, json.loads(body)["checks"]) == (503, {"kafka": "no broker", "disk": "ok"})
    assert 'roundtrip_ready{service="writer"} 0.0' in (await answer(url + "/metrics"))[1]


async def test_a_check_that_hangs_has_failed(
    served: tuple[Health, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, url = served
    monkeypatch.setattr(health, "CHECK_S", 0.01)

    async def hangs() -> str:
        await asyncio.Event().wait()
        return ""

    own.check("clickhouse", hangs)
    assert (await answer(url + "/readyz"))[0] == 503


async def test_an_ordered_stop_begins_with_not_ready(served: tuple[Health, str]) -> None:
    own, url = served
    own.mark_down("stopping")
    assert (await answer(url + "/readyz"))[0] == 503


async def test_metrics_are_the_process_and_what_it_counts(served: tuple[Health, str]) -> None:
    own, url = served
    Counter("rows", "rows written", registry=own.registry).inc(3)
    text = (await answer(url + "/metrics"))[1]
    assert "rows_total 3.0" in text
    assert "process_resident_memory_bytes" in text


async def test_a_port_in_use_is_a_problem_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        own = Health("writer")
        with pytest.raises(Problem, match=f"port {port}"):
            await own.serve("127.0.0.1", port)
        await own.close()
