"""What `roundtrip journal` says of journals, line by line, for people."""

from collections.abc import Iterator, Sequence
from typing import Final

from ingest.inspection.survey import Epoch, State
from ingest.inspection.verification import Damage, Verified
from schemas import times

_SHOWN: Final = 10  # epochs of a journal; each start of a collector makes one
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024


def lines(journals: Sequence[State], verified: Sequence[Verified], now_s: float) -> Iterator[str]:
    """Each journal, with what reading every byte showed where that was asked for; an empty line behind."""
    for index, journal in enumerate(journals):
        yield from _state(journal, now_s)
        if verified:
            yield from _verdict(verified[index])
        yield ""


def _state(journal: State, now_s: float) -> Iterator[str]:
    owner = "in use" if journal.in_use else "not in use"
    held = f"{size(journal.bytes)} in {_many(journal.segments, 'file')}"
    since = f"received since {journal.kept_since}" if journal.kept_since else "no event"
    yield f"journal {journal.journal} ({owner}): {held}, {since}"
    for each in journal.unreadable:
        yield f"  CANNOT BE READ, and may not be counted: {each}"
    if journal.unshipped_events:
        age = now_s - times.to_ms(journal.oldest_unshipped_at) / 1000
        yield (
            f"  not shipped: {_many(journal.unshipped_events, 'event')}, {size(journal.unshipped_bytes)},"
            f" the oldest for {_duration(age)}"
        )
    else:
        yield "  not shipped: nothing" + (" of what can be read" if journal.unreadable else "")
    yield f"  shipped up to: {journal.shipped_to or 'nothing'}"
    if journal.set_aside:
        regions = f"{_many(journal.set_aside, 'region')}, {size(journal.set_aside_bytes)}"
        yield f"  set aside: {regions}, in {journal.directory}/damaged"
    yield from _epochs(journal.epochs)


def _epochs(epochs: Sequence[Epoch]) -> Iterator[str]:
    if len(epochs) > _SHOWN:
        yield f"  ({len(epochs) - _SHOWN} earlier epochs: --format json)"
    for each in epochs[-_SHOWN:]:
        yield (
            f"  epoch {each.epoch}: {each.first} to {each.last}, received {each.first_received_at} to"
            f" {each.last_received_at}, {size(each.bytes)} in {_many(each.segments, 'file')}"
        )


def _verdict(found: Verified) -> Iterator[str]:
    for damage in found.damage:
        yield f"  DAMAGED: {_damage(damage)}"
    damaged = f"{_many(len(found.damage), 'place')} damaged" if found.damage else "no damage"
    yield f"  verified: {_many(found.events, 'event')}, {size(found.bytes)}, {damaged}"
    if found.torn or found.open_bytes:
        yield (
            f"  no damage: {_many(found.torn, 'region')} that a crash cut, {_many(found.open_bytes, 'byte')}"
            " behind the last whole event (being written, or cut)"
        )


def _damage(damage: Damage) -> str:
    what = f"{_many(damage.bytes, 'byte')}: {damage.why}" if damage.bytes else damage.why
    lost = f"; lost: {damage.first} to {damage.last} of epoch {damage.epoch}" if damage.epoch else ""
    return f"{damage.file} at {damage.offset}, {what}{lost}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def size(count: float) -> str:
    """Bytes for people: `71 B`, `601.2 MiB`."""
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count} B"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"


def _duration(seconds: float) -> str:
    """`12 s`, `5 min`, `30 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
