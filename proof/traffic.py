"""Traffic at a steady rate that keeps the ledger: every request, and what was answered to it.

Open loop: requests are due at their moments whether or not earlier ones were answered, and an answer's time
counts from the moment its request was due. So a collector that stands still for a second shows as a second,
not as a pause between requests.
"""

import asyncio
import random
import threading
import time
from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode

import msgspec
import uvloop

from proof.ledger import Kind, Said, Sending
from proof.people import BROWSERS, SHOP_SERVER
from proof.play import id_of
from proof.wire import Answer, Lost, Wire

CATALOG: Final = Path(__file__).with_name("catalog.toml")
"""The catalog whose offers are used here."""

ONCE, MANY = 7, 8
PAYOUTS: Final = {ONCE: Decimal("0.50"), MANY: Decimal("5.00")}
"""What a conversion pays, by offer: a fixed sum once a click, and 5 % of each order of 100.00."""
_SALE: Final = {ONCE: {"goal_id": "71"}, MANY: {"amount": "100.00", "currency": "EUR"}}

_AFFILIATES: Final = (42, 43, 44)
_KINDS: Final[tuple[Kind, ...]] = ("click", "impression", "pixel", "postback")
# Few clicks end in a sale, but statements are what the promises weigh most.
_SHARES: Final = (60, 10, 10, 20)
_GOOD: Final = {"click": 302, "impression": 200, "pixel": 200, "postback": 200}

_RECENT: Final = 500  # clicks whose sale may still come
_TIMEOUT_S: Final = 10.0
_DRAIN_S: Final = 120.0  # for the last statement's yes: longer than any restart
_NAP_S: Final = 0.002
# A kept connection stays with one process of several on a port; now and then another is asked.
_REQUESTS_A_CONNECTION: Final = 200


class _Order(NamedTuple):
    """A sale that somebody states."""

    number: str
    offer_id: int
    transaction_id: str
    kind: Kind


