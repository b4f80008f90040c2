"""Restore: what a lost or stale state lacks is read from Kafka without deciding anything.

What lies before the group's committed offsets took effect long ago; its results are in `conversions`.
Deciding it again would go through every half-known moment of it once more, and send it. So, of one number:

1. `conversions` is read to its end: what was sent is known, with its version and its credited visits.
2. Each fact topic is read from where the state stands to the committed offset. Nothing is sent.
3. Every batch is written with its positions, so that a restore that was interrupted goes on where it was.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from schemas import decisions
from schemas.decisions import Case, Notice
from schemas.topics import FACTS
from service.errors import Problem
from service.kafka import Record, Stretch
from streams.kafka import logs
from streams.kafka.logs import Logs
from streams.kafka.topics import EMITTED
from streams.state import layout
from streams.state.bundles import Bundle, bundle_of, place_of
from streams.state.changes import Changes
from streams.state.layout import Emitted, Position
from streams.state.partition import Partition

log = logging.getLogger(__name__)

MAX_RECORDS: Final = 5_000  # of one batch: a revocation waits for it, some 0.1 s


class Span(NamedTuple):
    """What is to be read of a topic's partition: from start up to, without, end."""

    topic: str
    start: int
    end: int


class Source(Protocol):
    """What is asked of service.kafka.Ranges."""

    def read(  # noqa: D102  see there
        self, topic: str, partition: int, start: int, end: int, max_records: int
    ) -> Iterator[Stretch]: ...


Write = Callable[[str, Sequence[Record], int, int], None]
"""Records of a topic are in the state, with the offset after them; and how many rows that were."""


def missing(found: Logs, number: int, positions: Mapping[str, Position]) -> tuple[Span, ...]:
    """What of a partition number must be read silently before anything of it is decided, in this order.

    1. Of each fact topic what the group committed beyond the state's position.
    2. Before that `conversions` to its end, also where the state holds no fact: it may be that only the
       committed offsets were lost (Kafka forgets a group a week after its last member).
    """
    behind = [
        Span(topic, begin, effective)
        for topic in FACTS
        if (effective := found.effective((topic, number)))
        > (begin := _begin(found, topic, number, positions))
    ]
    if not behind and any(topic in positions for topic in FACTS):
        return ()
    emitted = Span(EMITTED, _begin(found, EMITTED, number, positions), found.end[EMITTED, number])
    return (emitted, *behind) if emitted.start < emitted.end else tuple(behind)


def _begin(found: Logs, topic: str, number: int, positions: Mapping[str, Position]) -> int:
    return logs.begin(found, (topic, number), positions.get(topic))[0]


def read(
    source: Source, number: int, spans: Sequence[Span], write: Write, cancelled: Callable[[], bool]
) -> None:
    """Everything in the spans is written; or it was cancelled, and what was written stays.

    Problem where another log came to lie behind a name meanwhile.
    """
    for span in spans:
        at = span.start
        for records, end in source.read(span.topic, number, span.start, span.end, MAX_RECORDS):
            if cancelled():
                return
            if end == at:
                continue  # Kafka gave nothing; it is asked again
            _compare(span, number, at, records[0].offset if records else end)
            begun, at = at, min(end, span.end)
            write(span.topic, records, at, at - begun)
        if at < span.end:
            if span.topic != EMITTED:
                raise _other_log(span, number)
            write(span.topic, (), span.end, span.end - at)  # compaction took what lay last


def forget_unsent(partition: Partition, changes: Changes) -> None:
    """What a state that others overtook still had to send is not sent: they have sent since.

    Its cases count as never sent, with the versions that they have, and are decided when the state is whole;
    so are its notices: what is then due is sent, and the notifier knows what was told.
    """
    doubtful: set[Bundle] = set()
    bundles: defaultdict[str, set[Bundle]] = defaultdict(set)
    told: list[Notice] = []
    for record in partition.unsent():
        if record.topic == EMITTED:
            case = decisions.decode(EMITTED, record.value)
            assert isinstance(case, Case)  # noqa: S101  what this topic's decoder makes
            bundle = bundle_of(case.transaction_id, case.number)
            bundles[case.transaction_id].add(bundle)
            place = place_of(case.transaction_id, case.number)
            changes.cases[place, case.goal_id] = Emitted(case.version, b"", record.value)
            changes.waiting.append((layout.DUE, bundle))
        elif record.topic == "notices":
            notice = decisions.decode("notices", record.value)
            assert isinstance(notice, Notice)  # noqa: S101  as above
            told.append(notice)
    for notice in told:
        for bundle in bundles[notice.transaction_id]:
            changes.dropped.append(("notices", layout.notice_key(bundle, notice.notice_id)))
            doubtful.add(bundle)
    for bundle, header in zip(doubtful, partition.headers(list(doubtful)), strict=True):
        changes.headers[bundle] = msgspec.structs.replace(header, told=layout.DOUBTFUL)
    partition.sent()


def _compare(span: Span, number: int, expected: int, came: int) -> None:
    """What came instead of what was expected is told; fact topics have no other holes."""
    if came < expected:
        raise _other_log(span, number)
    if came > expected and span.topic != EMITTED:
        log.error(
            "%s/%d: records %d to %d were deleted before they were restored. %s",
            span.topic,
            number,
            expected,
            min(came, span.end) - 1,
            logs.GIVE_AGAIN,
        )


def _other_log(span: Span, number: int) -> Problem:
    return Problem(
        f"{span.topic}/{number} has become another log while it was read to restore the state;"
        " start the joiner again"
    )
