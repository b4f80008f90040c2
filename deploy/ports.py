"""TCP ports of this machine: which are free, and who holds one that is not."""

import errno
import socket

import psutil

from service.errors import No

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


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
    return "a process of another user"


def require_free(name: str, port: int) -> None:
    """Nobody listens on the port; otherwise `No` says who."""
    if not is_free(port):
        raise No(f"port {port} ({name}) is in use by {holder(port)}; stop it, or say --port 0 for free ports")
