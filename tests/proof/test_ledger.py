"""What a collector answered is held against what is stored: every way to differ is named."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from proof.ledger import Row, Said, Sale, Sending, Stored, differences

EPOCH, NEXT = "0" * 23, "1" * 23
PAYOUTS = {7: Decimal("0.50")}
SENT = [
    Sending(key="r-1", kind="click", offer_id=7, transaction_id="T1", said="yes", status=302),
    Sending(
        key="r-2",
        kind="postback",
        offer_id=7,
        transaction_id="T1",
        order="o-1",
        said="yes",
        status=200,
        receipt=f"{EPOCH}-2",
    ),
    Sending(key="r-3", kind="pixel", offer_id=7, transaction_id="T1", order="o-1", said="unknown"),
    Sending(key="r-4", kind="impression", offer_id=7, said="unsent"),
]
CLICK = Row("click", "r-1", f"{EPOCH}-1", "T1", "")
POSTBACK = Row("postback", "r-2", f"{EPOCH}-2", "T1", "o-1")
PIXEL = Row("pixel", "r-3", f"{EPOCH}-3", "T1", "o-1")
SALE = Sale("o-1", "T1", "approved", 0, Decimal("0.500000"), 1)
GOOD = Stored(rows=[CLICK, POSTBACK], sales=[SALE])


def told(stored: Stored, sent: list[Sending] = SENT) -> list[str]:
    return [line.partition(":")[0] for line in differences(sent, stored, PAYOUTS)]


def without(row: Row) -> list[Row]:
    return [each for each in GOOD.rows if each != row]


def test_every_yes_stored_once_and_paid_is_no_difference() -> None:
    assert told(GOOD) == []


def test_what_had_no_answer_may_be_stored_and_then_counts_in_its_conversion() -> None:
    assert told(GOOD._replace(rows=[*GOOD.rows, PIXEL], sales=[SALE._replace(observations=2)])) == []


@pytest.mark.parametrize("said", ["no", "unknown"])
def test_without_a_yes_nothing_need_be_stored(said: Said) -> None:
    sent = [Sending(key="r-1", kind="click", offer_id=7, said=said)]
    assert told(Stored(rows=[], sales=[]), sent) == []


def test_a_conversion_waits_for_a_click_that_nothing_could_take() -> None:
    waiting = SALE._replace(status="pending", reason=200, payout=Decimal(0))
    alone = POSTBACK._replace(receipt=f"{EPOCH}-1")
    sent = [
        Sending(key="r-1", kind="click", offer_id=7, transaction_id="T1", said="no", status=302),
        Sending(key="r-2", kind="postback", offer_id=7, transaction_id="T1", order="o-1", said="yes"),
    ]
    assert told(Stored(rows=[alone], sales=[waiting]), sent) == []
    assert told(Stored(rows=[alone], sales=[SALE]), sent) == ["missold"]


WRONG: dict[str, tuple[Callable[[], Stored], list[str]]] = {
    "a yes is missing": (lambda: GOOD._replace(rows=without(CLICK)), ["lost", "hole", "missold"]),
    "a yes is there twice": (
        lambda: GOOD._replace(rows=[*GOOD.rows, CLICK._replace(receipt=f"{EPOCH}-3")]),
        ["doubled"],
    ),
    "a receipt is there twice": (lambda: GOOD._replace(rows=[*GOOD.rows, CLICK]), ["doubled", "twice"]),
    "another transaction": (
        lambda: GOOD._replace(rows=[CLICK, POSTBACK._replace(transaction_id="T2")]),
        ["altered"],
    ),
    "another receipt than answered": (
        lambda: GOOD._replace(rows=[CLICK, POSTBACK._replace(receipt=f"{NEXT}-1")]),
        ["altered"],
    ),
    "what never left this side": (
        lambda: GOOD._replace(rows=[*GOOD.rows, Row("impression", "r-4", f"{EPOCH}-3", "T2", "")]),
        ["stored"],
    ),
    "what nobody sent": (
        lambda: GOOD._replace(rows=[*GOOD.rows, Row("click", "r-9", f"{EPOCH}-3", "T2", "")]),
        ["never sent"],
    ),
    "a hole in the receipts": (
        lambda: GOOD._replace(
            rows=[*GOOD.rows, PIXEL._replace(receipt=f"{EPOCH}-5")], sales=[SALE._replace(observations=2)]
        ),
        ["hole"],
    ),
    "two contents under one receipt": (
        lambda: GOOD._replace(twins=[f"{EPOCH}-1"]),
        [f"two contents under receipt {EPOCH}-1"],
    ),
    "something in quarantine": (lambda: GOOD._replace(quarantined=["writer clicks"]), ["in quarantine"]),
    "the next epoch names a later last": (lambda: GOOD._replace(previous={NEXT: (EPOCH, 3)}), ["end"]),
    "the next epoch names an earlier last": (lambda: GOOD._replace(previous={NEXT: (EPOCH, 1)}), ["end"]),
    "a tail was published beyond the last": (lambda: GOOD._replace(tails={EPOCH: 3}), ["end"]),
    "no conversion": (lambda: GOOD._replace(sales=[]), ["missold"]),
    "two conversions": (lambda: GOOD._replace(sales=[SALE, SALE]), ["missold"]),
    "rejected": (lambda: GOOD._replace(sales=[SALE._replace(status="rejected", reason=12)]), ["missold"]),
    "paid otherwise": (lambda: GOOD._replace(sales=[SALE._replace(payout=Decimal(1))]), ["missold"]),
    "a statement counted twice": (lambda: GOOD._replace(sales=[SALE._replace(observations=2)]), ["missold"]),
    "an order that nobody placed": (
        lambda: GOOD._replace(sales=[SALE, SALE._replace(order="o-9")]),
        ["never ordered"],
    ),
    "Kafka lacks a fact": (lambda: GOOD._replace(logged=frozenset({CLICK.receipt})), ["not in Kafka"]),
    "Kafka has one more": (
        lambda: GOOD._replace(logged=frozenset({CLICK.receipt, POSTBACK.receipt, PIXEL.receipt})),
        ["not stored"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_difference_is_named(case: str) -> None:
    make, names = WRONG[case]
    assert told(make()) == names


def test_the_epoch_before_ends_where_the_next_says() -> None:
    assert told(GOOD._replace(previous={NEXT: (EPOCH, 2)}, tails={EPOCH: 1})) == []
