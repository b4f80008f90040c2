"""Progress: what may be committed while records of a partition end in any order."""

from collections.abc import Container

from service.kafka import Partition


class Progress:
    """The records in work, by partition. An offset is committed only when everything below it has ended."""

    def __init__(self) -> None:
        self._open: dict[Partition, set[int]] = {}
        self._next: dict[Partition, int] = {}
        self._said: dict[Partition, int] = {}

    def began(self, partition: Partition, offset: int) -> None:
        """The record is in work."""
        self._open.setdefault(partition, set()).add(offset)
        self._next[partition] = max(self._next.get(partition, 0), offset + 1)

    def ended(self, partition: Partition, offset: int) -> None:
        """The record has ended for good."""
        self._open.get(partition, set()).discard(offset)

    def committable(self) -> dict[Partition, int]:
        """The next offset of each partition where it has moved since the last answer."""
        now = {each: min(self._open[each], default=offset) for each, offset in self._next.items()}
        moved = {each: offset for each, offset in now.items() if self._said.get(each) != offset}
        self._said.update(moved)
        return moved

    def keep(self, partitions: Container[Partition]) -> None:
        """Of other partitions nothing is known any more: they belong to another, or are read anew."""
        for each in [each for each in self._next if each not in partitions]:
            self._open.pop(each)
            self._next.pop(each)
            self._said.pop(each, None)
