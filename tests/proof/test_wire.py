"""The client sends each request once, and knows whether one without an answer may have been accepted."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proof.wire import Answer, Lost, Wire
from service.errors import Unreachable, Usage

GOOD = b"HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 2\r\n\r\nok"


class FakeServer:
    """Answers the next requests with these bytes, then GOOD; an empty answer closes the connection."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.closes_after = False
        self.asked: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head)
                answer = self.answers.pop(0) if self.answers else GOOD
                writer.write(answer)
                if not answer or self.closes_after:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    listening = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield fake
    listening.close()


@pytest.fixture
async def wire(server: FakeServer) -> AsyncIterator[Wire]:
    client = Wire(server.url)
    yield client
    await client.close()


async def test_an_answer_has_status_headers_and_body(wire: Wire, server: FakeServer) -> None:
    answer = await wire.get("/click?a=1", {"User-Agent": "x"})
    assert answer == Answer(200, {"x-one": "2", "content-length": "2"}, b"ok")
    assert server.asked[0].startswith(b"GET /click?a=1 HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_a_connection_is_kept_for_the_next_request(wire: Wire, server: FakeServer) -> None:
    for _ in range(5):
        await wire.get("/", {})
    assert server.connections == 1


async def test_a_kept_connection_that_was_closed_meanwhile_loses_nothing(
    wire: Wire, server: FakeServer
) -> None:
    server.closes_after = True
    await wire.get("/", {})
    (kept,) = wire._idle
    await asyncio.wait_for(kept.reader.read(), 60)  # the other side's end has arrived
    assert (await wire.get("/", {})).status == 200
    assert (server.connections, len(server.asked)) == (2, 2)


async def test_a_request_without_an_answer_may_have_been_accepted_and_is_not_sent_again(
    wire: Wire, server: FakeServer
) -> None:
    server.answers = [b""]
    with pytest.raises(Lost) as lost:
        await wire.get("/", {})
    assert lost.value.may_be_accepted
    assert len(server.asked) == 1


async def test_what_nobody_listened_to_was_not_accepted() -> None:
    with pytest.raises(Lost) as lost:
        await Wire("http://127.0.0.1:1").get("/", {})
    assert not lost.value.may_be_accepted


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"220 mail\r\n\r\n"]
)
async def test_what_is_no_collector_is_said_so(wire: Wire, server: FakeServer, answer: bytes) -> None:
    server.answers = [answer]
    with pytest.raises(Unreachable, match="does not answer as a collector does"):
        await wire.get("/", {})


def test_an_address_that_is_none_is_said_so() -> None:
    with pytest.raises(Usage, match="write an address such as"):
        Wire("localhost:8080")
