"""A fetch: all that one poll of Kafka brought, and how it passes through Faust as one message."""

from typing import Any, NamedTuple

import faust
from faust.types import TP, ConsumerMessage


class Slice(NamedTuple):
    """What a fetch brought of one partition: all that its log holds from `start` up to before `end`.

    That may be no record: compaction leaves empty stretches, transactions leave markers.
    log_end: where the log ended when Kafka gave it.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: list[Any]
    log_end: int = 0


class Fetch(NamedTuple):
    """All slices of one poll."""

    slices: tuple[Slice, ...]


class WholeFetch(faust.Schema):  # type: ignore[misc]  # untyped
    """Hands a fetch to the agent as it is: there is nothing to decode in it."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Nothing: a fetch has no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  Faust's signature
        """The fetch."""
        return message.value


def message(tp: TP, last: Slice, fetch: Fetch, generation: int) -> ConsumerMessage:
    """Faust routes a message by one partition's name and offset; here those of the fetch's last slice."""
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.end - 1,
        0.0,
        1,
        None,
        None,
        fetch,
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )
