"""A flood, in a process of its own: many callers at once, each asks again as soon as it is answered.

`python -m proof.flood PLAN` reads a plan (JSON), floods, and writes its part of the ledger. A request costs a
third of what it costs in proof/traffic.py: the collector shares the machine with it.
"""

import asyncio
import contextlib
import random
import re
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import uvloop

from proof.ledger import Kind, Said, Sending

LAST_S: Final = 15.0  # for the answers that are still to come at the end
OFFER: Final = 8  # a goal that repeats: as many orders as there are statements
_GOOD: Final = {"click": b"302", "impression": b"200", "pixel": b"200", "postback": b"200"}
_RECEIPT: Final = re.compile(rb'"receipt":"([^"]*)"')
_LENGTH: Final = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
_AGENT: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is flooded.

    shares: how many of a hundred requests are clicks, impressions, pixels, postbacks.
    transactions: recorded clicks, whose sales are stated. ledger: where every request is written.
    """

    url: str
    tag: str
    callers: int
    seconds: float
    shares: dict[Kind, int]
    transactions: list[str] = []
    ledger: str


class _Flood:
    """What all callers share."""

    def __init__(self, plan: Plan) -> None:
        parts = urlsplit(plan.url)
        self.plan = plan
        self.address = parts.hostname or "", parts.port or 80
        self.sendings: list[Sending] = []
        self.ends_s = 0.0
        self.open = 0
        self.over = asyncio.Event()
        self._kinds = list(plan.shares)
        self._shares = list(plan.shares.values())
        self._random = random.Random(plan.tag)
        self._tail = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: {_AGENT}\r\n\r\n"

    def next(self) -> tuple[Sending, bytes]:
        """A request, and its line in the ledger."""
        kind = self._random.choices(self._kinds, self._shares)[0]
        number = len(self.sendings)
        key = f"{self.plan.tag}-{number}"
        sending = Sending(key=key, kind=kind, offer_id=OFFER, due_s=time.time(), said="unknown")
        self.sendings.append(sending)
        if kind in {"click", "impression"}:
            target = f"/{kind}?offer_id={OFFER}&aff_id=42&aff_sub5={self.plan.tag}&aff_click_id={key}"
        else:
            sending.order = f"{self.plan.tag}-o{number}"
            sending.transaction_id = self.plan.transactions[number % len(self.plan.transactions)]
            target = (
                f"/{kind}?transaction_id={sending.transaction_id}&conversion_unique_id={sending.order}"
                f"&amount=100.00&currency=EUR&adv_unique1={key}&adv_sub5={self.plan.tag}"
            )
        return sending, f"GET {target}{self._tail}".encode()


class _Caller(asyncio.Protocol):
    """One connection, made again when it is cut."""

    def __init__(self, flood: _Flood) -> None:
        self._flood = flood
        self._wire: asyncio.Transport | None = None
        self._sending: Sending | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = transport  # type: ignore[assignment]  # TCP
        self._ask()

    def _ask(self) -> None:
        if time.time() >= self._flood.ends_s:
            self._sending = None
            if self._wire:
                self._wire.close()
            return
        self._sending, request = self._flood.next()
        if self._wire:
            self._wire.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, _, body = self._got.partition(b"\r\n\r\n")
        found = _LENGTH.search(head + b"\r\n")
        if self._sending is None or found is None or len(body) < int(found[1]):
            return
        sending = self._sending
        sending.status = int(head[9:12])
        sending.said = _said(sending.kind, head)
        sending.took_s = time.time() - sending.due_s
        if sending.kind == "postback" and sending.said == "yes" and (receipt := _RECEIPT.search(body)):
            sending.receipt = receipt[1].decode()
        self._got = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  a broken one counts as unknown
        if self._sending is not None:
            self._sending.took_s = time.time() - self._sending.due_s
        self._flood.open -= 1
        if not self._flood.open:
            self._flood.over.set()


def _said(kind: Kind, head: bytes) -> Said:
    yes = head[9:12] == _GOOD[kind] and (kind != "click" or b"\r\nSet-Cookie:" in head)
    return "yes" if yes else "no"


async def flood(plan: Plan) -> list[Sending]:
    """Every request of the flood."""
    loop = asyncio.get_running_loop()
    all_ = _Flood(plan)
    all_.ends_s = time.time() + plan.seconds
    while time.time() < all_.ends_s:
        missing = plan.callers - all_.open
        for _ in range(min(missing, 200)):
            try:
                await loop.create_connection(lambda: _Caller(all_), *all_.address)
            except OSError:
                break
            all_.open += 1
        await asyncio.sleep(0.02)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_S if all_.open else 0):
            all_.over.clear()
            await all_.over.wait()
    return all_.sendings


def main() -> None:
    """Floods, and writes the ledger."""
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sendings = runner.run(flood(plan))
    Path(plan.ledger).write_bytes(msgspec.json.Encoder().encode_lines(sendings))


if __name__ == "__main__":
    main()
