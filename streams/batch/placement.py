"""Where a record belongs: the partition number that Kafka's own partitioner gives its key.

Facts of one transaction meet because they lie under one number. A record that lies elsewhere (another
partitioner, partitions added to a topic) would be decided by another worker, from a part of the facts, under
the same case: so it is never used there.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

from service.kafka import Record

_ID_BYTES: Final = 32  # every ID of ours: hashed together, 0.5 us each; one by one it is ten times that
_WORDS: Final = _ID_BYTES // 4

# murmur2 as Kafka's clients know it (org.apache.kafka.common.utils.Utils.murmur2).
_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_MASK: Final = 0xFFFFFFFF


def sorted_out(records: Sequence[Record], count: int) -> tuple[list[Record], list[Record]]:
    """Facts and cases that lie where their transactions do, of so many partitions, and those that do not."""
    homes = partitions_of([record.key.partition(b":")[0] for record in records], count)
    found: tuple[list[Record], list[Record]] = ([], [])
    for record, home in zip(records, homes, strict=True):
        found[record.partition != home].append(record)
    return found


def partitions_of(keys: Sequence[bytes], count: int) -> list[int]:
    """For each key its partition of so many."""
    ids = [key for key in keys if len(key) == _ID_BYTES]
    together = iter(_of_ids(ids)) if ids else iter(())
    hashes = (next(together) if len(key) == _ID_BYTES else _murmur2(key) for key in keys)
    return [(found & 0x7FFFFFFF) % count for found in hashes]


def _murmur2(key: bytes) -> int:
    hashed = _SEED ^ len(key)
    whole = len(key) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(key[start : start + 4], "little") * _M & _MASK
        hashed = (hashed * _M ^ (word ^ word >> 24) * _M) & _MASK
    if rest := key[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _M & _MASK
    hashed = (hashed ^ hashed >> 13) * _M & _MASK
    return hashed ^ hashed >> 15


def _of_ids(ids: Sequence[bytes]) -> Iterable[int]:
    """The same for many keys of 32 bytes: one long number with 64 bits for each, of which 32 are used.

    A product fits into its own 64 bits; what a shift brings over from a neighbour is masked off.
    """
    words = array("I", b"".join(ids))
    used = int.from_bytes(b"\xff\xff\xff\xff\0\0\0\0" * len(ids), "little")
    hashed = int.from_bytes((_SEED ^ _ID_BYTES).to_bytes(8, "little") * len(ids), "little")
    for number in range(_WORDS):
        word = int.from_bytes(array("Q", words[number::_WORDS]).tobytes(), "little") * _M & used
        hashed = (hashed * _M ^ ((word ^ word >> 24) & used) * _M) & used
    hashed = ((hashed ^ hashed >> 13) & used) * _M & used
    hashed = (hashed ^ hashed >> 15) & used
    return array("Q", hashed.to_bytes(8 * len(ids), "little"))
