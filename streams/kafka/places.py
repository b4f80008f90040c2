"""Where each topic of the partitions here is read: from its place at the assignment on, without a hole."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from faust.types import TP

from schemas.topics import FACTS
from service.kafka import Record
from service.settings import Settings
from streams import expiry
from streams.expiry import TopicTime
from streams.kafka import logs
from streams.kafka.fetch import Fetch, Slice
from streams.kafka.logs import Logs
from streams.kafka.ties import Ties
from streams.metrics import Metrics
from streams.state import layout
from streams.state.layout import Position
from streams.state.partition import Partition

log = logging.getLogger(__name__)


class Work:
    """What a fetch brought of one partition number: records in order, and the positions after them."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.positions: dict[str, Position] = {}


class Places:
    """By topic and partition number, what is to be read next and where the log ended, as Kafka said last."""

    def __init__(self, settings: Settings, metrics: Metrics, ties: Ties) -> None:
        self._prefix = settings.topic_prefix
        self._metrics = metrics
        self._ties = ties
        self._next: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self.logs: Logs | None = None  # as they were at the assignment

    def begin(self, tp: TP, state: Partition | None) -> tuple[int, str]:
        """Where to read first, and what a person should know of it.

        state: none where it is restored first: until then from what the group knows already.
        """
        topic, found = self._unprefixed(tp.topic), self._known_logs()
        place = topic, tp.partition
        self._ends[place] = found.end[place]
        if state is None:
            return max(found.start[place], found.effective(place)), ""
        self._next[place], line = logs.begin(found, place, state.positions.get(topic))
        return self._next[place], line

    def forget(self, number: int) -> None:
        """Nothing more is taken of this partition number."""
        for place in [place for place in self._next if place[1] == number]:
            del self._next[place]

    def position(self, topic: str, offset: int, before: Sequence[Record]) -> Position:
        """An offset in the log that lay behind a topic's name at the assignment. before: what lies there."""
        last = before[-1] if before and before[-1].offset == offset - 1 else None
        digest = layout.digest(last.value) if last else b""
        return Position(offset, self._known_logs().identity[topic], last=digest)

    def changed(self, now: Mapping[str, str]) -> list[str]:
        """The topics behind whose name another log lies than at the assignment."""
        known = self.logs.identity if self.logs else now
        return [topic for topic, identity in now.items() if known[topic] != identity]

    async def sorted(self, fetch: Fetch) -> tuple[dict[int, Work], dict[TP, int]]:
        """By partition number what is new in the fetch; and where each of its partitions then stands."""
        work: dict[int, Work] = {}
        ends: dict[TP, int] = {}
        for part in fetch.slices:
            topic = self._unprefixed(part.topic)
            expected = self._next.get((topic, part.partition))
            if expected is None:
                continue  # revoked in the meantime
            if part.start > expected and not await self._were_deleted(topic, part, expected):
                continue
            self._ends[topic, part.partition] = part.log_end or self._ends[topic, part.partition]
            end = max(part.end, expected)
            into = work.setdefault(part.partition, Work())
            new = [_record(topic, each) for each in part.records if each.offset >= expected]
            into.records += new
            into.positions[topic] = self.position(topic, end, new)
            ends[TP(part.topic, part.partition)] = end
        return work, ends

    def passed(self, number: int, positions: Mapping[str, Position]) -> None:
        """What lies before these is in the state."""
        for topic, position in positions.items():
            self._next[topic, number] = position.offset
            self._metrics.positions.labels(topic, number).set(position.offset)

    def time_ms(self, state: Partition) -> int:
        """A partition's time, by which facts expire: from how far its topics are read."""
        topics = []
        for topic in FACTS:
            known, place = state.positions.get(topic), (topic, state.number)
            at_end = self._next.get(place, -1) >= self._ends.get(place, 0)
            topics.append(TopicTime(known.clock_ms if known else 0, at_end))
        return expiry.time_of(topics)

    async def _were_deleted(self, topic: str, part: Slice, expected: int) -> bool:
        """Whether Kafka itself no longer has what is missing before a slice; if it has, it is read again."""
        found = await self._ties.logs()
        name, first = f"{topic}/{part.partition}", found.start[topic, part.partition]
        if first > expected:
            log.error("%s. %s", logs.deleted(name, expected, first), logs.GIVE_AGAIN)
            return part.start <= first
        log.warning("%s: %d came where %d was due; reading again", name, part.start, expected)
        await self._ties.consumer.rewind({TP(part.topic, part.partition): expected})
        return False

    def _known_logs(self) -> Logs:
        if self.logs is None:
            raise RuntimeError("nothing was assigned yet")
        return self.logs

    def _unprefixed(self, topic: str) -> str:
        return topic.removeprefix(self._prefix)


def _record(topic: str, read: Any) -> Record:
    return Record(topic, read.partition, read.offset, read.timestamp, read.key or b"", read.value or b"")
