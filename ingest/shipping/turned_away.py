"""Turned away: what Kafka does not take comes alone, and if that does not help, lies in the quarantine."""

import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from ingest.new_log import receipt_of
from schemas import decisions, times
from schemas.decisions import Quarantine
from schemas.reasons import Reason
from service.errors import Unavailable
from service.kafka import Outcome, Outgoing, Partition, Record, Turned

log = logging.getLogger(__name__)

READER: Final = "collector"
_MAX_DETAIL: Final = 500


class Settled(NamedTuple):
    """Where the records that were taken alone lie, and how many went to the quarantine."""

    last: dict[Partition, Record]
    refused: int


async def settle(
    turned: Sequence[Turned], ship: Callable[[Outgoing], Awaitable[Outcome]], now_ms: int
) -> Settled:
    """Each record lies in its topic or in the quarantine; Unavailable where the quarantine takes one of them.

    ship: sends one record by itself. A batch is refused for one of its records, so each gets a second chance.
    """
    settled = Settled({}, 0)
    for each in turned:
        alone = await ship(each.record)
        settled.last.update(alone.last)
        for refused in alone.turned:
            await _keep(refused, ship, now_ms)
            settled = settled._replace(refused=settled.refused + 1)
    return settled


async def _keep(refused: Turned, ship: Callable[[Outgoing], Awaitable[Outcome]], now_ms: int) -> None:
    record = quarantined(refused, now_ms)
    if again := (await ship(record)).turned:
        raise Unavailable(f"the quarantine does not take what Kafka refused: {again[0].why}")
    log.error("in the quarantine: %s: %s", receipt_of(refused.record.value) or "a record", refused.why)


def quarantined(turned: Turned, now_ms: int) -> Outgoing:
    """What is to be sent: the whole record and why Kafka refused it. It has no place in its topic."""
    topic, key, value, _ = turned.record
    identity = receipt_of(value) or hashlib.sha256(value).hexdigest()
    kept = Quarantine(
        identity=identity,
        receipt_id=receipt_of(value),
        reader=READER,
        reason=Reason.OVER_LIMIT if turned.too_large else Reason.MALFORMED_EVENT,
        detail=f"it never lay in its topic: {turned.why}"[:_MAX_DETAIL],
        topic=topic,
        partition=0,
        offset=0,
        key=key.decode("utf-8", "replace")[:_MAX_DETAIL],
        value=base64.b64encode(value).decode(),
        at=times.from_ms(now_ms),
    )
    return Outgoing("quarantine", identity.encode(), decisions.encode(kept))
