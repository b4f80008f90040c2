"""TCP ports of this machine: which are free, and who holds one that is not."""

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack

import psutil

from service.errors import No

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now."""
    with ExitStack() as held:  # all at once, or the kernel could name one twice
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """A port that nobody listens on now."""
    return free_ports(1)[0]


def is_free(port: int) -> bool:
    """Whether one could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a connection of an earlier run in TIME_WAIT does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            return False
    return True


def holder(port: int) -> str:
    """Who listens on the port, as a person reads it."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1] == port and connection.pid:
            command = " ".join(psutil.Process(connection.pid).cmdline())[:120]
            return f"process {connection.pid} ({command})"
    return "a process that this user may not see"


def require_free(ports: Mapping[str, int]) -> None:
    """Nobody listens on any of them; otherwise `No` says on which, and who."""
    for name, port in ports.items():
        if not is_free(port):
            raise No(
                f"port {port} ({name}) is in use by {holder(port)}; end it, or say --port 0 for free ports"
            )
