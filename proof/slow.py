"""Callers that cost a server patience: connections that say nothing, that dribble, that never end a body.

`python -m proof.slow HOST PORT EACH` holds so many of each kind open until it is ended; one that is cut comes
again at once. A line a second says how many are open, by kind.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

_HEAD: Final = b"GET /click?offer_id=7&aff_id=42 HTTP/1.1\r\nHost: track.example\r\nX-Slow: "
_BODY: Final = (
    b"POST /postback HTTP/1.1\r\nHost: track.example\r\nContent-Length: 1000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\namount="
)
_DRIBBLE_S: Final = 1.0

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _idle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head, a byte a second."""
    at = 0
    while not reader.at_eof() and not writer.transport.is_closing():
        writer.write(_HEAD[at : at + 1] or b"x")
        at += 1
        await asyncio.sleep(_DRIBBLE_S)


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body of which the rest never comes."""
    writer.write(_BODY)
    await reader.read()


KINDS: Final[dict[str, Behave]] = {"idle": _idle, "dribbling": _dribble, "stalled body": _stall}


async def _caller(host: str, port: int, kind: str, open_now: Counter[str]) -> None:
    """For ever."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            open_now[kind] += 1
            try:
                await KINDS[kind](reader, writer)
            finally:
                open_now[kind] -= 1
                writer.close()
        except OSError:
            await asyncio.sleep(_DRIBBLE_S)


async def hold(host: str, port: int, each: int) -> None:
    """For ever: so many of each kind are open."""
    open_now: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        for number in range(each):
            for kind in KINDS:
                group.create_task(_caller(host, port, kind, open_now))
            if number % 50 == 0:
                await asyncio.sleep(0.05)  # not all at once: the kernel's queue of new connections is short
        while True:
            print(", ".join(f"{count} {kind}" for kind, count in open_now.items()), flush=True)
            await asyncio.sleep(1)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(hold(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
