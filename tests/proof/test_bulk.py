"""Facts by the million are real facts: they decode, and their identifiers are signed."""

from itertools import chain

from proof.bulk import HOT, Bulk
from proof.histories import KEYS
from schemas import facts, times, transaction_id
from schemas.facts import Click, Postback
from schemas.transaction_id import Kind, Verdict

NOW_MS = times.to_ms("2026-11-23T12:00:00.000Z")


def test_each_is_a_fact_of_its_topic_and_transaction() -> None:
    bulk = Bulk(100, NOW_MS)
    records = [*bulk.clicks(0, 100), *bulk.hot_clicks(100, 103), bulk.sale(5), bulk.sale(5), bulk.hot_sale(9)]
    decoded = [facts.decode(each.topic, each.value) for each in records]
    assert [each.transaction_id.encode() for each in decoded] == [each.key for each in records]
    assert len({each.receipt_id for each in decoded}) == len(records)
    assert [type(each) for each in decoded] == [Click] * 103 + [Postback] * 3
    assert decoded[5].transaction_id == decoded[103].transaction_id
    assert decoded[5].occurred_at < decoded[103].occurred_at


def test_identifiers_are_signed_and_come_in_the_order_of_time() -> None:
    bulk = Bulk(1_000, NOW_MS)
    made = [bulk.identifier(number) for number in range(1_000)]
    assert made == sorted(set(made)) == [Bulk(1_000, NOW_MS).identifier(number) for number in range(1_000)]
    assert {transaction_id.check(KEYS, each).verdict for each in made} == {Verdict.GENUINE}
    assert transaction_id.kind(HOT) is Kind.AFFILIATE


def test_numbers_beyond_an_epoch_have_another() -> None:
    bulk = Bulk(30_000_000, NOW_MS)
    far = chain(bulk.clicks(9_999_999, 10_000_001), bulk.clicks(20_000_000, 20_000_001))
    assert [facts.decode(each.topic, each.value).receipt_id for each in far] == [
        "06cvproof00000000000000-10000000",
        "06cvproof00000010000000-1",
        "06cvproof00000020000000-1",
    ]
