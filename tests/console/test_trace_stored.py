"""A trace on the real ClickHouse: each ID that a person may hold leads to the whole story."""

from decimal import Decimal

import msgspec
import pytest

from console import trace
from schemas.decisions import Delivery
from schemas.facts import Adjustment, Fact
from service.clickhouse import ClickHouse
from service.errors import No
from service.settings import Settings
from tests.console.rows import store
from tests.sinks.examples import CASE, CLICK, CONVERSION, POSTBACK, changed

pytestmark = pytest.mark.stack

OWN_ID = "Blog/2026 #1"
CLICKED = changed(CLICK, aff_click_id=OWN_ID)
SOLD = changed(POSTBACK, conversion_unique_id="Order 1\x1b[31m", sale_amount="49.90", sale_currency="EUR")
EARLIER = changed(
    CASE, version=CASE.version - 1, conversions=(changed(CONVERSION, status="pending", reason=200),)
)
TOLD = Delivery(
    notice_id="n1",
    transaction_id=CASE.transaction_id,
    conversion_id=CONVERSION.conversion_id,
    version=CASE.version,
    affiliate_id=42,
    offer_id=7,
    url="https://tracker.example/cb?cid=1",
    attempt=1,
    outcome="delivered",
    http_status=200,
    ended=True,
    at=CASE.decided_at,
)


def told(stored: Settings, asked: str) -> list[dict[str, object]]:
    clickhouse = ClickHouse(stored)
    try:
        return trace.told(asked, clickhouse)
    finally:
        clickhouse.close()


@pytest.mark.parametrize(
    "asked",
    [
        CASE.transaction_id,
        CASE.transaction_id.upper(),
        CONVERSION.conversion_id,
        CLICKED.receipt_id,
        SOLD.receipt_id,
        SOLD.conversion_unique_id,
        OWN_ID,
        f"  {OWN_ID} ",
    ],
)
def test_each_id_leads_to_its_transaction(stored: Settings, asked: str) -> None:
    store(stored, [CLICKED, SOLD, EARLIER, CASE, TOLD])
    assert [story["transaction_id"] for story in told(stored, asked)] == [CASE.transaction_id]


def test_the_story_has_every_fact_decision_version_and_notice(stored: Settings) -> None:
    store(stored, [CLICKED, SOLD, EARLIER, CASE, TOLD])
    (story,) = told(stored, OWN_ID)
    words = "\n".join(trace.words(story))
    assert f"click on offer {CLICKED.offer_id}" in words
    assert f"receipt {CLICKED.receipt_id}" in words
    assert "amount 49.90 EUR" in words
    assert f"conversion {CONVERSION.conversion_id} of goal {CASE.goal_id}: {CONVERSION.status}" in words
    assert "pending (200: awaiting the click of this transaction)" in words
    assert "Kafka clicks/3 offset 0" in words
    assert "delivered with 200" in words
    assert words.index("click on") < words.index("conversion ") < words.index("delivered")


def test_who_of_the_network_stated_what_when_and_why_is_told(stored: Settings) -> None:
    common = {name: getattr(POSTBACK, name) for name in Fact.__struct_fields__}
    own = {"stated_by": "Anna", "why": "returned", "payout": Decimal("7.5"), "key": "k1"}
    said = Adjustment(kind="adjustment", **common, **own)
    adjusted = changed(
        CONVERSION, adjusted_by="Anna", adjusted_at="2026-11-23T10:00:00.000Z", adjusted_why="returned"
    )
    store(stored, [said, changed(CASE, conversions=(adjusted,))])
    (story,) = told(stored, CASE.transaction_id)
    words = "\n".join(trace.words(story))
    assert "adjustment, payout 7.50, stated by Anna, why returned, key k1" in words
    assert "adjusted by Anna, 2026-11-23T10:00:00.000Z: returned" in words


def test_the_case_of_an_affiliate_identifier_is_named_by_its_order(stored: Settings) -> None:
    store(stored, [changed(CASE, number="o1"), changed(CASE, number="o2")])
    (story,) = told(stored, CASE.transaction_id)
    assert [row["case_number"] for row in story["conversions"]] == ["o1", "o2"]
    assert f"of goal {CASE.goal_id}, case o2: " in "\n".join(trace.words(story))


def test_what_a_stranger_sent_cannot_steer_the_terminal(stored: Settings) -> None:
    store(stored, [SOLD])
    (story,) = told(stored, SOLD.receipt_id)
    assert all(line.isprintable() for line in trace.words(story))


def test_one_order_number_of_two_transactions_tells_both(stored: Settings) -> None:
    other = changed(SOLD, transaction_id="06zz", receipt_id=SOLD.receipt_id + "9")
    store(stored, [SOLD, other])
    stories = told(stored, SOLD.conversion_unique_id)
    assert {story["transaction_id"] for story in stories} == {SOLD.transaction_id, "06zz"}


@pytest.mark.parametrize("asked", ["nothing", "", " ", "'; DROP TABLE clicks; --", "\x00"])
def test_an_id_of_nothing_is_a_clear_no(stored: Settings, asked: str) -> None:
    with pytest.raises(No, match="no transaction, conversion, receipt, order number"):
        told(stored, asked)


def test_a_reason_of_a_newer_release_is_shown_by_its_number(stored: Settings) -> None:
    newer = msgspec.structs.replace(CASE, conversions=(changed(CONVERSION, status="pending", reason=999),))
    store(stored, [newer])
    (story,) = told(stored, CASE.transaction_id)
    assert "pending (999: reason 999)" in "\n".join(trace.words(story))
