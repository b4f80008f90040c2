"""The edge behind real sockets, in the test's own loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from ingest.connections import Bounds
from ingest.handlers import Front
from ingest.pulse import Pulse
from tests.ingest.fakes import Bench

BOUNDS = Bounds(connections=10_000, head_bytes=24_576, body_bytes=1_000)


class Served:
    """A bench that listens; its pulse stands still until a test says what the load is."""

    def __init__(self, bench: Bench, pulse: Pulse, port: int) -> None:
        self.bench = bench
        self.pulse = pulse
        self.port = port

    async def raw(self, request: bytes, *, deadline_s: float = 60.0) -> bytes:
        """Everything that comes back until the server closes."""
        async with asyncio.timeout(deadline_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request)
            found = await reader.read()
            writer.close()
            return found


def front_of(bench: Bench, bounds: Bounds = BOUNDS, pulse: Pulse | None = None) -> Front:
    return Front(bench.edge, bench.counters, bounds, pulse or Pulse(lambda: 0.0))


@asynccontextmanager
async def serving(bounds: Bounds = BOUNDS, others: Sequence[web.RouteDef] = ()) -> AsyncIterator[Served]:
    bench, pulse = Bench(), Pulse(lambda: 0.0)
    front = front_of(bench, bounds, pulse)
    yield Served(bench, pulse, await front.serve("127.0.0.1", 0, others))
    await front.close()
