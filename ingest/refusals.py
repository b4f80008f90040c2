"""Refusals: what was refused, written down within a bounded rate, without secrets and personal data."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote_plus

from ingest.admission import Sender
from ingest.parameters import CUSTOMER, DROPPED, Pair
from ingest.traces import Traces
from schemas import decisions
from schemas.decisions import Refusal

MAX_QUERY: Final = 2_048
RATE: Final = 20.0  # a second: a scanner must not fill the topic; the counters count all
BURST: Final = 100.0
# An address is personal data too, and in a query it is a third person's.
_ADDRESSES: Final = frozenset({"ip", "conv_ip"})
_STATED: Final = CUSTOMER | _ADDRESSES  # and so left out wherever else they stand
_LEFT_OUT: Final = DROPPED | _ADDRESSES


class Refusals:
    """Sends refusals to Kafka without waiting; what does not get there is counted all the same."""

    def __init__(self, sender: Sender, clock: Callable[[], float]) -> None:
        self._sender = sender
        self._clock = clock
        self._room = BURST
        self._at = clock()

    def write(self, build: Callable[[], Refusal]) -> bool:
        """Whether it was sent: not above the rate."""
        now = self._clock()
        self._room = min(BURST, self._room + (now - self._at) * RATE)
        self._at = now
        if self._room < 1:
            return False
        self._room -= 1
        refusal = build()
        future = self._sender.send("refusals", refusal.refusal_id.encode(), decisions.encode(refusal))
        future.add_done_callback(_forget)
        return True


def _forget(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()  # a refusal that Kafka could not take is no loss of an accepted event


def shown(pairs: Iterable[Pair]) -> str:
    """The query for a person to read: secrets and personal data left out, whatever parameter holds them."""
    pairs = list(pairs)
    traces = Traces(value for name, value in pairs if name.lower() in _STATED)
    parts = []
    for name, value in pairs:
        left_out = name.lower() in _LEFT_OUT or traces.in_(value)
        label = "***" if traces.in_(name) else quote_plus(name, errors="replace")
        parts.append(f"{label}={'***' if left_out else quote_plus(value, errors='replace')}")
    return "&".join(parts)[:MAX_QUERY]
