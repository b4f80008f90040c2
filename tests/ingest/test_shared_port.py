"""The shared port: collectors of one directory share it; any other program on it is an error."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.ports import free_port
from ingest.shared_port import SharedPort
from service.errors import Problem

HOST = "127.0.0.1"


def listener(port: int) -> socket.socket:
    """As aiohttp's server makes it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((HOST, port))
    made.listen()
    return made


@pytest.fixture
def first(tmp_path: Path) -> Iterator[int]:
    """The port on which one collector of the directory listens."""
    port = free_port()
    right = SharedPort(tmp_path, HOST, port)
    with listener(port):
        yield port
    asyncio.run(right.release())


def test_another_collector_of_the_directory_listens_beside_it(first: int, tmp_path: Path) -> None:
    SharedPort(tmp_path, HOST, first)
    listener(first).close()


def test_a_collector_of_another_directory_is_refused_although_the_kernel_would_allow_it(
    first: int, tmp_path: Path
) -> None:
    with pytest.raises(Problem, match=f"port {first} on {HOST} is in use"):
        SharedPort(tmp_path / "other", HOST, first)


def test_a_program_that_shares_with_nobody_is_named_too(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as foreign, pytest.raises(Problem, match="is in use"):
        SharedPort(tmp_path, HOST, foreign.getsockname()[1])


def test_the_port_is_free_again_when_the_last_has_gone(tmp_path: Path) -> None:
    port = free_port()
    rights = [SharedPort(tmp_path, HOST, port) for _ in range(2)]
    for right in rights:
        asyncio.run(right.release())
    with socket.create_server((HOST, port)), pytest.raises(Problem, match="is in use"):
        SharedPort(tmp_path, HOST, port)


def test_a_directory_that_cannot_be_written_to_shares_with_nobody(first: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="is in use"):
        SharedPort(tmp_path / "file", HOST, first)
    SharedPort(tmp_path / "file", HOST, free_port())
