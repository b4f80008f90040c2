"""What partners were told of a conversion stays told when the conversion gets another ID.

An order number that comes late joins conversions that had none; with a person's identifier a click that comes
late takes over what was another's. The affiliate was told already, under the earlier ID, and is not told the
same again. Where another affiliate has the conversion now, it was told nothing yet.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from schemas import decisions
from schemas.decisions import ZERO, Conversion, Notice
from streams import damage
from streams.layout import Emitted
from streams.notices import notice_id
from streams.sending import NOT_SENT


class _Earlier(msgspec.Struct, frozen=True):
    """A conversion as it was last sent, as far as it matters here."""

    conversion_id: str
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
    now: Iterable[Conversion], cases: Iterable[Emitted], notices: Mapping[str, bytes], path: Path
) -> dict[str, bytes]:
    """By notice_id what counts as told of conversions, because it was told under an ID that none has now.

    cases: as they were sent before; notices: what was told; both of the state at `path`.
    """
    conversions = {one.conversion_id: one for one in now}
    by_id: dict[str, list[bytes]] = {}
    for value in notices.values():
        named = damage.read(path, _told, value).conversion_id
        if named not in conversions:
            by_id.setdefault(named, []).append(value)
    if not by_id:
        return {}
    found = {}
    for earlier in (each for case in cases for each in damage.read(path, _sent, case.record).conversions):
        heir = _heir(earlier, conversions.values()) if earlier.conversion_id in by_id else None
        for value in by_id[earlier.conversion_id] if heir else ():
            renamed = _renamed(damage.read(path, _notice, value), earlier, heir)
            if renamed:
                found[renamed.notice_id] = decisions.encode(renamed)
    return found


def _heir(earlier: _Earlier, now: Iterable[Conversion]) -> Conversion | None:
    """The conversion that has most of its observations, first of all one that says so."""
    had = set(earlier.receipts)
    heirs = [one for one in now if not had.isdisjoint(one.receipts)]
    claims = [(earlier.conversion_id in one.absorbs, len(had.intersection(one.receipts))) for one in heirs]
    return heirs[claims.index(max(claims))] if heirs else None


def _renamed(told: Notice, earlier: _Earlier, heir: Conversion | None) -> Notice | None:
    """The same notice of the heir; None where another affiliate has it, or another amount was told since."""
    if heir is None or heir.affiliate_id != told.affiliate_id:
        return None
    what = told.subscription, told.status
    for amount in (None, earlier.payout):
        if told.notice_id == notice_id(told.conversion_id, *what, amount):
            name = notice_id(heir.conversion_id, *what, amount)
            return msgspec.structs.replace(
                told, notice_id=name, conversion_id=heir.conversion_id, url=NOT_SENT
            )
    return None
