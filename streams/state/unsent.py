"""What was decided and is not known to be in Kafka: the state's family `outbox`, in order of decision."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from service.kafka import Outgoing
from streams.state import layout

_unpack: Final = msgspec.msgpack.Decoder(Outgoing).decode


class Unsent:
    """The numbered records of one partition's outbox, as they lie on the disk or are about to.

    found: the family's entries.
    """

    def __init__(self, found: Iterable[tuple[bytes, bytes]]) -> None:
        self._records = [(layout.to_number(key), _unpack(value)) for key, value in found]
        self._first = self._records[0][0] if self._records else 0  # on the disk nothing lies before it
        self._next = self._records[-1][0] + 1 if self._records else 0

    @property
    def records(self) -> list[Outgoing]:
        """In order."""
        return [record for _, record in self._records]

    def entries(self, added: Sequence[Outgoing]) -> list[tuple[bytes, bytes]]:
        """What is to be written of further records."""
        return [(layout.number(at), layout.pack(record)) for at, record in enumerate(added, self._next)]

    def written(self, added: Sequence[Outgoing]) -> None:
        """Their entries are on the disk."""
        self._records += enumerate(added, self._next)
        self._next += len(added)

    def sent(self) -> None:
        """All records are in Kafka."""
        self._records = []

    def forget(self) -> tuple[bytes, bytes] | None:
        """The range of entries that were sent and are to leave the disk, if there are any; told once."""
        first, self._first = self._first, self._records[0][0] if self._records else self._next
        return (layout.number(first), layout.number(self._first)) if first < self._first else None
