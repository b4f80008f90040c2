"""Recall: the topic `deliveries` read back into the notifier's memory."""

import logging
from collections.abc import Iterable, Mapping

import msgspec

from schemas.decisions import Delivery
from schemas.wire import decoded
from service.kafka import Admin, read_range
from service.settings import Settings
from sinks.memory import Memory, Place

log = logging.getLogger(__name__)

TOPIC = "deliveries"
READ_BACK_S = 60.0  # without a record


class Recall:
    """What other notifiers, or this one before it died, told about a partition.

    Notices and deliveries have one key and one partition count: what was told about the notices of a
    partition lies in the partition of the same number. Everything blocks.
    """

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings = settings
        self._memory = memory

    def catch_up(self, partitions: Iterable[int]) -> int:
        """Everything in these partitions of `deliveries` is remembered; how many records were read for it."""
        with Admin(self._settings) as admin:
            identity = admin.log_identity(TOPIC)
            starts, ends = admin.start_offsets([TOPIC]), admin.end_offsets([TOPIC])
        count = 0
        for number in partitions:
            start, end = starts[TOPIC, number], ends[TOPIC, number]
            known = self._memory.place(number)
            if known.identity == identity and known.offset <= end:
                start = max(start, known.offset)
            count += self._read(number, start, end)
            self._memory.remember(number, Place(identity, end))
        return count

    def _read(self, number: int, start: int, end: int) -> int:
        if start >= end:
            return 0
        count = 0
        for record in read_range(self._settings, TOPIC, number, start, end, READ_BACK_S):
            count += 1
            if delivery := _decoded(record.value):
                self._memory.note(delivery)
        return count

    def ends(self) -> Mapping[int, Place]:
        """Each partition's end as it is now."""
        with Admin(self._settings) as admin:
            identity = admin.log_identity(TOPIC)
            return {number: Place(identity, end) for (_, number), end in admin.end_offsets([TOPIC]).items()}

    def remember(self, places: Mapping[int, Place], partitions: Iterable[int]) -> None:
        """What these partitions held up to the places is in the memory: it need not be read back."""
        for number in partitions:
            self._memory.remember(number, places[number])


_DECODER = msgspec.json.Decoder(Delivery)


def _decoded(value: bytes) -> Delivery | None:
    """The delivery; none where the bytes are none (the writer sets those aside)."""
    try:
        return decoded(_DECODER, value)
    except (msgspec.MsgspecError, ValueError):
        return None
