"""The outbox: what was decided is sent until Kafka has all of it, or a stop cuts it short."""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from typing import Final

from schemas import times
from schemas.reasons import Reason
from service.errors import RecordsRefused, Unavailable
from service.kafka import Outgoing, Record
from streams.batch.quarantine import quarantined
from streams.kafka.ties import Ties
from streams.metrics import Metrics
from streams.state.partition import Partition

log = logging.getLogger(__name__)

LAST_SEND_S: Final = (
    3.0  # a stop waits so long for Kafka; what is not acknowledged by then is sent at the next start
)


class Outbox:
    """What the states of this process hold and Kafka has not acknowledged."""

    def __init__(self, ties: Ties, metrics: Metrics) -> None:
        self._ties = ties
        self._metrics = metrics

    async def send(self, partitions: Collection[Partition]) -> None:
        """Kafka has all that these hold. Unavailable at a stop while Kafka is away; Fenced."""
        while records := [record for partition in partitions for record in partition.unsent()]:
            self._metrics.outbox.set(len(records))
            await self._ties.may_act()
            try:
                await self._send_in_order(records)
            except Unavailable as error:
                if self._ties.stopping.is_set():
                    raise
                log.debug("sending again: %s", error)
                await self._ties.later()
                continue
            for partition in partitions:
                partition.sent()
        self._metrics.outbox.set(0)

    async def _send_in_order(self, records: Sequence[Outgoing]) -> None:
        """Partners are told nothing that Kafka does not have yet: a state may be lost with what is unsent."""
        notices = [record for record in records if record.topic == "notices"]
        others = [record for record in records if record.topic != "notices"]
        for part in filter(None, (others, notices)):
            try:
                await self._send_once(part)
            except RecordsRefused as error:
                await self._send_refused(part, error)

    async def _send_once(self, records: Sequence[Outgoing]) -> None:
        """As the sender does; once a stop has begun, within LAST_SEND_S."""
        sending = asyncio.ensure_future(self._ties.sender.send_all(records))
        stopping = asyncio.ensure_future(self._ties.stopping.wait())
        try:
            await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({sending}, timeout=LAST_SEND_S)
            if not sending.done():
                raise Unavailable("Kafka did not acknowledge before the stop")
            await sending
        finally:
            stopping.cancel()
            sending.cancel()

    async def _send_refused(self, records: Sequence[Outgoing], error: RecordsRefused) -> None:
        """What Kafka will never take is kept in quarantine; where it takes that neither, the process ends."""
        now = times.from_ms(time.time_ns() // 1_000_000)
        log.error("%s; kept in quarantine", error)
        for index, why in error.indexes.items():
            topic, key, value, partition = records[index]
            lost = Record(topic, -1 if partition is None else partition, -1, 0, key, value)
            await self._send_once([quarantined(lost, Reason.OVER_LIMIT, why, now)])
