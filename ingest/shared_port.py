"""The shared port: several collectors of one directory listen on it, and no other program of this user does.

SO_REUSEPORT alone lets any second program of the same user take a part of the connections in silence: a
collector of another installation, for one.
"""

import fcntl
import socket
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from service.lifetime import listening


class SharedPort:
    """The right of one process to listen on a port, together with others of its directory."""

    def __init__(self, directory: Path, host: str, port: int) -> None:
        """Problem where another than the directory's collectors listens there. Port 0 is always free."""
        self._file: BinaryIO | None = None
        if not port:
            return
        with suppress(OSError):  # a directory that cannot be written to is shared with nobody
            directory.mkdir(parents=True, exist_ok=True)
            self._file = (directory / f"port-{port}.lock").open("ab")
        if self._is_first():
            with listening(host, port):
                _listen_for_a_moment(host, port)
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_SH)

    def _is_first(self) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def release(self) -> None:
        """The process no longer listens."""
        if self._file is not None:
            self._file.close()


def _listen_for_a_moment(host: str, port: int) -> None:
    """OSError where anybody listens on the port, whatever it shares."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a connection of an earlier run in TIME_WAIT does not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
