"""Load over real sockets: who is turned away how, what a caller can hold, and that good ones are answered."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp import web

from ingest import connections, handlers
from ingest.load import Load
from tests.ingest.fakes import new_id
from tests.ingest.serving import BOUNDS, Served, serving

ID = new_id()
QUIET, BUSY, BUSIER, BUSIEST = Load(), Load(lag_s=0.2), Load(lag_s=0.4), Load(lag_s=1.0)
IMPRESSION = "/impression?offer_id=7&aff_id=42"
CLICK = "/click?offer_id=7&aff_id=42"
POSTBACK = f"/postback?tid={ID}"


async def healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(others=[web.get("/healthz", healthz)]) as found:
        yield found


@pytest.fixture
async def client(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    one = aiohttp.TCPConnector(limit=1)  # every request must find the connection as the one before left it
    async with aiohttp.ClientSession(f"http://127.0.0.1:{served.port}", connector=one) as session:
        yield session


async def status(client: aiohttp.ClientSession, path: str, method: str = "GET") -> int:
    async with client.request(method, path, allow_redirects=False) as found:
        assert ("Retry-After" in found.headers) == (found.status == 503)
        await found.read()
        return found.status


@pytest.mark.parametrize(
    ("load", "impression", "click", "conversion"),
    [(QUIET, 200, 302, 200), (BUSY, 503, 302, 200), (BUSIER, 503, 503, 200), (BUSIEST, 503, 503, 503)],
)
async def test_who_is_worth_least_is_turned_away_first_and_each_in_its_own_form(
    client: aiohttp.ClientSession, served: Served, load: Load, impression: int, click: int, conversion: int
) -> None:
    served.pulse.feel(load, 0.0)
    for path in (IMPRESSION, IMPRESSION.replace("/impression", "/aff_i")):
        assert await status(client, path) == impression
    for path in (CLICK, CLICK.replace("/click", "/aff_c"), "/ABC123/2CTPL"):
        assert await status(client, path) == click
    for path in (POSTBACK, f"/pixel?tid={ID}", f"/iframe?tid={ID}", f"/aff_goal?a=lsr&tid={ID}"):
        assert await status(client, path) == conversion
    assert await status(client, "/healthz") == 200


async def test_a_verdict_tells_that_it_may_be_sent_again(
    client: aiohttp.ClientSession, served: Served
) -> None:
    served.pulse.feel(BUSIEST, 0.0)
    async with client.post(POSTBACK, data={"amount": "1"}) as found:
        assert (found.status, found.headers["Retry-After"]) == (503, "5")
        verdict = await found.json()
    assert (verdict["outcome"], verdict["reason"]) == ("unavailable", 220)
    async with client.get(f"/aff_lsr?tid={ID}&format=json") as found:
        assert (found.status, (await found.json())["success"]) == (503, False)
    async with client.get(f"/pixel?tid={ID}") as found:
        assert (found.status, (await found.read())[:6]) == (503, b"GIF89a")


async def test_what_was_turned_away_is_counted_and_leaves_no_other_trace(
    client: aiohttp.ClientSession, served: Served
) -> None:
    served.pulse.feel(BUSIEST, 0.0)
    for path in (IMPRESSION, CLICK, CLICK, POSTBACK):
        assert await status(client, path) == 503
    assert await status(client, CLICK, "HEAD") == 503
    for endpoint, count in (("impression", 1), ("click", 3), ("postback", 1)):
        found = served.bench.count("roundtrip_requests_total", endpoint=endpoint, ending="overloaded")
        assert found == count
    assert served.bench.records() == []


async def test_the_same_connection_serves_after_a_503_whichever_way_it_came(
    client: aiohttp.ClientSession, served: Served
) -> None:
    for load, wanted in ((BUSIER, 503), (QUIET, 302)) * 3:
        served.pulse.feel(load, 0.0)
        for method in ("GET", "HEAD"):  # a HEAD goes the long way
            assert await status(client, CLICK, method) == wanted
        assert await status(client, POSTBACK) == 200
    assert served.bench.count("roundtrip_connections") == 1


async def test_requests_sent_at_once_or_in_pieces_are_turned_away_one_by_one(served: Served) -> None:
    served.pulse.feel(BUSY, 0.0)
    one = f"GET {IMPRESSION} HTTP/1.1\r\nHost: t\r\n\r\n".encode()
    last = f"GET {CLICK} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode()
    found = await served.raw(one * 3 + last)
    assert (found.count(b"HTTP/1.1 503 "), found.count(b"HTTP/1.1 302 ")) == (3, 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for piece in (one[:20], one[20:] + last[:7], last[7:]):
        writer.write(piece)
        await asyncio.sleep(0.01)  # so that the pieces arrive one by one; any other arrival is right, too
    found = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert (found.count(b"HTTP/1.1 503 "), found.count(b"HTTP/1.1 302 ")) == (1, 1)


async def test_what_looks_like_a_request_inside_of_another_is_no_request(served: Served) -> None:
    """A body, or a header's value, that arrives by itself: answered, it would be another caller's answer."""
    served.pulse.feel(BUSIER, 0.0)
    inner = b"GET /click?offer_id=7 HTTP/1.1\r\nHost: t\r\n\r\n"
    form = b"POST /postback HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(
        inner
    )
    for begun in (form, b"GET /nowhere HTTP/1.1\r\nConnection: close\r\nX: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(begun)
        async with asyncio.timeout(60):
            while not served.bench.count("roundtrip_connections"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # so that the rest comes by itself; any other arrival is right, too
        writer.write(inner)
        assert (await asyncio.wait_for(reader.read(), 60)).count(b"HTTP/1.1 ") == 1
        writer.close()


async def test_above_the_bound_a_connection_is_closed_at_once_and_counted() -> None:
    async with serving(msgspec.structs.replace(BOUNDS, connections=2)) as served:
        kept = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
        assert await served.raw(b"") == b""
        assert served.bench.count("roundtrip_connections_closed_total", why="limit") == 1
        for reader, writer in kept:
            writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 302 ")
        kept[0][1].close()
        async with asyncio.timeout(60):
            while served.bench.count("roundtrip_connections") == 2:  # noqa: ASYNC110  a gauge, looked at
                await asyncio.sleep(0.01)
        assert b"HTTP/1.1 302 " in await served.raw(
            f"GET {CLICK} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode()
        )
        kept[1][1].close()


async def send_head(port: int, longest: int) -> None:
    """Header after header, as long as they are taken."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /click HTTP/1.1\r\nHost: t\r\n")
    for n in range(longest // 4_000):
        writer.write(b"X-%d: %s\r\n" % (n, b"x" * 4_000))
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_head_without_an_end_is_cut_before_it_fills_the_memory(served: Served) -> None:
    with pytest.raises(ConnectionError):
        await send_head(served.port, 10_000_000)
    assert served.bench.count("roundtrip_requests_total", endpoint="none", ending="headers_too_long") == 1


async def test_a_head_that_is_too_long_is_told_so(served: Served) -> None:
    found = await served.raw(
        b"GET /click HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 900) for n in range(105))
    )
    assert found.startswith(b"HTTP/1.1 431 ")


async def big(_request: web.Request) -> web.Response:
    return web.Response(body=b"x" * 20_000_000)  # more than the kernel takes


async def test_an_answer_that_nobody_takes_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.05)
    async with serving(others=[web.get("/big", big)]) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1_000)
        writer.write(b"GET /big HTTP/1.1\r\nHost: t\r\n\r\n")
        async with asyncio.timeout(60):
            while not served.bench.count("roundtrip_connections_closed_total", why="unread"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while served.bench.count("roundtrip_connections"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()
        del reader


async def small(request: web.BaseRequest) -> web.Response:
    """40 kB to a caller whose kernel takes 10: less than aiohttp would let wait in memory."""
    assert request.transport
    request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    return web.Response(body=b"x" * 40_000)


async def test_so_does_a_small_one_however_little_of_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.05)
    async with serving(others=[web.get("/small", small)]) as served:
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            caller.connect(("127.0.0.1", served.port))
            caller.send(b"GET /small HTTP/1.1\r\nHost: t\r\n\r\n")
            async with asyncio.timeout(60):
                while not served.bench.count("roundtrip_connections_closed_total", why="unread"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)


async def test_a_large_answer_that_is_taken_is_not_cut() -> None:
    async with serving(others=[web.get("/big", big)]) as served:
        found = await served.raw(b"GET /big HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    assert len(found) > 20_000_000
    assert served.bench.count("roundtrip_connections_closed_total", why="unread") == 0


async def test_a_body_that_goes_on_and_on_is_cut_at_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.05)
    head = b"POST /postback HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving() as served:
        assert (await served.raw(head + b"1\r\nx\r\n" * 2_000)).startswith(b"HTTP/1.1 413 ")


async def test_the_stop_does_not_wait_for_a_body_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "FINISH_S", 0.05)
    monkeypatch.setattr(handlers, "BODY_S", 600.0)
    async with serving() as served:
        stalled = asyncio.ensure_future(
            served.raw(b"POST /postback HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n")
        )
        async with asyncio.timeout(60):
            while not served.bench.count("roundtrip_connections"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert await asyncio.wait_for(stalled, 60) == b""
    assert served.bench.facts() == []


@pytest.mark.parametrize(
    ("limits", "wanted", "room", "soft"),
    [
        ((1_024, 20_000), 10_000, 10_000, 10_256),
        ((50_000, 50_000), 10_000, 10_000, None),
        ((1_024, 4_096), 10_000, 3_840, 4_096),
        ((100, 100), 10_000, 50, 100),
    ],
)
def test_connections_leave_files_for_the_journal(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], wanted: int, room: int, soft: int | None
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: asked.append(both[0]))
    assert connections.room(wanted) == room
    assert asked == ([soft] if soft else [])


