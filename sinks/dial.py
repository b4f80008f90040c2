"""Dial: one call of a partner's URL, within limits, and only to addresses that may be called."""

import asyncio
import contextvars
import functools
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sinks.addresses import why_forbidden

CONNECT_S = 3.0
TOTAL_S = 8.0
MAX_ANSWER_BYTES = 4096
MAX_URL = 8192
LOOKUPS = 32  # threads for name look-ups: a name server that hangs holds one for each of its names
_TOLD = 200  # characters of an answer that are kept where it was no yes


class Answer(NamedTuple):
    """How a call ended.

    status: HTTP's, 0 where there was no answer; detail: what is wrong, empty after a 2xx.
    forbidden: our policy does not let us call there; nothing was sent.
    """

    status: int = 0
    detail: str = ""
    forbidden: bool = False
    took_ms: int = 0

    @property
    def delivered(self) -> bool:
        """The partner said yes."""
        return 200 <= self.status < 300  # noqa: PLR2004  HTTP's own numbers


class _Forbidden(OSError):
    """The address that was to be dialled may not be called."""


# What was forbidden during the call at hand: aiohttp hides which error of several addresses was which.
_forbidden: contextvars.ContextVar[list[str]] = contextvars.ContextVar("forbidden")


def _checked_socket(address_info: Any) -> socket.socket:
    """A socket for exactly this address, made only if it may be called.

    The last place before the connection, behind every look-up, and the only one that literal addresses pass.
    """
    family, kind, protocol, _, address = address_info
    if why := why_forbidden(str(address[0])):
        _forbidden.get().append(why)
        raise _Forbidden(why)
    return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """The system's look-up in threads of its own: a slow name server holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        ask = functools.partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Dialler:
    """Calls URLs: no redirects, no cookies, no proxies of the environment, at most 4 KiB of an answer."""

    def __init__(self, *, allow_private: bool = False) -> None:
        """Inside a running loop. allow_private: loopback and private addresses too; tests and demos only."""
        self._resolver = _Resolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._resolver,
                socket_factory=None if allow_private else _checked_socket,
                limit=0,  # who calls bounds how many there are at once
                ttl_dns_cache=10,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
            headers={"User-Agent": "Roundtrip/1 (partner postback)", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=MAX_ANSWER_BYTES,
        )

    async def call(self, url: str) -> Answer:
        """GET the URL exactly as it is written, once."""
        if why := _unfit(url):
            return Answer(detail=why, forbidden=True)
        _forbidden.set([])
        began = time.monotonic()
        answer = await self._answer(url)
        return answer._replace(took_ms=round((time.monotonic() - began) * 1000))

    async def _answer(self, url: str) -> Answer:
        try:
            async with self._session.get(URL(url, encoded=True), allow_redirects=False) as response:
                body = await response.content.read(MAX_ANSWER_BYTES)
                return Answer(response.status, _detail(response.status, response.headers, body))
        except aiohttp.ConnectionTimeoutError:
            return Answer(detail=f"no connection within {CONNECT_S:.0f} s")
        except TimeoutError:
            return Answer(detail=f"no answer within {TOTAL_S:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if forbidden := _forbidden.get():
                return Answer(detail=", ".join(dict.fromkeys(forbidden)), forbidden=True)
            return Answer(detail=f"{type(error).__name__}: {error}"[:_TOLD])

    async def close(self) -> None:
        """No connection is open."""
        await self._session.close()
        await self._resolver.close()


def _unfit(url: str) -> str:
    """Why these characters are no URL that may be called; empty where they are."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "the URL has characters that must be percent-encoded"
    if len(url) > MAX_URL:
        return f"the URL is longer than {MAX_URL} characters"
    if not url.lower().startswith(("http://", "https://")):
        return "the URL is neither http nor https"
    return ""


def _detail(status: int, headers: Any, body: bytes) -> str:
    """What a partner's no says, cut and printable; nothing after a yes."""
    if 200 <= status < 300:  # noqa: PLR2004  HTTP's own numbers
        return ""
    if 300 <= status < 400:  # noqa: PLR2004  HTTP's own numbers
        return f"redirects are not followed: {headers.get('Location', '')[:_TOLD]}"
    text = " ".join(body.decode("utf-8", "replace").split())
    return "".join(character for character in text if character.isprintable())[:_TOLD]
