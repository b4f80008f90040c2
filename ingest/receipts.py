"""Receipts: an epoch and a sequence number without gaps, by which an accepted event is known for ever."""

from typing import Final

import msgspec

from schemas.facts import Predecessor

EPOCH_CHARACTERS: Final = 23  # 48 bits of start time and 64 random bits, five bits a character
RANDOM_BYTES: Final = 8
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """receipt_id: `{epoch}-{sequence}`; previous: on an epoch's first receipt, the epoch before it."""

    receipt_id: str
    previous: Predecessor | None = None


class Series:
    """The receipts of one epoch, in order; previous: the epoch before it."""

    def __init__(self, epoch: str, previous: Predecessor | None) -> None:
        self._epoch = epoch
        self._previous = previous
        self.sequence = 1  # of the next receipt

    def next(self) -> Receipt:
        """The next receipt: the same one until it is used."""
        previous = self._previous if self.sequence == 1 else None
        return Receipt(f"{self._epoch}-{self.sequence}", previous)

    def use(self) -> None:
        """The next receipt belongs to an event, and another one comes next."""
        self.sequence += 1


def epoch(start_ms: int, random: bytes) -> str:
    """The 23 characters of an epoch: its start sorts first, its 64 random bits make it unique."""
    number = (start_ms << 64) | int.from_bytes(random, "big")
    return "".join([_ALPHABET[number >> shift & 31] for shift in range(110, -1, -5)])
