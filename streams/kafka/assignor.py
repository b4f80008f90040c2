"""Our assignor in aiokafka: deals partition numbers, all topics of one together (who gets which: dealing.py).

Stock ones deal topic by topic: by range a worker that joins or leaves moves nearly everything, and each move
costs the loading of a state; sticky ones keep partitions where they are, but not those of a number together.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from streams.kafka.dealing import Member, deal, pack, unpack

log = logging.getLogger(__name__)

_VERSION: Final = 0  # of Kafka's own part of what members and leader say


class Assignor(AbstractPartitionAssignor):  # type: ignore[misc]  # untyped
    """One consumer's: it remembers what this worker was dealt last.

    on_disk: asked at each joining; by number, how many records the state there has taken in.
    """

    name = "roundtrip"

    def __init__(self, on_disk: Callable[[], Mapping[int, float]]) -> None:
        self._on_disk = on_disk
        self._last = Member()

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this worker says as it joins: its topics, what it owned, what it has on disk."""
        said = Member(self._last.round, self._last.owned, self._on_disk())
        return ConsumerProtocolMemberMetadata(_VERSION, sorted(topics), pack(said))

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """What each member gets; asked of one of them, the leader."""
        said = {name: unpack(each.user_data or b"") for name, each in members.items()}
        topics = set().union(*(each.subscription for each in members.values()))
        known = {topic: _partitions(cluster, topic) for topic in topics}
        dealt = deal(set().union(*known.values()), said)
        latest = pack(Member(1 + max(each.round for each in said.values())))
        return {
            name: ConsumerProtocolMemberAssignment(
                _VERSION,
                [(topic, sorted(known[topic] & dealt[name])) for topic in sorted(each.subscription)],
                latest,
            )
            for name, each in members.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """What this worker was dealt is known, and in which round."""
        owned = frozenset(number for _, numbers in assignment.assignment for number in numbers)
        self._last = Member(unpack(assignment.user_data or b"").round, owned)


def _partitions(cluster: Any, topic: str) -> set[int]:
    found = cluster.partitions_for_topic(topic)
    if found is None:  # a broker that has just started; its next metadata deals again
        log.warning("nothing is known of topic %s yet; it is dealt out later", topic)
    return set(found or ())
