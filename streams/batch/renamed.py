"""What partners were told of a conversion stays told when the conversion gets another ID.

An order number that comes late joins conversions that had none; with a person's identifier a click that comes
late takes over what was another's. The affiliate was told already, under the earlier ID, and is not told the
same again. Where another affiliate has the conversion now, it was told nothing yet; who had it is told
(reversals.py).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from schemas import decisions
from schemas.decisions import ZERO, Conversion, Notice
from streams.batch.reading import Standing
from streams.batch.sending import NOT_SENT, Line, line_of
from streams.rules.notices import notice_id
from streams.state import damage
from streams.state.bundles import Bundle
from streams.state.layout import Emitted


class Renames(NamedTuple):
    """told: by notice_id what counts as told, because it was told under an ID that no conversion has now.

    inherited: the IDs of conversions that the same affiliate has under another ID now.
    """

    told: dict[str, bytes]
    inherited: set[str]


class _Earlier(msgspec.Struct, frozen=True):
    """A conversion as it was last sent, as far as it matters here."""

    conversion_id: str
    affiliate_id: int = 0
    receipts: tuple[str, ...] = ()
    payout: Decimal = ZERO


class _Sent(msgspec.Struct):
    conversions: tuple[_Earlier, ...] = ()


class _Told(msgspec.Struct):
    conversion_id: str


_sent: Final = msgspec.json.Decoder(_Sent).decode
_told: Final = msgspec.json.Decoder(_Told).decode
_notice: Final = msgspec.json.Decoder(Notice).decode


def told(
    now: Mapping[int, Sequence[Conversion]],
    cases: Mapping[tuple[Bundle, int], Emitted],
    notices: Mapping[str, bytes],
    path: Path,
) -> Renames:
    """What was told of conversions that have another ID now.

    now: by goal. cases: as they were sent before; notices: what was told; both of the state at `path`.
    """
    names = {one.conversion_id for case in now.values() for one in case}
    by_id: dict[str, list[bytes]] = {}
    for value in notices.values():
        named = damage.read(path, _told, value).conversion_id
        if named not in names:
            by_id.setdefault(named, []).append(value)
    found, inherited = dict[str, bytes](), set[str]()
    if not by_id:
        return Renames(found, inherited)
    before: dict[int, list[_Earlier]] = {}
    for (_, goal), case in cases.items():
        before.setdefault(goal, []).extend(damage.read(path, _sent, case.record).conversions)
    for goal, earlier in before.items():
        present = now.get(goal, ())
        still = _receipts(present)
        gone = [one for one in earlier if one.conversion_id in by_id and not still.isdisjoint(one.receipts)]
        for one, heir in _heirs(gone, _new(present, earlier)):
            if heir.affiliate_id == one.affiliate_id:
                inherited.add(one.conversion_id)
            for value in by_id[one.conversion_id]:
                if renamed := _renamed(damage.read(path, _notice, value), one, heir):
                    found[renamed.notice_id] = decisions.encode(renamed)
    return Renames(found, inherited)


def come_apart(
    now: Mapping[int, Sequence[Conversion]],
    before: Iterable[Standing],
    notices: Mapping[str, bytes],
) -> set[str]:
    """The notices that counted as told because their conversion had another's ID, which now exists beside it.

    before: conversions as they were last sent; notices: what was told.
    """
    if not any(_is_inherited(line) for line in map(line_of, notices.values())):
        return set()
    had = {one.conversion_id for one in before}
    back = {one.conversion_id for case in now.values() for one in case} - had
    lines = {name: line_of(value) for name, value in notices.items()}
    told = {_what(line) for line in lines.values() if line.conversion_id in back and not _is_inherited(line)}
    return {name for name, line in lines.items() if _is_inherited(line) and _what(line) in told}


def _is_inherited(line: Line) -> bool:
    return line.url == NOT_SENT


def _what(line: Line) -> tuple[str, str, int]:
    """What an heir has of a notice as it was told."""
    return line.subscription, line.status, line.version


def _receipts(conversions: Iterable[Conversion | _Earlier]) -> set[str]:
    return {receipt for one in conversions for receipt in one.receipts}


def _new(now: Iterable[Conversion], before: Sequence[_Earlier]) -> list[Conversion]:
    """Those that are new by their ID, but not by all of their observations."""
    known, had = {one.conversion_id for one in before}, _receipts(before)
    return [one for one in now if one.conversion_id not in known and not had.isdisjoint(one.receipts)]


def _heirs(gone: Iterable[_Earlier], new: list[Conversion]) -> Iterator[tuple[_Earlier, Conversion]]:
    """To each that is gone one of the new: what has most of its observations, first of all what says so.

    Where a known one has them, another observation has moved on from there to the new one.
    """
    for one in sorted(gone, key=lambda each: each.conversion_id):
        claims = [
            (one.conversion_id in each.absorbs, len(set(one.receipts).intersection(each.receipts)))
            for each in new
        ]
        if new:
            yield one, new.pop(claims.index(max(claims)))


def _renamed(told: Notice, earlier: _Earlier, heir: Conversion) -> Notice | None:
    """The same notice of the heir; None where another affiliate has it, or another amount was told since."""
    if heir.affiliate_id != told.affiliate_id:
        return None
    what = told.subscription, told.status
    for amount in (None, earlier.payout):
        if told.notice_id == notice_id(told.conversion_id, *what, amount):
            name = notice_id(heir.conversion_id, *what, amount)
            return msgspec.structs.replace(
                told, notice_id=name, conversion_id=heir.conversion_id, url=NOT_SENT
            )
    return None
