"""Waits until a stack has come to rest, and holds what it stored against the ledger."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from proof.ledger import Sending, Stored, differences
from proof.own_stack import OwnStack
from proof.stored import PULSE, logged, stored
from proof.traffic import PAYOUTS
from proof.verify import is_caught_up
from service.clickhouse import ClickHouse
from service.errors import Refused, Unavailable, Unreachable

SHOWN: Final = 40
POLL_S: Final = 0.3


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long is waited, in seconds.

    still_s: without a change, besides no lag, is rest. hope_s: for what is missing then, since journals left
    by others are looked for only now and then. wait_s: in all.
    """

    still_s: float = 8.0
    hope_s: float = 45.0
    wait_s: float = 240.0


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The first differences, and how many there are of each sort; none where every answer held.

    events, epochs: what is stored. waited_s: until everything had come to rest.
    """

    differences: list[str]
    sorts: dict[str, int]
    events: int = 0
    epochs: int = 0
    waited_s: float = 0.0

    def __str__(self) -> str:
        sorts = ", ".join(f"{count} {sort}" for sort, count in self.sorts.items())
        verdict = f"DIFFERENCES: {sorts}" if sorts else "nothing lost or doubled"
        return f"{self.events} stored, of {self.epochs} epochs: {verdict}"


def compare(stack: OwnStack, sendings: Sequence[Sending], patience: Patience = Patience()) -> Compared:  # noqa: B008  frozen
    """What differs once everything has come to rest; waits longer for what is missing."""
    began_s = changed_s = time.monotonic()
    clickhouse = ClickHouse(stack.settings)
    pulse: list[Any] = []
    try:
        while True:
            newest = _pulse(clickhouse)
            if newest != pulse or not newest:
                pulse, changed_s = newest, time.monotonic()
            now_s = time.monotonic()
            is_over = now_s - began_s > patience.wait_s
            if is_over or (now_s - changed_s > patience.still_s and is_caught_up(stack.settings)):
                log = logged(stack.settings)
                found = stored(clickhouse)._replace(previous=log.previous, logged=log.receipts)
                compared = _compared(sendings, found, now_s - began_s)
                if not compared.sorts or is_over or now_s - changed_s > patience.hope_s:
                    return compared
            time.sleep(POLL_S)
    finally:
        clickhouse.close()


def _pulse(clickhouse: ClickHouse) -> list[Any]:
    """Another value whenever something has come in; empty while nobody answers."""
    try:
        return clickhouse.query(PULSE).rows
    except (Unavailable, Unreachable, Refused):
        return []


def _compared(sendings: Sequence[Sending], found: Stored, waited_s: float) -> Compared:
    every = list(differences(sendings, found, PAYOUTS))
    return Compared(
        differences=every[:SHOWN],
        sorts=dict(Counter(line.partition(":")[0] for line in every)),
        events=len(found.rows),
        epochs=len({row.receipt.rpartition("-")[0] for row in found.rows}),
        waited_s=waited_s,
    )
