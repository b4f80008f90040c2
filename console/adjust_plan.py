"""What adjustments would change, line by line, as ClickHouse shows the conversions now. Pure.

A forecast for people: the joiner decides (docs/rules.md 1.13, 4.16, 5.10, 7.1, 7.2). What cannot be told
here is said to be open, and is in no sum. The rules themselves are not asked: a console knows the joiner by
what it wrote, never by its code; a test holds each forecast to what the rules then decide.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

import msgspec

from console.adjust_file import Line
from console.adjust_keys import Keys
from console.adjust_rows import Applied, Known, Row
from schemas import adjustments, money, transaction_id
from schemas.adjustments import Stated, Wrong
from schemas.catalog import Price
from schemas.catalog_versions import History
from schemas.crockford import LENGTH, canonical
from schemas.topics import CORRECTION_WINDOW_DAYS as _DAYS

Kind = Literal["wrong", "again", "waits", "creates", "releases", "same", "changes"]
SIDES: Final = ("payout", "revenue")
_OPEN: Final = ", what is owed follows the rules"
_TERM: Final = re.compile(r"terms\[(\d+)\]", re.ASCII).fullmatch


class Amount(msgspec.Struct, frozen=True):
    """By how much a side changes: `payout` or `revenue`, in a currency."""

    side: str
    currency: str
    by: Decimal


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one line comes to.

    told: in words. sent: the adjustment as the edge takes it; empty where nothing is to be sent.
    before, after: the conversion's status; empty where there is none.
    is_open: whether its money cannot be told.
    """

    number: int
    kind: Kind
    told: str
    sent: dict[str, str] = {}
    conversion_id: str = ""
    before: str = ""
    after: str = ""
    amounts: tuple[Amount, ...] = ()
    is_open: bool = False


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for each line that does not say otherwise.

    at: when they are stated, UTC.
    again: makes new keys, so that what was applied before is stated anew; usually empty.
    """

    by: str
    at: datetime
    why: str = ""
    again: str = ""


class Plan:
    """Goes through the lines in order; each sees what those before it change.

    keys: those of the lines before these, where the file is longer.
    """

    def __init__(self, known: Known, history: History, defaults: Defaults, keys: Keys | None = None) -> None:
        self._known = known
        self._history = history
        self._defaults = defaults
        self._keys = keys or Keys()

    def effects(self, lines: Iterable[Line]) -> list[Effect]:
        """What each line comes to."""
        return [self._effect(line) for line in lines]

    def _effect(self, line: Line) -> Effect:
        if line.problem:
            return Effect(number=line.number, kind="wrong", told=line.problem)
        try:
            sent = self._sent(line)
            stated = adjustments.read(sent)
            return self._repeated(line, stated) or self._forecast(line, sent, stated)
        except Wrong as wrong:
            return Effect(number=line.number, kind="wrong", told=str(wrong))

    def _sent(self, line: Line) -> dict[str, str]:
        """The adjustment as the edge takes it: with transaction, who, and key."""
        texts = {"by": self._defaults.by, "why": self._defaults.why, **line.texts}
        if line.number:
            texts["by_file"] = "1"
            texts.setdefault("key", f"file:{line.content_key}{self._defaults.again}")
        texts.update(self._meant(texts))
        texts.pop("conversion_id", None)
        return {name: text for name, text in texts.items() if text}

    def _meant(self, texts: dict[str, str]) -> dict[str, str]:
        """The fields that name the conversion, found by its ID or order number."""
        if wanted := texts.get("conversion_id", "").lower():
            row = self._known.conversion(wanted)
            if row is None:
                raise Wrong(
                    f"there is no conversion {wanted[:40]!r} here; roundtrip trace finds what there is"
                )
            return _names(row)
        if text := texts.get("transaction_id", ""):
            return {"transaction_id": canonical_id(text)}
        order = texts.get("conversion_unique_id", "")
        if not order:
            raise Wrong("it names no conversion: write transaction_id, conversion_id or order_id")
        is_test = texts.get("test", "") == "1"
        found = [row for row in self._known.of_order(order) if row.test == is_test]
        if goal := texts.get("goal_id", ""):
            found = [row for row in found if self._is_of(row, goal)]
        if not found:
            raise Wrong(f"no conversion here has the order number {order[:40]!r}; name its transaction_id")
        if len(found) > 1:
            where = ", ".join(f"{row.transaction_id} goal {row.goal_id}" for row in found[:3])
            raise Wrong(f"{len(found)} conversions have the order number {order[:40]!r}: name one ({where})")
        return _names(found[0])

    def _is_of(self, row: Row, goal: str) -> bool:
        wanted = adjustments.number(goal)
        if wanted is None:
            version = self._history.at(row.catalog_version) or self._history.current
            offer = version.catalog.offer(row.offer_id) if version else None
            wanted = offer.resolve_goal(goal) if offer else None
        return wanted == row.goal_id

    def _repeated(self, line: Line, stated: Stated) -> Effect | None:
        """Nothing changes where the same was stated before under the same key."""
        if not stated.key:
            return None
        name = (stated.transaction_id, stated.key)
        if (first := self._keys.first(name, line.number)) != line.number:
            return Effect(number=line.number, kind="again", told=f"repeats line {first}: nothing to do")
        applied = self._known.applied.get(name)
        return None if applied is None else self._applied(line, stated, applied)

    def _applied(self, line: Line, stated: Stated, applied: Applied) -> Effect:
        when = f"{applied.received_at:%Y-%m-%d %H:%M}, receipt {applied.receipt_id}"
        told = f"applied before, {when}: nothing to do"
        rows = self._rows(stated)
        if any(row.adjusted_at and row.adjusted_at > applied.received_at for row in rows):
            told += "; the network stated something else since, which stands (--again states it anew)"
        return Effect(number=line.number, kind="again", told=told)

    def _rows(self, stated: Stated) -> list[Row]:
        """The conversions that it can mean."""
        goal = stated.goal or "0"
        of_goal = [
            row
            for row in self._known.of_transaction(stated.transaction_id)
            if row.test == stated.test and self._is_of(row, goal)
        ]
        if stated.conversion_unique_id:
            return [row for row in of_goal if row.conversion_unique_id == stated.conversion_unique_id]
        counts = _counting_id(stated, of_goal)
        return [row for row in of_goal if row.conversion_id == counts] or [
            row for row in of_goal if not row.duplicate_of
        ]

    def _forecast(self, line: Line, sent: dict[str, str], stated: Stated) -> Effect:
        rows = self._rows(stated)
        if stated.action == "create":
            return _created(line, sent, stated, rows)
        if not rows:
            told = "no such conversion is here yet: it is kept, and counts when there is one"
            return Effect(number=line.number, kind="waits", told=told, sent=sent)
        if len(rows) > 1:
            raise Wrong(f"it could mean any of {len(rows)} conversions: add the order number")
        if days := self._days_too_late(rows[0]):
            why = f"first reported {days} days ago, what is stated after {_DAYS} changes nothing"
            told = f"{_called(rows[0])}: {why}"
            return Effect(number=line.number, kind="same", told=told, sent=sent)
        if stated.action == "release":
            return _released(line, sent, rows[0])
        return self._changed(line, sent, stated, rows[0])

    def _days_too_late(self, row: Row) -> int:
        """How old what it corrects is where that is too old, else 0; those of a random ID age together."""
        is_random = transaction_id.kind(row.transaction_id) is transaction_id.Kind.RANDOM
        rows = self._known.of_transaction(row.transaction_id) if is_random else [row]
        age = self._defaults.at - min(each.reported_at for each in rows)
        return age.days if age > timedelta(days=_DAYS) else 0

    def _changed(self, line: Line, sent: dict[str, str], stated: Stated, row: Row) -> Effect:
        """The row after it, and the difference; the row moves on."""
        before = msgspec.structs.replace(row)
        row.status = (stated.status if row.credited_by else "") or row.status
        is_open = stated.amount is not None and not self._reprice(row, stated) and _is_owed(row)
        if row.status == "approved" != before.status:
            is_open |= any(_may_lack_a_rate(row, side, stated) for side in SIDES)
        for side in SIDES:
            is_open |= not _owe(row, before, side, getattr(stated, side))
        changed = [_difference(row, before, side) for side in SIDES]
        amounts = tuple(each for each in changed if each and not is_open)
        says = _says(row, before, amounts)
        unchanged = "as it is" if row.credited_by else "as it is until its click arrives"
        return Effect(
            number=line.number,
            kind="changes" if says or is_open else "same",
            told=f"{_called(row)}: {says or unchanged}{_OPEN if is_open else ''}",
            sent=sent,
            conversion_id=row.conversion_id,
            before=before.status,
            after=row.status,
            amounts=amounts,
            is_open=is_open,
        )

    def _reprice(self, row: Row, stated: Stated) -> bool:
        """What the terms give for the new amount, and whether it can be told here."""
        assert stated.amount is not None  # noqa: S101  who calls has looked
        earlier, amount = (row.sale_amount, row.sale_currency), stated.amount
        row.sale_amount, row.sale_currency = amount, stated.currency or row.sale_currency
        for side in SIDES:
            price = self._price(row, side)
            currency = getattr(row, f"{side}_currency")
            rate = _rate(row, side, earlier, currency)
            if price is None or (price.percent and rate is None):
                return False
            exact = price.fixed + money.percent_of(money.product(amount, rate or Decimal(1)), price.percent)
            setattr(row, f"{side}_nominal", _rounded(exact, currency))
        return True

    def _price(self, row: Row, side: str) -> Price | None:
        """The price by which the row's side was reckoned; None where the row does not tell."""
        version = self._history.at(row.catalog_version)
        offer = version.catalog.offer(row.offer_id) if version else None
        goal = offer.goal(row.goal_id) if offer else None
        rule = getattr(row, f"{side}_rule")
        if goal is None:
            return None
        if rule == "goal":
            return goal.payout if side == "payout" else goal.revenue
        term = _TERM(rule)
        if term is None or int(term[1]) >= len(goal.terms):
            return None
        price: Price | None = getattr(goal.terms[int(term[1])], side)
        return price


