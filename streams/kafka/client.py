"""aiokafka's client as the joiner has it, in a thread of its own: how it is set up, what it read and told.

Each slice of a fetch says from where to where it goes, so that the reader sees a hole that a rebalance left.
Partitions are dealt out by number (streams/kafka/assignor.py), and the fence hears what the group says of us.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import aiokafka
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.helpers import create_ssl_context
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from service import outage
from service.settings import Settings
from streams.kafka import commit
from streams.kafka.assignor import Assignor
from streams.kafka.fetch import Slice
from streams.state import reach

log = logging.getLogger(__name__)
FAUST_LOG: Final = logging.getLogger("faust.joiner")  # else mode names one as our module: its chatter as ours

MAX_RECORDS: Final = 4_000  # of one fetch; a fetch is decided in one go, this is about 0.2 s
MAX_PARTITION_BYTES: Final = 256 << 10  # prefetched for each of 6 topics x 64 partitions: 96 MB at the worst
MAX_FETCH_BYTES: Final = 8 << 20  # of one answer, which is copied twice before its parts are taken out
FETCH_WAIT_MS: Final = 500  # how long a broker may hold back an empty answer
CONNECT_S: Final = 1.0  # between two attempts at a first connection
CLOSE_S: Final = 5.0  # to leave the group; who does not is missed after the session's time


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # untyped
    """aiokafka's consumer in its own thread: its heartbeats do not wait for a batch."""

    logger = FAUST_LOG

    def __post_init__(self) -> None:
        super().__post_init__()
        self._read: dict[TP, int] = {}
        """Where the next slice of each partition begins: where the last one ended, or where it was sent."""

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109  Faust's signature
        max_records: int | None = None,
    ) -> dict[TP, Slice]:
        found = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        slices = {}
        for tp, position in positions(consumer, {*list(active_partitions), *found}).items():
            start = self._read.get(tp, position)
            if position != start or tp in found:
                log_end = consumer.highwater(aiokafka.TopicPartition(*tp)) or 0
                slices[tp] = Slice(tp.topic, tp.partition, start, position, found.get(tp, []), log_end)
                self._read[tp] = position
        return slices

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self._read.update(partitions)
        await super()._seek_wait(consumer, partitions)

    def seek(self, partition: TP, offset: int) -> None:
        """Reading goes on there."""
        self._read[partition] = offset
        super().seek(partition, offset)

    async def on_start(self) -> None:
        """The consumer runs; before it joins, the fence listens to what its group says.

        Where Kafka has gone away it is waited for: aiokafka raises what its first connection lacks.
        """
        kafka = outage.of(f"Kafka at {self.transport.settings.kafka}")
        while not self.should_stop:
            try:
                await super().on_start()
            except KafkaConnectionError:
                kafka.lost("it went away before the consumer could join its group")
                await self._ensure_consumer().stop()
                await asyncio.sleep(CONNECT_S)
            else:
                kafka.found()
                self.transport.fence.listen(self._ensure_consumer()._coordinator)  # noqa: SLF001  it tells nobody else
                return

    def on_crash(self, msg: str, *fmt: Any, **_: Any) -> None:
        """One line; the worker sees the crash and ends the process."""
        log.error("%s", msg.format(*fmt))

    async def on_thread_stop(self) -> None:
        """The group was left, if Kafka is there to hear it; if not, aiokafka's tasks end cancelled."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await super().on_thread_stop()
        except (asyncio.CancelledError, KafkaError, TimeoutError) as error:
            log.warning("Kafka was not told that this worker leaves: %r", error)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        kafka = outage.of(f"Kafka at {self.transport.settings.kafka}")
        return await commit.told(kafka, self._ensure_consumer(), offsets)

    async def say(self, offsets: Mapping[TP, int], note: str) -> None:
        """Kafka has the note beside these offsets, if it is there to take it."""
        kafka = outage.of(f"Kafka at {self.transport.settings.kafka}")
        await commit.told(kafka, self._ensure_consumer(), offsets, note)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        settings = transport.settings
        session_ms = int(settings.kafka_session_s * 1000)
        on_disk = partial(reach.read, settings.dir / "joiner", settings.partitions)
        return aiokafka.AIOKafkaConsumer(
            client_id=f"roundtrip-joiner-{socket.gethostname()}-{os.getpid()}",  # Kafka's own tools show it
            group_id=self.app.conf.id,
            bootstrap_servers=settings.kafka,
            partition_assignment_strategy=[Assignor(on_disk)],
            enable_auto_commit=False,
            auto_offset_reset="none",  # it would go to the log's start and on from there, whatever log it is
            max_poll_records=MAX_RECORDS,
            max_partition_fetch_bytes=MAX_PARTITION_BYTES,
            fetch_max_bytes=MAX_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
            rebalance_timeout_ms=60_000,  # what a batch and the closing of 64 states may take at the worst
            # No limit: a batch waits as long as the broker is away. Beyond it aiokafka leaves the group, and
            # joins again only when somebody reads, and Faust reads only in a group: nothing would ever come.
            max_poll_interval_ms=2**31 - 1,
            # A broker that has just started may know no topic yet: then the group is joined with nothing to
            # read, until the next look.
            metadata_max_age_ms=5_000,
            **_security(settings),
        )


def positions(consumer: Any, partitions: Iterable[TP]) -> dict[TP, int]:
    """Where the next record of each partition will be read."""
    subscription = consumer._subscription.subscription  # noqa: SLF001  aiokafka tells it only one by one, with a wait
    assignment = subscription.assignment if subscription else None
    if assignment is None:
        return {}
    states = {TP(*tp): assignment.state_value(tp) for tp in partitions if tp in assignment.tps}
    return {tp: state.position for tp, state in states.items() if state.has_valid_position}


def _security(settings: Settings) -> dict[str, Any]:
    """Aiokafka's words for what the settings say."""
    given: dict[str, Any] = {"security_protocol": settings.kafka_security.upper()}
    if settings.kafka_security.endswith("ssl"):
        given["ssl_context"] = create_ssl_context(cafile=settings.kafka_ca or None)
    if settings.kafka_security.startswith("sasl"):
        given |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password,
        }
    return given
