"""New callers are let in many at a time, on the event loop that collectors run on, after trouble too."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from ingest import listener
from tests.ingest.serving import serving

CALLERS = 200


def on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())  # type: ignore[arg-type]


async def steps(count: Callable[[], float], wanted: int) -> int:
    """In so many turns of the loop it grew to what is wanted; turns in which nobody came are not counted."""
    found, last = 0, count()
    async with asyncio.timeout(60):
        while last < wanted:
            await asyncio.sleep(0)
            found, last = found + (count() > last), count()
    return found


def test_many_callers_are_let_in_at_one_turn_of_the_loop() -> None:
    async def test() -> None:
        async with serving() as served:
            callers = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(CALLERS)]
            assert await steps(lambda: served.bench.count("roundtrip_connections"), CALLERS) < 20
            for caller in callers:
                caller.close()

    on_uvloop(test)


def test_without_a_free_file_callers_wait_and_are_let_in_later(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = socket.socket.accept

    def full(_self: socket.socket) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    async def test() -> None:
        async with serving() as served:
            monkeypatch.setattr(socket.socket, "accept", full)
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(b"GET /click?offer_id=7&aff_id=42 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            for _ in range(20):
                await asyncio.sleep(0)
            monkeypatch.setattr(socket.socket, "accept", accept)
            assert (await asyncio.wait_for(reader.read(), 60)).startswith(b"HTTP/1.1 302 ")
            writer.close()

    monkeypatch.setattr(listener, "PAUSE_S", 0.02)
    on_uvloop(test)


def test_after_the_close_nobody_is_let_in() -> None:
    async def test() -> None:
        async with serving() as served:
            port = served.port
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    on_uvloop(test)