class _Request(NamedTuple):
    """What goes out; order: the sale that it states, None of a click or impression."""

    sending: Sending
    order: _Order | None
    target: str
    headers: dict[str, str]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much is sent.

    rate: requests a second; the seed draws what they are.
    again_s: after how long, least and most, a statement without a yes is sent again.
    """

    rate: float
    connections: int = 32
    seed: int = 1
    again_s: tuple[float, float] = (0.3, 2.0)


class Traffic:
    """Sends for the time of a `with`, in a thread of its own; `finish` brings it to a good end.

    url: where to; may be changed meanwhile. rate: requests a second; the same.
    sendings: every request that came to an end, in the order of their ends.
    """

    def __init__(self, url: str, tag: str, pace: Pace) -> None:
        self.url = url
        self.rate = pace.rate
        self.tag = tag
        self.sendings: list[Sending] = []
        self._pace = pace
        self._random = random.Random(f"{pace.seed}/{tag}")
        self._number = 0
        self._clicks: deque[tuple[str, int]] = deque(maxlen=_RECENT)
        self._again: deque[tuple[float, _Order]] = deque()
        self._open: set[str] = set()
        self._ending = threading.Event()
        self._halted = threading.Event()
        self._thread = threading.Thread(target=self._main, name="traffic", daemon=True)
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is sent any more."""
        self._halted.set()
        self._ending.set()
        self._thread.join()

    def finish(self) -> None:
        """Nothing new is sent; every sale that was stated without a yes was stated again until there was one.

        TimeoutError where that took too long.
        """
        self._ending.set()
        self._thread.join(_DRAIN_S)
        if self._failed:
            raise self._failed
        if self._thread.is_alive():
            raise TimeoutError(f"{len(self._open)} statements had no yes after {_DRAIN_S:g} s")

    # In the thread

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._run())
        except BaseException as error:  # noqa: BLE001  a thread's error would be printed and forgotten
            self._failed = error

    async def _run(self) -> None:
        due: asyncio.Queue[float] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(self._caller(due)) for _ in range(self._pace.connections)]
            await self._clock(due)
            while self._open and not self._halted.is_set():  # every slot now goes to a repetition
                due.put_nowait(time.time())
                await asyncio.sleep(1 / self.rate)
            if not self._halted.is_set():
                await due.join()
            for caller in callers:
                caller.cancel()

    async def _clock(self, due: asyncio.Queue[float]) -> None:
        """Puts each request's moment into the queue when it has come."""
        next_s = time.time()
        while not self._ending.is_set():
            while next_s <= time.time():
                due.put_nowait(next_s)
                next_s += 1 / self.rate
            await asyncio.sleep(min(_NAP_S, 1 / self.rate))

    async def _caller(self, due: asyncio.Queue[float]) -> None:
        """One connection at a time, and a request on it whenever one is due."""
        wire, url, used = Wire(self.url, _TIMEOUT_S), self.url, 0
        try:
            while True:
                due_s = await due.get()
                if used >= _REQUESTS_A_CONNECTION or url != self.url:
                    await wire.close()
                    wire, url, used = Wire(self.url, _TIMEOUT_S), self.url, 0
                used += 1
                if request := self._next():
                    await self._send(wire, due_s, request)
                due.task_done()
        finally:
            await wire.close()

    def _next(self) -> _Request | None:
        """What to send now; None where nothing is left to be said."""
        kind = self._random.choices(_KINDS, _SHARES)[0]
        order = self._due_again()
        if self._ending.is_set() and order is None:
            return None
        if order is None and kind in {"pixel", "postback"} and self._clicks:
            order = self._sale(kind)
        self._number += 1
        key = f"{self.tag}-{self._number}"
        return self._statement(key, order) if order else self._visit(key, kind)

    def _due_again(self) -> _Order | None:
        if self._again and self._again[0][0] <= time.time():
            return self._again.popleft()[1]
        return None

    def _sale(self, kind: Kind) -> _Order:
        """A new order of somebody who clicked; of some, a second statement comes by the other way."""
        at = self._random.randrange(len(self._clicks))
        transaction_id, offer_id = self._clicks[at]
        if offer_id == ONCE:
            del self._clicks[at]
        order = _Order(f"{self.tag}-o{self._number}", offer_id, transaction_id, kind)
        if self._random.random() < 0.2:  # noqa: PLR2004  a fifth of the shops report by pixel and postback
            other: Kind = "postback" if kind == "pixel" else "pixel"
            self._repeat(order._replace(kind=other))
        self._open.add(f"{order.number}/{kind}")
        return order

    def _repeat(self, order: _Order) -> None:
        self._open.add(f"{order.number}/{order.kind}")
        self._again.append((time.time() + self._random.uniform(*self._pace.again_s), order))

    def _visit(self, key: str, kind: Kind) -> _Request:
        kind = kind if kind == "impression" else "click"
        offer_id = self._random.choice((ONCE, MANY))
        stated = {
            "offer_id": str(offer_id),
            "aff_id": str(self._random.choice(_AFFILIATES)),
            "aff_sub": "autumn",
            "aff_sub5": self.tag,
            "aff_click_id": key,
        }
        headers = {"User-Agent": BROWSERS[self._number % len(BROWSERS)].user_agent}
        sending = Sending(key=key, kind=kind, offer_id=offer_id)
        return _Request(sending, None, f"/{kind}?{urlencode(stated)}", headers)

    def _statement(self, key: str, order: _Order) -> _Request:
        stated = {
            "transaction_id": order.transaction_id,
            "conversion_unique_id": order.number,
            "adv_unique1": key,
            "adv_sub5": self.tag,
            **_SALE[order.offer_id],
        }
        sending = Sending(
            key=key,
            kind=order.kind,
            offer_id=order.offer_id,
            transaction_id=order.transaction_id,
            order=order.number,
        )
        return _Request(sending, order, f"/{order.kind}?{urlencode(stated)}", {"User-Agent": SHOP_SERVER})

    async def _send(self, wire: Wire, due_s: float, request: _Request) -> None:
        sending, order = request.sending, request.order
        sending.due_s, sending.said = due_s, "unknown"
        try:
            self._heard(sending, await wire.get(request.target, request.headers))
        except Lost as lost:
            sending.said = "unknown" if lost.may_be_accepted else "unsent"
        finally:
            sending.took_s = time.time() - due_s
            self.sendings.append(sending)
            if order:
                self._settle(order, sending.said)

    def _settle(self, order: _Order, said: Said) -> None:
        """The statement had its yes, or is sent again."""
        if said == "yes":
            self._open.discard(f"{order.number}/{order.kind}")
        else:
            self._repeat(order)

    def _heard(self, sending: Sending, answer: Answer) -> None:
        """The sending knows what was answered, and its click may end in a sale."""
        sending.status = answer.status
        sending.said = said(sending.kind, answer)
        if sending.kind == "postback" and sending.said == "yes":
            sending.receipt = msgspec.json.decode(answer.body)["receipt"]
        if sending.kind in {"click", "impression"}:
            sending.transaction_id = id_of(answer)
        if sending.kind == "click" and sending.transaction_id:
            self._clicks.append((sending.transaction_id, sending.offer_id))


def said(kind: Kind, answer: Answer) -> Said:
    """Whether that was a yes.

    A redirect without its cookie is none: the person goes on, and the click is counted as unrecorded.
    """
    yes = answer.status == _GOOD[kind] and (kind != "click" or "set-cookie" in answer.headers)
    return "yes" if yes else "no"
