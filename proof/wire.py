"""HTTP/1.1 over kept connections, where no request is ever sent twice unless the caller says so.

aiohttp's client sends a GET again by itself when a kept connection was cut (`retry_persistent_connection`),
and then nobody knows how often it was accepted: the counts of the truth rest on exactly that. This one also
costs a third of its CPU (16 against 48 µs a request), on a machine shared with what the simulator tries.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import msgspec

from service.errors import Unreachable, Usage

MAX_HEAD_BYTES = 64 * 1024
TIMEOUT_S = 15.0


class Lost(Exception):
    """No answer came. may_be_accepted: the request had been sent, so the other side may have acted on it."""

    def __init__(self, why: str, *, may_be_accepted: bool) -> None:
        super().__init__(why)
        self.may_be_accepted = may_be_accepted


class Answer(msgspec.Struct, frozen=True):
    """An answer; header names in lower case, of repeated ones the last."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Connection(msgspec.Struct):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Wire:
    """Kept connections to one server, as many as requests are under way at once. For one event loop.

    timeout_s: how long a connection may take, and how long an answer.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Usage(f"{url}: write an address such as http://127.0.0.1:8080")
        self._host, self._name = parts.hostname, parts.netloc
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []

    async def get(self, target: str, headers: dict[str, str]) -> Answer:
        """The answer to a GET; Lost where there is none, Unreachable where it is none of a collector."""
        return await self._ask("GET", target, headers, b"")

    async def post(self, target: str, headers: dict[str, str], form: bytes) -> Answer:
        """The answer to a POST of a form; Lost where there is none."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
        return await self._ask("POST", target, {**headers, **kind}, form)

    async def close(self) -> None:
        """No connection is open any more."""
        while self._idle:
            self._idle.pop().writer.close()

    async def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = await self._connected()
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._name}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            async with asyncio.timeout(self._timeout_s):
                connection.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                answer = await _answer(connection.reader)
        except (OSError, EOFError, TimeoutError) as error:
            connection.writer.close()
            raise Lost(f"{type(error).__name__}: {error}", may_be_accepted=True) from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            connection.writer.close()
            raise Unreachable(f"{self._name} does not answer as a collector does: {error}") from error
        except asyncio.CancelledError:
            connection.writer.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            connection.writer.close()
        else:
            self._idle.append(connection)
        return answer

    async def _connected(self) -> _Connection:
        """A connection that the other side has not closed."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._ssl, limit=MAX_HEAD_BYTES
                )
        except (OSError, TimeoutError) as error:
            raise Lost(f"{type(error).__name__}: {error}", may_be_accepted=False) from error
        return _Connection(reader, writer)


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise ValueError("the answer's length is not stated")
    length = int(headers.get("content-length", "0"))
    return Answer(int(first.split(" ", 2)[1]), headers, await reader.readexactly(length) if length else b"")
