"""The console's page and API on the real ClickHouse and Kafka: who may look, and what they see."""

import base64
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from console import page
from console.lookout import Figures, Lookout
from console.web import MAX_REQUEST_BYTES, Console
from console.web import run as run_console
from service.clickhouse import ClickHouse
from service.errors import Usage
from service.settings import Settings
from tests.console.rows import store
from tests.sinks.examples import CASE, CLICK, CONVERSION, changed
from tests.sinks.fakes import make_topics

TOKEN = "correct horse battery staple"  # noqa: S105  a test's own
Client = TestClient[web.Request, web.Application]


async def client_of(config: Settings) -> AsyncIterator[Client]:
    clickhouse = ClickHouse(config)
    console = Console(config, clickhouse, Lookout(config, Figures(CollectorRegistry())))
    app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[console.guard])
    app.add_routes(console.routes())
    async with TestClient(TestServer(app)) as client:
        yield client
    clickhouse.close()


@pytest_asyncio.fixture
async def client(stored: Settings, kafka: str) -> AsyncIterator[Client]:
    config = msgspec.structs.replace(stored, kafka=kafka, partitions=1, replication=1)
    make_topics(config)
    store(config, [changed(CLICK, source="<script>alert(1)</script>"), CASE])
    async for each in client_of(config):
        yield each


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[Client]:
    config = Settings(console_token=TOKEN, clickhouse="http://127.0.0.1:1", kafka="127.0.0.1:1")
    async for each in client_of(config):
        yield each


@pytest.mark.stack
async def test_the_page_shows_consumers_and_reports_and_runs_nothing(client: Client) -> None:
    answer = await client.get("/")
    text = await answer.text()
    assert answer.status == 200
    assert all(f"<h2>{name.capitalize()}</h2>" in text for name in ("consumers", *page.REPORTS))
    assert "<script" not in text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.stack
async def test_the_api_answers_report_trace_and_lag(client: Client) -> None:
    report = await (await client.get("/api/report/offers", params={"from": "2020-01-01"})).json()
    assert report["report"] == "offers"
    stories = await (await client.get(f"/api/trace/{CONVERSION.conversion_id}")).json()
    assert [story["transaction_id"] for story in stories] == [CASE.transaction_id]
    lag = await (await client.get("/api/lag")).json()
    assert lag["places"]


@pytest.mark.stack
async def test_a_trace_page_escapes_what_strangers_sent(client: Client) -> None:
    text = await (await client.get("/trace", params={"id": "<b>x</b>"})).text()
    assert "<b>" not in text
    assert "&lt;b&gt;" in text


@pytest.mark.stack
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/report/none", 400),
        ("/api/report/offers?limit=0", 400),
        ("/api/report/offers?limit=x", 400),
        ("/api/report/offers?where=nonsense", 400),
        ("/api/report/offers?tz=Nowhere", 400),
        ("/api/trace/nothing", 404),
        ("/trace?id=nothing", 404),
        ("/nothing", 404),
    ],
)
async def test_a_wrong_question_has_its_status(client: Client, path: str, status: int) -> None:
    assert (await client.get(path)).status == status


@pytest.mark.stack
async def test_no_strangers_page_reads_it_through_a_browser(client: Client) -> None:
    assert (await client.get("/api/report", headers={"Host": "evil.example"})).status == 403
    assert (await client.get("/api/report", headers={"Host": "console.localhost:8081"})).status == 200


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (basic(TOKEN), 200),
        (None, 401),
        ("Bearer wrong", 401),
        (basic("wrong"), 401),
        ("Basic !!!", 401),
        ("Bearer \udcff\udcfe", 401),
        (TOKEN, 401),
    ],
)
async def test_with_a_token_only_its_holder_may_look(
    guarded: Client, authorization: str | None, status: int
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    assert (await guarded.get("/api/report", headers=headers)).status == status


async def test_servers_that_are_away_are_a_503_with_their_name(guarded: Client) -> None:
    answer = await guarded.get("/api/trace/x", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == 503
    assert "127.0.0.1:1" in (await answer.json())["problem"]


def test_it_refuses_to_be_open_to_others_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_HOST", "0.0.0.0")  # noqa: S104  what the test is about
    with pytest.raises(Usage, match="ROUNDTRIP_CONSOLE_TOKEN"):
        run_console(None)  # type: ignore[arg-type]  it takes no arguments