EACH = 500  # slow callers of each kind; the figures are in docs/operations.md


async def hold(port: int, begun: bytes, dribble: bytes) -> None:
    """A caller that begins a request and dribbles on, or does nothing, until it is cut or cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(begun)
        while dribble:
            writer.write(dribble)
            await asyncio.sleep(0.05)
        await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.stack
async def test_among_idle_dribbling_and_stalled_callers_good_ones_are_answered_rightly(
    client: aiohttp.ClientSession, served: Served
) -> None:
    slow = [
        (b"", b""),
        (b"GET /click?offer_id=7 HTTP/1.1\r\nX-A: ", b"a"),
        (b"POST /postback HTTP/1.1\r\nHost: t\r\nContent-Length: 999\r\n\r\n", b""),
    ]
    connections.room(6 * EACH)  # both ends are files of this process
    async with asyncio.TaskGroup() as group:
        holders = [group.create_task(hold(served.port, *kind)) for kind in slow for _ in range(EACH)]
        async with asyncio.timeout(60):
            while served.bench.count("roundtrip_connections") < 3 * EACH:  # noqa: ASYNC110  a gauge, looked at
                await asyncio.sleep(0.01)
        for n in range(50):
            assert await status(client, f"{CLICK}&aff_sub={n}") == 302
            assert await status(client, f"{POSTBACK}&order_id={n}") == 200
        for holder in holders:
            holder.cancel()
    facts = served.bench.facts()
    assert [fact.aff_sub for fact in facts[::2]] == [fact.conversion_unique_id for fact in facts[1::2]]
    assert len(facts) == 100


async def test_a_caller_that_hangs_up_while_its_event_is_stored_hurts_nobody(
    client: aiohttp.ClientSession, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    bench = served.bench
    bench.hand.hold()
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(f"GET {POSTBACK}&order_id=gone HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    async with asyncio.timeout(60):
        while not bench.counters.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()
        bench.hand.release()
        assert await status(client, f"{POSTBACK}&order_id=here") == 200
        while bench.counters.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert {fact.conversion_unique_id for fact in bench.facts()} == {"gone", "here"}
    assert caplog.records == []
