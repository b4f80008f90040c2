"""What comes to a partition is decided and stored: all that one batch changes, in one synced write.

Everything here runs in a thread of its own, so that the health page answers meanwhile.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.reasons import Reason
from service.kafka import Record
from streams.batch import placement, unverified
from streams.batch.attempt import Decide
from streams.batch.batch import Batch
from streams.batch.unverified import Keys
from streams.kafka import logs
from streams.kafka.topics import EMITTED
from streams.metrics import Metrics
from streams.restoring import restore
from streams.state import layout
from streams.state.layout import Position
from streams.state.partition import Partition

log = logging.getLogger(__name__)

RESUME_AT_ONCE: Final = 1_000  # transactions whose catalog came, in one write
LACKING: Final = layout.number(layout.LACKING)  # what waits with this key lacks facts
ASIDE: Final = layout.number(layout.MENDED)  # what waits with this key or a later one was set aside
_END: Final = b"\xff" * 9
_ASTRAY: Final = "it lies in another partition than its key's: see ROUNDTRIP_PARTITIONS"


class Storing:
    """Batches of any partition of this process."""

    def __init__(self, decide: Decide, partitions: int, metrics: Metrics, keys: Keys) -> None:
        self._decide = decide
        self._partitions = partitions
        self._metrics = metrics
        self._keys = keys

    def absorb(
        self, partition: Partition, records: Sequence[Record], positions: Mapping[str, Position]
    ) -> None:
        """The records have taken effect in the state; what is to be sent of them is in its outbox."""
        batch = Batch(partition, self._decide, _now_ms(), partition.expired.time_ms)
        astray, forged = self._take(batch, records)
        batch.refuse(astray, Reason.MALFORMED_EVENT, _ASTRAY)
        batch.refuse(forged, Reason.INVALID_TRANSACTION_ID, "the transaction ID is forged")
        batch.move(positions)
        self._store(partition, batch)
        if batch.tally.foreign:
            self.resume(partition)  # what others sent is taken back

    def keep(
        self, partition: Partition, records: Sequence[Record], positions: Mapping[str, Position]
    ) -> None:
        """For a restore: the state knows the records; nothing is decided, nor sent what it still had to.

        Not synced: what a power cut undoes is read again, from the position that it leaves.
        """
        batch = Batch(partition, self._decide, _now_ms(), silent=True)
        restore.forget_unsent(partition, batch.changes)
        self._take(batch, records)
        batch.move(positions)
        partition.apply(batch.changes, synced=False)

    def resume(self, partition: Partition) -> None:
        """Everything that waits was tried once; but for what only further facts can help."""
        for after, until in ((b"\x00", LACKING), (ASIDE, _END)):
            self._resume_between(partition, after, until)

    def _resume_between(self, partition: Partition, after: bytes, until: bytes) -> None:
        while waiting := partition.waiting(after, RESUME_AT_ONCE, until):
            batch = Batch(partition, self._decide, _now_ms())
            batch.resume([bundle for _, bundle in waiting])
            self._store(partition, batch)
            after = waiting[-1][0] + b"\x00"

    def _take(self, batch: Batch, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
        """The batch holds what they give; those that lie astray, and forged ones, come back."""
        placed, astray = placement.sorted_out(records, self._partitions)
        placed, forged = unverified.sorted_out(placed, self._keys)
        batch.take_cases([each for each in placed if each.topic == EMITTED])
        batch.absorb([each for each in placed if each.topic != EMITTED])
        return astray, forged

    def _store(self, partition: Partition, batch: Batch) -> None:
        partition.apply(batch.changes)
        if batch.alarms:
            more = f" (and {len(batch.alarms) - 1} more alike)" if len(batch.alarms) > 1 else ""
            log.error("%s%s; set aside, its new facts are in quarantine", batch.alarms[0], more)
        if batch.lacking:
            log.warning(
                "%d transactions stay as they were sent: the state lacks statements that they were decided by"
                " (%s). %s",
                batch.tally.lacking,
                batch.lacking[0],
                logs.GIVE_AGAIN,
            )
        self._metrics.count(batch.tally)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