def canonical_id(text: str) -> str:
    """The transaction ID as it is stored, where the text is one."""
    return canonical(text).decode() if len(text) == LENGTH else text


def _names(row: Row) -> dict[str, str]:
    """The fields by which the edge is told which conversion is meant."""
    names = {"transaction_id": row.transaction_id, "goal_id": str(row.goal_id)}
    if row.conversion_unique_id:
        names["conversion_unique_id"] = row.conversion_unique_id
    return names | ({"test": "1"} if row.test else {})


def _counting_id(stated: Stated, rows: Sequence[Row]) -> str:
    """The name of what counts on a once goal (docs/rules.md 6.1)."""
    if not rows:
        return ""
    parts = [stated.transaction_id, str(rows[0].goal_id), *(["test"] if stated.test else [])]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]


def _called(row: Row) -> str:
    order = f" of order {row.conversion_unique_id}" if row.conversion_unique_id else ""
    return f"conversion {row.conversion_id}{order}"


def _created(line: Line, sent: dict[str, str], stated: Stated, rows: Sequence[Row]) -> Effect:
    of = f" of order {stated.conversion_unique_id}" if stated.conversion_unique_id else ""
    there = f"; there is one already, {rows[0].conversion_id}, {rows[0].status}" if rows else ""
    told = f"a conversion{of} of transaction {stated.transaction_id}{there}{_OPEN}"
    return Effect(number=line.number, kind="creates", told=told, sent=sent, is_open=True)


