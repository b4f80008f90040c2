"""The listener: takes the connections that the kernel holds for us, many in one turn of the event loop.

uvloop's own server takes one a turn. Under an overload a turn lasts 100 ms and more, and it let ten callers a
second in: 3 000 of 4 000 waited for 20 s, and since those who were in kept the turns short, nobody was shed.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Final

from ingest.connections import Connections

log = logging.getLogger(__name__)

WAITING: Final = 1_024  # that the kernel keeps while the process is busy
A_TURN: Final = 256  # taking so many lasts 10 ms; the rest comes with the next turn
PAUSE_S: Final = 1.0  # where the system gives no more files


class Listener:
    """Listens on every address of a host; other processes may share the port."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._begun: set[asyncio.Task[object]] = set()

    async def open(self, host: str, port: int) -> int:
        """Connections are served; the port that was taken. OSError where it cannot be."""
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            self._sockets.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(WAITING)
            self._loop.add_reader(listening, self._take, listening)
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """Nobody new is taken; those whom the kernel holds are turned away by it."""
        for listening in self._sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()

    def _take(self, listening: socket.socket) -> None:
        for _ in range(A_TURN):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("no new connections for %g s: %s", PAUSE_S, error)
                self._loop.remove_reader(listening)
                self._loop.call_later(PAUSE_S, self._go_on, listening)
                return
            connection.setblocking(False)
            begun = self._loop.create_task(self._begin(connection))
            self._begun.add(begun)
            begun.add_done_callback(self._begun.discard)

    async def _begin(self, connection: socket.socket) -> None:
        with suppress(OSError):  # it has hung up meanwhile
            await self._loop.connect_accepted_socket(self._connections, connection)

    def _go_on(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._take, listening)
