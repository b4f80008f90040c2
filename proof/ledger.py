"""The ledger: what a collector answered to each request, held against what is stored. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["click", "impression", "pixel", "postback"]
Said = Literal["yes", "no", "unknown", "unsent"]

# How often an event may be stored, by what its sender was told. A no may be stored all the same: the disk was
# slow, and nobody could wait for it. Only what never left this side cannot.
LEAST: Mapping[Said, int] = {"yes": 1, "no": 0, "unknown": 0, "unsent": 0}
MOST: Mapping[Said, int] = {"yes": 1, "no": 1, "unknown": 1, "unsent": 0}


class Sending(msgspec.Struct, kw_only=True, gc=False):
    """One request, and what was answered.

    key: stands on the event; no other sending has it. order: the order number of what was sold; a repetition
    of a statement is a sending of its own with the same order.
    transaction_id: what the answer gave (click, impression), or what was stated (pixel, postback).
    due_s: when it was to be sent, Unix time; took_s: from then until the answer.
    """

    key: str
    kind: Kind
    offer_id: int
    transaction_id: str = ""
    order: str = ""
    said: Said = "unsent"
    status: int = 0
    receipt: str = ""
    due_s: float = 0.0
    took_s: float = 0.0


class Row(NamedTuple):
    """A stored fact."""

    kind: str
    key: str
    receipt: str
    transaction_id: str
    order: str


class Sale(NamedTuple):
    """A stored conversion."""

    order: str
    transaction_id: str
    status: str
    reason: int
    payout: Decimal
    observations: int


class Stored(NamedTuple):
    """What is stored.

    twins: receipts that are stored with more than one content. quarantined: what is told of each row there.
    previous: epoch -> the epoch before it and the last number that was answered there.
    tails: epoch -> the last number that its edge published.
    logged: the receipts that Kafka holds; None where it was not asked.
    """

    rows: Sequence[Row]
    sales: Sequence[Sale]
    twins: Sequence[str] = ()
    quarantined: Sequence[str] = ()
    previous: Mapping[str, tuple[str, int]] = {}
    tails: Mapping[str, int] = {}
    logged: frozenset[str] | None = None


def differences(sendings: Sequence[Sending], stored: Stored, payouts: Mapping[int, Decimal]) -> Iterator[str]:
    """Each way in which what is stored is not what was answered; none where all is well.

    1. Each yes is stored once, with the transaction and the receipt of the answer.
    2. Anything else is stored once or not at all; what was never sent, not at all.
    3. Nothing else is stored, nothing is in quarantine, and a receipt has one content.
    4. The receipts of an epoch are 1 to n, each once; the next epoch names n, and no tail names more.
    5. An order is one conversion as soon as one statement of it is stored, with all of them in it: approved
       and paid where its click is stored, else awaiting it.
    6. Kafka holds every stored fact and no other: what it lost was shipped again.

    payouts: what a conversion of an offer pays.
    """
    yield from _miscounted(sendings, stored.rows)
    yield from (f"two contents under receipt {receipt}" for receipt in stored.twins)
    yield from (f"in quarantine: {what}" for what in stored.quarantined)
    yield from _gaps(stored)
    yield from _missold(sendings, stored, payouts)
    yield from _unlogged(stored)


def _miscounted(sendings: Iterable[Sending], rows: Iterable[Row]) -> Iterator[str]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.kind, row.key), []).append(row)
    for sending in sendings:
        mine = found.pop((sending.kind, sending.key), [])
        if not LEAST[sending.said] <= len(mine) <= MOST[sending.said]:
            what = "lost" if not mine else "doubled" if len(mine) > 1 else "stored"
            receipts = ", ".join(row.receipt for row in mine) or sending.receipt or "no receipt known"
            yield (
                f"{what}: {sending.kind} {sending.key}, answered {sending.said} ({sending.status}),"
                f" due {sending.due_s:.3f}: {len(mine)} stored ({receipts})"
            )
        yield from (
            f"altered: {sending.kind} {sending.key}: {row}, not {sending.transaction_id} {sending.receipt}"
            for row in mine
            if not _is_as_answered(sending, row)
        )
    for (kind, key), others in found.items():
        yield f"never sent: {kind} {key!r}, {len(others)} stored, {others[0].receipt}"


def _is_as_answered(sending: Sending, row: Row) -> bool:
    """Whether everything that the sender knows of the event is on the row."""
    known = [(sending.transaction_id, row.transaction_id), (sending.receipt, row.receipt)]
    return sending.order == row.order and all(mine == theirs for mine, theirs in known if mine)


def _gaps(stored: Stored) -> Iterator[str]:
    epochs: dict[str, Counter[int]] = {}
    for row in stored.rows:
        epoch, _, number = row.receipt.rpartition("-")
        epochs.setdefault(epoch, Counter())[int(number)] += 1
    for epoch, numbers in epochs.items():
        if missing := sorted(set(range(1, max(numbers) + 1)) - set(numbers)):
            yield f"hole: epoch {epoch} of {max(numbers)} lacks {len(missing)} receipts: {_ranges(missing)}"
        if doubled := sorted(number for number, count in numbers.items() if count > 1):
            yield f"twice: epoch {epoch}: receipts {_ranges(doubled)}"
    for epoch, (before, last) in stored.previous.items():
        if (have := max(epochs.get(before, {0: 0}))) != last:
            yield f"end: epoch {epoch} names {last} as the last of {before}, of which {have} are stored"
    for epoch, last in stored.tails.items():
        if (have := max(epochs.get(epoch, {0: 0}))) < last:
            yield f"end: epoch {epoch} came to {last}, and {have} are stored"


def _ranges(numbers: Sequence[int]) -> str:
    """`3-5, 9`: at most ten ranges."""
    shown: list[tuple[int, int]] = []
    for number in numbers:
        if shown and number == shown[-1][1] + 1:
            shown[-1] = (shown[-1][0], number)
        else:
            shown.append((number, number))
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in shown]
    return ", ".join(texts[:10]) + (f" and {len(texts) - 10} more" if len(texts) > 10 else "")  # noqa: PLR2004


def _missold(sendings: Sequence[Sending], stored: Stored, payouts: Mapping[int, Decimal]) -> Iterator[str]:
    statements = Counter(row.order for row in stored.rows if row.order)
    clicked = {row.transaction_id for row in stored.rows if row.kind == "click"}
    sales: dict[str, list[Sale]] = {}
    for sale in stored.sales:
        sales.setdefault(sale.order, []).append(sale)
    orders = {each.order: each for each in sendings if each.order}
    for order, sending in orders.items():
        mine = sales.pop(order, [])
        wanted = []
        if statements[order]:
            wanted = [_sale(sending, statements[order], payouts, has_click=sending.transaction_id in clicked)]
        if mine != wanted:
            yield f"missold: order {order}: {_told(mine)}; expected {_told(wanted)}"
    for order, others in sales.items():
        yield f"never ordered: {order!r}: {_told(others)}"


def _told(sales: Sequence[Sale]) -> str:
    return " | ".join(map(_words, sales)) or "no conversion"


def _words(sale: Sale) -> str:
    money = f"{sale.payout.normalize():f}"
    return f"{sale.transaction_id} {sale.status} {sale.reason} {money}, of {sale.observations} statements"


def _sale(sending: Sending, count: int, payouts: Mapping[int, Decimal], *, has_click: bool) -> Sale:
    return Sale(
        order=sending.order,
        transaction_id=sending.transaction_id,
        status="approved" if has_click else "pending",
        reason=0 if has_click else 200,
        payout=payouts[sending.offer_id] if has_click else Decimal(0),
        observations=count,
    )


def _unlogged(stored: Stored) -> Iterator[str]:
    if stored.logged is None:
        return
    receipts = {row.receipt for row in stored.rows}
    for what, wrong in (("not in Kafka", receipts - stored.logged), ("not stored", stored.logged - receipts)):
        if wrong:
            yield f"{what}: {len(wrong)} receipts, {min(wrong)} to {max(wrong)}"
