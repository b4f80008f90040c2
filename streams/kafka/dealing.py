"""Who gets which partition numbers: balanced within one, and what lies on a worker's disk stays there.

1. A number's owner is the member that was dealt it in the latest round that anybody here remembers: a worker
   that was away and claims what others have had since loses against them.
2. Nobody gets more than its share: the numbers divided by the members, and one more for as many as it takes,
   those first that own most.
3. An owner keeps what it owns, up to its share. Beyond that it gives up what costs least: the records that
   the best of those with room would have to load.
4. What is free goes to who has most of it on disk, what saves most first; what nobody has, to who has least.

What a member says of itself travels with each joining and is kept by Kafka for all members together, so it is
small: 143 bytes for 64 partitions, 2.2 KiB for 1 024.
"""

import struct
from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Final

import msgspec

_FORMAT: Final = 1  # another one is a member of another release: it is taken for one that says nothing
_HEAD: Final = struct.Struct(">BIH")  # format, round, how many numbers follow
_LAST_ROUND: Final = (1 << 32) - 1


class Member(msgspec.Struct, frozen=True):
    """What a member says of itself.

    round: the dealing that gave it what it owns; 0 for none.
    owned: what it was dealt then.
    on_disk: by number, how many records its state there has taken in: what it would not have to load.
    """

    round: int = 0
    owned: frozenset[int] = frozenset()
    on_disk: Mapping[int, float] = {}


def deal(numbers: Collection[int], members: Mapping[str, Member]) -> dict[str, set[int]]:
    """By member, the numbers that it gets: each number once, by the rules above."""
    dealt = _owned(numbers, members)
    share = _shares(len(numbers), members, dealt)
    for name in sorted(members):
        _give_up(name, members, dealt, share)
    free = set(numbers).difference(*dealt.values())
    for name, number in _by_saving(free, members):
        if number in free and len(dealt[name]) < share[name]:
            dealt[name].add(number)
            free.discard(number)
    for number in sorted(free):
        name = min((len(dealt[name]), name) for name in members if len(dealt[name]) < share[name])[1]
        dealt[name].add(number)
    return dealt


def _owned(numbers: Iterable[int], members: Mapping[str, Member]) -> dict[str, set[int]]:
    """Rule 1."""
    owned: dict[str, set[int]] = {name: set() for name in sorted(members)}
    for number in numbers:
        claims = [(each.round, name) for name, each in members.items() if number in each.owned]
        if claims:
            owned[max(claims)[1]].add(number)
    return owned


def _shares(count: int, members: Mapping[str, Member], owned: Mapping[str, set[int]]) -> dict[str, int]:
    """Rule 2; of members that own as much, those that have most on disk."""
    least, over = divmod(count, len(members))
    first = sorted(members, key=lambda name: (-len(owned[name]), -sum(members[name].on_disk.values()), name))
    return {name: least + (place < over) for place, name in enumerate(first)}


def _give_up(
    name: str, members: Mapping[str, Member], dealt: dict[str, set[int]], share: Mapping[str, int]
) -> None:
    """Rule 3, for one member."""
    roomy = [members[other].on_disk for other in members if len(dealt[other]) < share[other]]
    mine = members[name].on_disk

    def cost(number: int) -> tuple[float, int]:
        return mine.get(number, 0) - max(theirs.get(number, 0) for theirs in roomy), number

    over = len(dealt[name]) - share[name]
    if over > 0:
        dealt[name].difference_update(sorted(dealt[name], key=cost)[:over])


def _by_saving(free: Iterable[int], members: Mapping[str, Member]) -> list[tuple[str, int]]:
    """Rule 4: member and number, what saves most first."""
    savings = [
        (-members[name].on_disk[number], number, name)
        for number in free
        for name in members
        if members[name].on_disk.get(number)
    ]
    return [(name, number) for _, number, name in sorted(savings)]


def pack(member: Member) -> bytes:
    """What a member says, as bytes. Of the records on disk within one part in 128: enough to compare."""
    count = 1 + max([-1, *member.owned, *member.on_disk])
    owned = sum(1 << number for number in member.owned)
    # The first half of a float of four bytes: sign, exponent, and seven bits of the number.
    on_disk = (struct.pack(">f", member.on_disk.get(number, 0))[:2] for number in range(count))
    return (
        _HEAD.pack(_FORMAT, min(member.round, _LAST_ROUND), count)
        + owned.to_bytes(-(-count // 8), "big")
        + b"".join(on_disk)
    )


def unpack(said: bytes) -> Member:
    """What a member says; nothing, where that is not of our format."""
    if len(said) < _HEAD.size:
        return Member()
    version, at, count = _HEAD.unpack_from(said)
    begin = _HEAD.size + -(-count // 8)
    if version != _FORMAT or len(said) != begin + 2 * count:
        return Member()
    bits = int.from_bytes(said[_HEAD.size : begin], "big")
    halves = (said[begin + 2 * number : begin + 2 * number + 2] for number in range(count))
    on_disk = {number: struct.unpack(">f", half + b"\x00\x00")[0] for number, half in enumerate(halves)}
    return Member(
        round=at,
        owned=frozenset(number for number in range(count) if bits >> number & 1),
        on_disk={number: records for number, records in on_disk.items() if 0 < records < inf},
    )
