"""What adjustments mean, looked up in the real ClickHouse: by transaction, order number and conversion."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from console import adjust_rows
from schemas.facts import Adjustment, Fact
from service.clickhouse import ClickHouse
from service.settings import Settings
from tests.console.rows import store
from tests.sinks.examples import AT, CASE, CONVERSION, EPOCH, POSTBACK, changed

pytestmark = pytest.mark.stack

SOLD = changed(POSTBACK, conversion_unique_id="A")
ROW = changed(CONVERSION, conversion_unique_id="A", payout=Decimal("4.00"), payout_currency="USD")
COMMON = {name: getattr(SOLD, name) for name in Fact.__struct_fields__}


def said(sequence: int, key: str) -> Adjustment:
    return Adjustment(
        kind="adjustment",
        **{
            **COMMON,
            "receipt_id": f"{EPOCH}-{sequence}",
            "received_at": AT.replace(":00.", f":{sequence:02}."),
        },
        stated_by="Anna",
        status="rejected",
        key=key,
    )


@pytest.mark.parametrize("by", ["transaction", "order", "conversion"])
def test_a_conversion_is_found_by_whatever_names_it_with_the_first_receipt_of_each_key(
    stored: Settings, by: str
) -> None:
    store(stored, [SOLD, changed(CASE, conversions=(ROW,)), said(9, "k1"), said(3, "k1"), said(4, "")])
    clickhouse = ClickHouse(stored)
    found = adjust_rows.known(
        clickhouse,
        [CASE.transaction_id] if by == "transaction" else [],
        ["A"] if by == "order" else [],
        [ROW.conversion_id] if by == "conversion" else [],
    )
    clickhouse.close()
    (row,) = found.of_transaction(CASE.transaction_id)
    assert (row, [row]) == (found.conversion(ROW.conversion_id), found.of_order("A"))
    assert (row.payout, row.payout_currency, row.adjusted_at) == (Decimal("4.00"), "USD", None)
    assert {key: each.receipt_id for key, each in found.applied.items()} == {
        (CASE.transaction_id, "k1"): f"{EPOCH}-3"
    }


def test_a_conversion_was_reported_when_its_first_statement_was_received(stored: Settings) -> None:
    first, row = said(3, ""), changed(ROW, receipts=(SOLD.receipt_id, f"{EPOCH}-3", f"{EPOCH}-77"))
    clickhouse = ClickHouse(stored)
    store(stored, [changed(CASE, conversions=(row,))])
    found = adjust_rows.known(clickhouse, [CASE.transaction_id], [], []).conversion(ROW.conversion_id)
    assert found  # its facts are not here: then it is as the row says
    assert found.reported_at == datetime.fromisoformat(ROW.received_at)
    earlier = changed(first, received_at="2020-01-02T03:04:05.006Z")
    store(stored, [SOLD, earlier])
    found = adjust_rows.known(clickhouse, [CASE.transaction_id], [], []).conversion(ROW.conversion_id)
    assert found
    assert found.reported_at == datetime(2020, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)
    clickhouse.close()


def test_what_nothing_names_is_not_looked_for(stored: Settings) -> None:
    clickhouse = ClickHouse(stored)
    assert adjust_rows.known(clickhouse, [], [], []).applied == {}
    clickhouse.close()