def _released(line: Line, sent: dict[str, str], row: Row) -> Effect:
    if not row.adjusted_by:
        told = f"{_called(row)}: the network has stated nothing of it"
        return Effect(number=line.number, kind="same", told=told, sent=sent)
    told = f"{_called(row)}: {row.status} as stated by {row.adjusted_by}, then what the rules give it"
    return Effect(
        number=line.number,
        kind="releases",
        told=told,
        sent=sent,
        conversion_id=row.conversion_id,
        before=row.status,
        is_open=True,
    )


def _is_owed(row: Row) -> bool:
    return row.status == "approved" and bool(row.credited_by) and not row.test


def _may_lack_a_rate(row: Row, side: str, stated: Stated) -> bool:
    """Whether the terms give nothing of an amount in another currency: then it may stay pending."""
    is_converted = row.sale_amount and row.sale_currency not in ("", getattr(row, f"{side}_currency"))
    is_told = getattr(stated, side) is not None or getattr(row, f"{side}_rule") == "adjustment"
    return bool(is_converted and not is_told and not getattr(row, f"{side}_nominal"))


def _owe(row: Row, before: Row, side: str, stated: Decimal | None) -> bool:
    """What is owed after it, and whether that can be told here."""
    is_owed = _is_owed(row)
    currency, was_stated = getattr(row, f"{side}_currency"), getattr(row, f"{side}_rule") == "adjustment"
    if row.credited_by and not getattr(row, f"{side}_rule"):
        return True  # no goal of the catalog: what is owed would be in no currency
    if stated is not None:
        amount = _rounded(stated, currency)
        setattr(row, f"{side}_rule", "adjustment")
    elif was_stated:
        amount = getattr(before, side)
        if is_owed and before.status != "approved":
            return False  # an earlier statement says how much, and the row shows it only while it is owed
    else:
        amount = getattr(row, f"{side}_nominal")
    setattr(row, side, amount if is_owed else Decimal(0))
    return True


def _rounded(amount: Decimal, currency: str) -> Decimal:
    """As it will be owed; before its goal is known, an amount has no currency."""
    return money.rounded(amount, currency) if money.is_currency(currency) and amount < money.LIMIT else amount


def _rate(row: Row, side: str, earlier: tuple[Decimal, str], currency: str) -> Decimal | None:
    """From the sale's currency to the side's; None where neither they nor the row tell."""
    if row.sale_currency in ("", currency):
        return Decimal(1)
    if earlier[0] and earlier[1] == row.sale_currency and (rate := getattr(row, f"{side}_rate")):
        return Decimal(rate)
    return None


def _difference(row: Row, before: Row, side: str) -> Amount | None:
    by = getattr(row, side) - getattr(before, side)
    return Amount(side, getattr(row, f"{side}_currency"), by) if by else None


def _says(row: Row, before: Row, amounts: Sequence[Amount]) -> str:
    parts = [f"{before.status} -> {row.status}"] if before.status != row.status else []
    if before.sale_amount != row.sale_amount or before.sale_currency != row.sale_currency:
        parts.append(f"amount {row.sale_amount.normalize():f} {row.sale_currency}".rstrip())
    parts += [f"{each.side} {each.by.normalize():+f} {each.currency}".rstrip() for each in amounts]
    return ", ".join(parts)
