"""What ClickHouse knows of the conversions that a file of adjustments means."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from service.clickhouse import ClickHouse
from service.progress import Progress

CHUNK: Final = 200  # IDs of one query: they go in its URL, of which proxies take 8 KiB


class Row(msgspec.Struct, kw_only=True):
    """A conversion, as far as adjustments care; the plan moves it on with each line.

    reported_at: when the first statement about it was received, had that permission or not.
    """

    conversion_id: str
    transaction_id: str
    goal_id: int
    conversion_unique_id: str
    reported_at: datetime
    offer_id: int
    status: str
    duplicate_of: str
    credited_by: str
    payout: Decimal
    payout_currency: str
    payout_nominal: Decimal
    payout_rule: str
    payout_rate: Decimal
    revenue: Decimal
    revenue_currency: str
    revenue_nominal: Decimal
    revenue_rule: str
    revenue_rate: Decimal
    sale_amount: Decimal
    sale_currency: str
    test: bool
    catalog_version: int
    adjusted_by: str
    adjusted_at: datetime | None


class Applied(msgspec.Struct, frozen=True):
    """An adjustment that was made under a key before."""

    receipt_id: str
    received_at: datetime


_FIELDS: Final = tuple(name for name in Row.__struct_fields__ if name != "reported_at")
_ROWS: Final = f"""
SELECT received_at, receipts, {", ".join(_FIELDS)} FROM conversions
WHERE transaction_id IN {{ids:Array(String)}}
ORDER BY transaction_id, goal_id, received_at, conversion_id
"""  # noqa: S608  the names are ours
_RECEIVED: Final = """
SELECT receipt_id, received_at FROM observation_facts WHERE transaction_id IN {ids:Array(String)}
"""
_OF_ORDERS: Final = """
SELECT DISTINCT transaction_id FROM observation_facts WHERE conversion_unique_id IN {ids:Array(String)}
"""
_OF_CONVERSIONS: Final = """
SELECT DISTINCT transaction_id FROM conversions WHERE conversion_id IN {ids:Array(String)}
"""
_APPLIED: Final = """
SELECT transaction_id, key, argMin(receipt_id, received_at), min(received_at) FROM observation_facts
WHERE transaction_id IN {ids:Array(String)} AND kind = 'adjustment' AND key != ''
GROUP BY transaction_id, key
"""


class Known:
    """The conversions of the transactions that were asked for, and the keys of their adjustments."""

    def __init__(self) -> None:
        self._by_transaction: dict[str, list[Row]] = {}
        self._by_order: dict[str, list[Row]] = {}
        self._by_id: dict[str, Row] = {}
        self.applied: dict[tuple[str, str], Applied] = {}

    def add(self, row: Row) -> None:
        """One conversion more."""
        self._by_transaction.setdefault(row.transaction_id, []).append(row)
        self._by_id[row.conversion_id] = row
        if row.conversion_unique_id:
            self._by_order.setdefault(row.conversion_unique_id, []).append(row)

    def of_transaction(self, transaction_id: str) -> Sequence[Row]:
        """Its conversions, first received first."""
        return self._by_transaction.get(transaction_id, ())

    def of_order(self, order: str) -> Sequence[Row]:
        """The conversions with this order number."""
        return self._by_order.get(order, ())

    def conversion(self, conversion_id: str) -> Row | None:
        """The conversion of that ID."""
        return self._by_id.get(conversion_id)


def known(
    clickhouse: ClickHouse, transactions: Iterable[str], orders: Iterable[str], conversions: Iterable[str]
) -> Known:
    """What is known of everything that is named."""
    found = Known()
    ids = set(transactions)
    ids |= _transactions(clickhouse, _OF_ORDERS, orders)
    ids |= _transactions(clickhouse, _OF_CONVERSIONS, conversions)
    with Progress("looking up transactions", len(ids)) as progress:
        for part in _parts(ids):
            times = dict(clickhouse.query(_RECEIVED, {"ids": part}).rows)
            for received_at, receipts, *values in clickhouse.query(_ROWS, {"ids": part}).rows:
                fields = dict(zip(_FIELDS, values, strict=True))
                first = min((times[each] for each in receipts if each in times), default=received_at)
                found.add(Row(**fields, reported_at=first.replace(tzinfo=UTC)))
            for transaction, key, receipt, at in clickhouse.query(_APPLIED, {"ids": part}).rows:
                found.applied[transaction, key] = Applied(receipt, at)
            progress.advance(len(part))
    return found


def _transactions(clickhouse: ClickHouse, sql: str, ids: Iterable[str]) -> set[str]:
    return {row[0] for part in _parts(set(ids)) for row in clickhouse.query(sql, {"ids": part}).rows}


def _parts(ids: Iterable[str]) -> list[list[str]]:
    in_order = sorted(ids)
    return [in_order[at : at + CHUNK] for at in range(0, len(in_order), CHUNK)]
