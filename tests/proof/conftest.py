"""An edge that is none: checks IDs, answers as the collector does, keeps what it accepted in memory."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from schemas import transaction_id
from schemas.catalog import Catalog
from schemas.catalog_check import check
from schemas.transaction_id import Keyring, Verdict

CATALOG = Path(__file__).parents[2] / "proof" / "catalog.toml"
ID_NAMES = ("transaction_id", "tid", "click_id", "subid")


class FakeEdge:
    """accepted: (path, parameters) as they came.

    unavailable, silent: how many of the next requests get 503, or are accepted and get no answer.
    delay_s: how long a 503 takes.
    unrecorded: how many of the next clicks are redirected, but taken by nobody.
    silent_after: after so many answers one is not given.
    forgetful: it signs with a key by which it does not verify.
    """

    def __init__(self) -> None:
        self.accepted: list[tuple[str, dict[str, str]]] = []
        self.unavailable = 0
        self.unrecorded = 0
        self.delay_s = 0.0
        self.silent = 0
        self.silent_after = -1
        self.forgetful = False
        self.url = ""
        self._keys = Keyring({1: b"k" * 32}, 1)

    async def answer(self, request: web.Request) -> web.Response:
        if self.unavailable:
            self.unavailable -= 1
            await asyncio.sleep(self.delay_s)  # what this edge is about, not a wait for anything
            return web.Response(status=503)
        stated = dict(parse_qsl(request.query_string))
        if request.path in {"/click", "/impression"}:
            answer = self._visit(request, stated)
        else:
            answer = self._statement(request, stated)
        if self.silent or self.silent_after == 0:
            self.silent = max(0, self.silent - 1)
            assert request.transport
            request.transport.close()
        self.silent_after -= 1
        return answer

    def _visit(self, request: web.Request, stated: dict[str, str]) -> web.Response:
        made = transaction_id.make(self._keys, int(time.time() * 1000), secrets.token_bytes(7))
        if self.unrecorded and request.path == "/click":
            self.unrecorded -= 1
            return web.Response(status=302, headers={"Location": f"https://shop.example/?t={made}"})
        self.accepted.append((request.path, stated))
        letter = "c" if request.path == "/click" else "v"
        cookie = {"Set-Cookie": f"rt={letter}{stated['offer_id']}.{made}; Path=/; HttpOnly"}
        if letter == "v":
            return web.Response(body=b"GIF89a", headers=cookie)
        return web.Response(
            status=302, headers={**cookie, "Location": f"https://shop.example/?t=%20{made}&s=1"}
        )

    def _statement(self, request: web.Request, stated: dict[str, str]) -> web.Response:
        text = next((stated[name] for name in ID_NAMES if name in stated), "")
        if not text and request.path == "/pixel":
            text = request.cookies.get("rt", "").partition(".")[2]
        found = transaction_id.check(self._keys, text)
        if found.verdict is not Verdict.GENUINE or self.forgetful:
            assert found.verdict is not Verdict.UNKNOWN_KEY, "the edge would ask a postback to come again"
            return web.Response(status=400)
        self.accepted.append((request.path, {**stated, "transaction_id": found.transaction_id}))
        return web.json_response({"outcome": "accepted", "receipt": f"{'0' * 23}-{len(self.accepted)}"})

    def count(self, path: str) -> int:
        return sum(1 for accepted, _ in self.accepted if accepted == path)


@pytest.fixture
async def edge() -> AsyncIterator[FakeEdge]:
    fake = FakeEdge()
    application = web.Application()
    application.router.add_get("/{path}", fake.answer)
    async with TestServer(application) as server:
        fake.url = str(server.make_url("")).rstrip("/")
        yield fake


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The simulator's own catalog: it has a place for every class."""
    found, complaints = check(CATALOG.read_text("utf-8"))
    assert found is not None, complaints
    assert complaints == []
    return found
