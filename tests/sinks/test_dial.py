"""What one call of a partner does, and what it never does."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sinks import dial
from sinks.dial import Dialler

YES = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Partner:
    """A bare HTTP server: writes down each request, and answers the bytes that it is given."""

    def __init__(self, answer: bytes = YES) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.hangs = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
                if self.hangs:
                    await asyncio.Event().wait()
                writer.write(self.answer)
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()


@pytest.fixture
async def open_dialler() -> AsyncIterator[Dialler]:
    dialler = Dialler(allow_private=True)
    yield dialler
    await dialler.close()


@pytest.fixture
async def dialler() -> AsyncIterator[Dialler]:
    dialler = Dialler()
    yield dialler
    await dialler.close()


async def test_the_url_arrives_exactly_as_it_is_written(open_dialler: Dialler) -> None:
    partner = Partner()
    async with partner.listening() as url:
        answer = await open_dialler.call(url + "/cb/%2F/a?cid=%7E%2f+%20&sum=1,00&empty=&x=%c3%bc")
    assert (
        partner.requests[0].split("\r\n")[0]
        == "GET /cb/%2F/a?cid=%7E%2f+%20&sum=1,00&empty=&x=%c3%bc HTTP/1.1"
    )
    assert (answer.delivered, answer.status, answer.detail) == (True, 200, "")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "127.1", "2130706433"]
)
async def test_an_inside_address_is_never_dialled_however_it_is_written(dialler: Dialler, host: str) -> None:
    """Guard: the check on the address that is actually dialled; literals never reach a resolver."""
    partner = Partner()
    async with partner.listening() as url:
        answer = await dialler.call(url.replace("127.0.0.1", host) + "/")
    assert partner.requests == []
    assert answer.status == 0
    assert answer.forbidden or "not a canonical IPv4" in answer.detail


async def test_a_public_name_that_leads_inside_is_refused(
    dialler: Dialler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: a name server's answer is not believed (DNS rebinding)."""
    partner = Partner()
    async with partner.listening() as url:
        port = int(url.rpartition(":")[2])

        def answer_inside(*_: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", answer_inside)
        answer = await dialler.call(f"http://tracker.example:{port}/")
    assert (partner.requests, answer.forbidden) == ([], True)
    assert "127.0.0.1 is not a public address" in answer.detail


async def test_redirects_are_not_followed(open_dialler: Dialler) -> None:
    partner = Partner(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/secret\r\nContent-Length: 0\r\n\r\n"
    )
    async with partner.listening() as url:
        answer = await open_dialler.call(url)
    assert (len(partner.requests), answer.status, answer.delivered) == (1, 302, False)
    assert "not followed" in answer.detail


async def test_no_cookie_is_kept_and_no_proxy_of_the_environment_used(
    open_dialler: Dialler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    partner = Partner(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    async with partner.listening() as url:
        await open_dialler.call(url)
        await open_dialler.call(url)
    assert len(partner.requests) == 2
    assert not any("cookie" in request.lower() for request in partner.requests)


async def test_of_an_endless_answer_only_the_beginning_is_read(open_dialler: Dialler) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                await writer.drain()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with asyncio.timeout(60):
        answer = await open_dialler.call(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    server.close()
    assert answer.delivered


async def test_a_host_that_does_not_answer_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "TOTAL_S", 0.2)
    quick = Dialler(allow_private=True)
    partner = Partner()
    partner.hangs = True
    async with asyncio.timeout(60), partner.listening() as url:
        answer = await quick.call(url)
    await quick.close()
    assert (answer.status, answer.delivered, answer.forbidden) == (0, False, False)
    assert answer.took_ms >= 150


@pytest.mark.parametrize("status", [204, 299, 300, 404, 500])
async def test_only_2xx_is_a_yes(open_dialler: Dialler, status: int) -> None:
    partner = Partner(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n\x00no\x1b!" % status)
    if status == 204:
        partner.answer = b"HTTP/1.1 204 X\r\n\r\n"
    async with asyncio.timeout(60), partner.listening() as url:
        answer = await open_dialler.call(url)
    assert answer.delivered == (status in {204, 299})
    assert answer.detail.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a.example/",
        "file:///etc/passwd",
        "http://a.example/\r\nX: y",
        "http://a.example/ ",
        "http://ü.example/",
        "javascript:1",
    ],
)
async def test_what_is_no_clean_web_address_is_refused_unsent(open_dialler: Dialler, url: str) -> None:
    assert (await open_dialler.call(url)).forbidden


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://[::1",
        "http://a.example:99999/",
        "http://" + "a" * 300 + ".example/",
        "http://127.0.0.1:1/",
    ],
)
async def test_a_broken_address_is_an_answer_like_any_other(open_dialler: Dialler, url: str) -> None:
    answer = await open_dialler.call(url)
    assert (answer.delivered, bool(answer.detail)) == (False, True)
