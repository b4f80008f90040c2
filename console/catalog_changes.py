"""What one catalog changes against another, for the person who applies it. Pure.

What stops or starts, and what is paid, comes first; each in a line that names offer, goal and field.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from schemas.catalog import Catalog

MOST: Final = 40  # lines of a summary; the rest is counted
WIDEST: Final = 60  # characters of a value

KINDS: Final = ("offer", "affiliate", "advertiser", "link")
_RUNNING: Final = frozenset({"status"})
_PRICES: Final = frozenset(
    {"payout", "revenue", "currency", "payout_currency", "revenue_currency", "terms", "rates"}
)
_SECRET: Final = frozenset({"token", "keys"})
# In the order in which a person should see them.
RANKS: Final = ("status", "removed", "price", "added", "other")


class Change(msgspec.Struct, frozen=True):
    """One difference: rank says what it is about, of which entry, and in words what."""

    rank: str
    entry: str
    told: str


def changes(old: Catalog, new: Catalog) -> list[Change]:
    """Every difference, the weightiest first."""
    found = [*_differences(old.network, new.network, "network", ())]
    for kind in KINDS:
        name = f"{kind}s"
        found += _entries(getattr(old, name), getattr(new, name), kind)
    return sorted(found, key=lambda change: RANKS.index(change.rank))


def summary(old: Catalog | None, new: Catalog) -> list[str]:
    """What a person reads before it is applied."""
    if old is None:
        counts = [(kind, len(getattr(new, f"{kind}s"))) for kind in KINDS]
        there = ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts if count)
        return [f"the first catalog: {there or 'empty'}"]
    found = changes(old, new)
    if not found:
        return []
    lines = [f"{change.entry}: {change.told}" for change in found[:MOST]]
    more = [f"… and {len(found) - MOST} more"] if len(found) > MOST else []
    return [counted(found), *lines, *more]


def counted(found: Sequence[Change]) -> str:
    """How many of what change: `2 changes: 1 status, 1 price`."""
    ranks = Counter(change.rank for change in found)
    parts = ", ".join(f"{ranks[rank]} {rank}" for rank in RANKS if ranks[rank])
    return f"{len(found)} change{'s' * (len(found) != 1)}{': ' if parts else ''}{parts}"


def _entries(old: Sequence[Any], new: Sequence[Any], kind: str) -> Iterator[Change]:
    """The differences between two lists of entries, each known by its ID, a link by its path."""
    before, after = ({_identity(entry): entry for entry in entries} for entries in (old, new))
    for identity in before.keys() - after.keys():
        yield Change("removed", _called(kind, before[identity]), "removed")
    for identity, entry in after.items():
        earlier = before.get(identity)
        if earlier is None:
            yield Change("added", _called(kind, entry), f"added{_stands(entry)}")
        elif earlier is not entry and earlier != entry:
            yield from _differences(earlier, entry, _called(kind, entry), ())


def _differences(old: Any, new: Any, entry: str, path: tuple[str, ...]) -> Iterator[Change]:
    """The fields that differ, as deep as they have names."""
    if old == new:
        return
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        for field in old.__struct_fields__:
            yield from _differences(getattr(old, field), getattr(new, field), entry, (*path, field))
    elif (before := _parts(old)) is not None and (after := _parts(new)) is not None:
        for part in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(part), after.get(part), entry, (*path, str(part)))
    else:
        yield Change(_rank(path), entry, f"{_where(path)} {_told(path, old, new)}")


def _parts(value: Any) -> dict[int, Any] | None:
    """A list of entries by their IDs, else by their places; None where it is no list of entries."""
    if not isinstance(value, tuple) or not all(isinstance(each, msgspec.Struct) for each in value):
        return None
    return {getattr(each, "id", place): each for place, each in enumerate(value)}


def _rank(path: Sequence[str]) -> str:
    if path[-1] in _RUNNING:
        return "status"
    return "price" if _PRICES & set(path) else "other"


def _where(path: Sequence[str]) -> str:
    """`goal 12 payout.percent`: the singular of a list, and the entry's ID in it."""
    words: list[str] = []
    for part in path:
        if part.isdigit() and words:
            words[-1] = f"{words[-1].rstrip('s')} {part}"
        else:
            words.append(part)
    return " ".join(words)


def _told(path: Sequence[str], old: Any, new: Any) -> str:
    if _SECRET & set(path):
        return "changed"
    if old is None or new is None:
        return "added" if old is None else "removed"
    return f"{_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode().strip('"')
    return (text if len(text) <= WIDEST else text[:WIDEST] + "…") or "(none)"


def _identity(entry: Any) -> Any:
    return entry.id if hasattr(entry, "id") else entry.path


def _called(kind: str, entry: Any) -> str:
    name = getattr(entry, "name", "")
    return f"{kind} {_identity(entry)}{f' ({name})' if name else ''}"


def _stands(entry: Any) -> str:
    status = getattr(entry, "status", "active")
    return "" if status == "active" else f", {status}"
