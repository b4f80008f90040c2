"""The edge over real sockets: what HTTP adds, and what clients that know no HTTP get."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from ingest import connections, handlers
from schemas.reasons import Reason
from tests.ingest.fakes import Bench, new_id
from tests.ingest.serving import Served, front_of, serving

ID = new_id()


async def healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(others=[web.get("/healthz", healthz)]) as found:
        yield found


@pytest.fixture
async def client(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{served.port}") as session:
        yield session


async def test_a_redirect_s_location_goes_out_as_it_was_written(served: Served) -> None:
    found = await served.raw(
        b"GET /click?offer_id=7&aff_id=42&aff_sub=a%2Fb%27%7B HTTP/1.1\r\nHost: t\r\n"
        b"Connection: close\r\n\r\n"
    )
    (click,) = served.bench.facts()
    assert found.startswith(b"HTTP/1.1 302 Found\r\n")
    assert (
        f"Location: https://shop.example/landing?tid={click.transaction_id}&s=a%2Fb%27%7B&".encode() in found
    )
    assert b"Server: roundtrip\r\n" in found
    assert (click.ip, click.host) == ("127.0.0.1", "t")


async def test_absolute_form_and_bytes_that_are_no_utf_8_are_read(served: Served) -> None:
    await served.raw(
        b"GET http://t/click?offer_id=7&aff_id=42&aff_sub=%ff%C3%BC HTTP/1.1\r\nHost: t\r\n"
        b"User-Agent: \xff\r\nReferer: \xfe\r\nCookie: rt=\xff\r\nConnection: close\r\n\r\n"
    )
    (click,) = served.bench.facts()
    assert (click.aff_sub, click.user_agent, click.referer) == ("\ufffdü", "\ufffd", "\ufffd")


async def test_many_requests_of_one_connection_are_answered_in_order(served: Served) -> None:
    one = b"GET /postback?transaction_id=%b&order_id=%d HTTP/1.1\r\nHost: t\r\n%b\r\n"
    stream = b"".join(one % (ID.encode(), n, b"Connection: close\r\n" if n == 49 else b"") for n in range(50))
    found = await served.raw(stream)
    assert found.count(b"HTTP/1.1 200 OK") == 50
    assert [fact.conversion_unique_id for fact in served.bench.facts()] == [str(n) for n in range(50)]


async def test_post_form_json_and_limits(client: aiohttp.ClientSession, served: Served) -> None:
    async with client.post("/postback", data={"tid": ID, "amount": "1"}) as found:
        assert found.status == 200
    async with client.post("/postback", json={"tid": ID, "amount": 1.5}) as found:
        assert (await found.json())["outcome"] == "accepted"
    async with client.post("/postback", data=b"x" * 1_001) as found:
        assert found.status == 413
    async with client.post("/postback", data=_chunks(1_001), headers={"Content-Type": "text/plain"}) as found:
        assert found.status == 413
    assert [str(fact.sale_amount) for fact in served.bench.facts()] == ["1", "1.5"]


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_a_compressed_body_is_refused_like_any_other_that_cannot_be_read(
    client: aiohttp.ClientSession, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    for body in (gzip.compress(f"tid={ID}".encode()), b"not compressed at all"):
        async with client.post("/postback", data=body, headers={"Content-Encoding": encoding}) as found:
            verdict = await found.json()
    assert (found.status, verdict["outcome"], verdict["reason"]) == (400, "refused", Reason.MALFORMED_EVENT)
    assert caplog.records == []


async def test_a_caller_that_hangs_up_is_no_fault_of_ours(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"POST /postback HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\ntid=")
    await writer.drain()
    writer.close()
    async with asyncio.timeout(60):
        ended = {"endpoint": "postback", "ending": "malformed"}
        while not served.bench.count("roundtrip_requests_total", **ended):  # noqa: ASYNC110  a counter, looked at
            await asyncio.sleep(0.01)
    assert caplog.records == []


async def test_too_many_headers_are_over_the_limit_of_headers(served: Served) -> None:
    found = await served.raw(b"GET /click HTTP/1.1\r\nHost: t\r\n" + b"A: b\r\n" * 500 + b"\r\n")
    assert found.partition(b" ")[2].startswith(b"431 ")


@pytest.mark.parametrize(("path", "allowed"), [("/postback", "GET, HEAD, POST"), ("/click", "GET, HEAD")])
async def test_a_wrong_method_is_told_the_right_ones(
    client: aiohttp.ClientSession, path: str, allowed: str
) -> None:
    async with client.put(path) as found:
        assert (found.status, found.headers["Allow"]) == (405, allowed)


async def test_a_stalled_body_is_cut(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "BODY_S", 0.05)
    found = await served.raw(b"POST /postback HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\ntid=")
    assert found.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("begun", [b"", b"GET /click HTTP/1.1\r\nHo"])
async def test_a_connection_that_never_finishes_its_request_is_closed(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KEEPALIVE_S", 0.05)
    async with serving() as served:
        assert await served.raw(begun) == b""


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/click?" + "a" * 8_193, {}, 414),
        ("/click?" + "a" * 40_000, {}, 414),
        ("/click?" + "&".join(f"p{n}=1" for n in range(201)), {}, 400),
        ("/pixel?offer_id=7", {"X-Big": "x" * 20_000}, 431),
        ("/pixel?offer_id=7", {"X-Big": "x" * 70_000}, 431),
        ("/nowhere", {}, 404),
        ("/", {}, 404),
        ("/healthz", {}, 200),
    ],
)
async def test_limits_and_paths_have_their_statuses(
    client: aiohttp.ClientSession, path: str, headers: dict[str, str], status: int
) -> None:
    async with client.get(path, headers=headers, allow_redirects=False) as found:
        assert found.status == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_a_click_is_a_get(client: aiohttp.ClientSession, served: Served, method: str) -> None:
    async with client.request(method, "/click?offer_id=7&aff_id=42", allow_redirects=False) as found:
        assert found.status == 405
    assert served.bench.facts() == []


async def test_head_of_anything_is_no_fact(client: aiohttp.ClientSession, served: Served) -> None:
    for path, status in (
        (f"/postback?tid={ID}", 200),
        ("/impression?offer_id=7", 200),
        ("/click?offer_id=9&aff_id=42", 302),
    ):
        async with client.head(path, allow_redirects=False) as found:
            assert found.status == status
            assert "Set-Cookie" not in found.headers
    assert served.bench.records() == []


async def test_what_was_begun_is_answered_before_the_end() -> None:
    bench = Bench()
    front = front_of(bench)
    port = await front.serve("127.0.0.1", 0)
    bench.hand.hold()
    async with aiohttp.ClientSession() as session:
        answer = asyncio.ensure_future(session.get(f"http://127.0.0.1:{port}/postback?tid={ID}"))
        await bench.hand.given()
        closing = asyncio.ensure_future(front.close())
        await asyncio.sleep(0)
        bench.hand.release()
        assert (await answer).status == 200
        await closing
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "request_",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET /click?aff_sub=a\x01 HTTP/1.1\r\nHost: t\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /click HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"b" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"POST /postback HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /postback HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"CONNECT evil:443 HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_nonsense_is_answered_4xx_and_the_next_is_served(served: Served, request_: bytes) -> None:
    found = await served.raw(request_)
    assert found.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), found[:200]
    after = await served.raw(b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    assert after.startswith(b"HTTP/1.1 200 OK")
