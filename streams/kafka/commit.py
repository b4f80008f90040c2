"""The commit point: what Kafka is told of our progress. With the transport, the reason why Faust can be used.

A committed offset says one thing: everything before it has taken effect. Stock Faust works it out from
acknowledgements, which come also for what failed or was never handled, and loses records in several ways
(tests/streams/losses shows each of them, and that it does not happen here). So here:

1. An offset is committed after `handled` was called with it, never because of an acknowledgement.
2. It never goes back within an assignment, and each partition has its own: none waits for another.
3. A commit that failed was none: the next one carries it.
4. What was taken away is not committed: it is another worker's to say.
5. A new assignment begins with nothing known: where reading starts is committed, though nothing new may come.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from service.outage import Outage

COMMIT_S: Final = 5.0  # then it counts as failed, and the next one carries it
NOTE_END: Final = "\0"  # librdkafka hands a note on without its length, and who gets it reads to a zero


class CommitPoint:
    """How far each partition was handled, and which of that Kafka knows. Belongs to one event loop.

    behind_since: since when something is handled and not committed, by the clock; 0 when nothing is.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._handled: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}
        self.behind_since = 0.0

    @property
    def handled(self) -> Mapping[TP, int]:
        """Of each partition, the offset before which everything has taken effect."""
        return self._handled

    def begin(self, offsets: Mapping[TP, int]) -> None:
        """A new assignment, read from these offsets: what lies before took effect earlier."""
        self._handled = dict(offsets)
        self._committed = {}
        self._timed()

    def handle(self, offsets: Mapping[TP, int]) -> None:
        """Everything before these offsets has taken effect."""
        for tp, offset in offsets.items():
            self._handled[tp] = max(offset, self._handled.get(tp, 0))
        self._timed()

    def drop(self, partitions: Iterable[TP]) -> None:
        """These partitions may be another worker's."""
        for tp in partitions:
            self._handled.pop(tp, None)
            self._committed.pop(tp, None)
        self._timed()

    def due(self, assigned: Iterable[TP]) -> dict[TP, int]:
        """What a commit must say of these partitions."""
        mine = set(assigned)
        return {tp: offset for tp, offset in self._uncommitted() if tp in mine}

    def committed(self, offsets: Mapping[TP, int]) -> None:
        """Kafka has these."""
        self._committed.update(offsets)
        self.behind_since = 0.0  # it moved
        self._timed()

    def _uncommitted(self) -> list[tuple[TP, int]]:
        return [(tp, offset) for tp, offset in self._handled.items() if offset > self._committed.get(tp, -1)]

    def _timed(self) -> None:
        behind = bool(self._uncommitted())
        self.behind_since = (self.behind_since or self._clock()) if behind else 0.0


class CommittingConsumer(driver.Consumer):  # type: ignore[misc]  # untyped
    """Faust's consumer; its commits say what was handled, and what Faust acknowledges moves nothing.

    Of Faust stays when it commits: every second, before a revocation is over, at the stop; one at a time.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.point = CommitPoint()

    def handled(self, offsets: Mapping[TP, int]) -> None:
        """Everything before these offsets has taken effect: the next commit may say so."""
        self.point.handle(offsets)

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:  # noqa: ARG002, FBT001  Faust's
        due = self.point.due(self.assignment())
        if not due or not await self._commit(due):
            return False
        self.point.committed(due)
        return True

    def ack(self, message: Any) -> bool:
        """Faust is done with a message, well or not: that lets it stop and rebalance, and commits nothing."""
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: Faust takes what it did not read for handled."""


async def told(kafka: Outage, consumer: Any, offsets: Mapping[TP, int], note: str = "") -> bool:
    """Whether Kafka has the offsets now. No answer ends the process: the next commit carries them."""
    try:
        async with asyncio.timeout(COMMIT_S):
            await consumer.commit(
                {
                    TopicPartition(tp.topic, tp.partition): (offset, note + NOTE_END) if note else offset
                    for tp, offset in offsets.items()
                }
            )
    except (CommitFailedError, IllegalStateError):
        return False  # a rebalance was quicker: the next owner reads these records again and knows them
    except (KafkaError, TimeoutError) as error:
        kafka.lost(f"offsets could not be committed: {error!r}")
        return False
    kafka.found()
    return True
