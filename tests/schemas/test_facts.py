"""Facts: what a record must be to count as one."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import decisions, facts
from schemas.reasons import Reason
from schemas.tables import TABLES_OF_TOPIC, migrations
from schemas.topics import TAILS

EPOCH = "06c0123456789abcdefghjk"
POSTBACK: dict[str, Any] = {
    "kind": "postback",
    "receipt_id": f"{EPOCH}-1",
    "transaction_id": "06c0123456789abcdefghjkmnpqrstvw",
    "received_at": "2026-11-23T02:55:00.123Z",
    "occurred_at": "2026-11-23T02:55:00.123Z",
    "edge": "edge-1",
    "catalog_version": 3,
    "sale_amount": "49.90",
    "sale_currency": "EUR",
}


def encoded(**changes: object) -> bytes:
    return json.dumps({**POSTBACK, **changes}).encode()


def test_a_fact_comes_back_as_it_was_written() -> None:
    fact = facts.decode("postbacks", encoded())
    assert facts.decode("postbacks", facts.encode(fact)) == fact
    assert isinstance(fact, facts.Postback)
    assert fact.sale_amount == Decimal("49.90")


def test_what_was_not_stated_is_not_on_the_wire() -> None:
    written = json.loads(facts.encode(facts.decode("postbacks", encoded())))
    assert written == POSTBACK


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_id": "x"},
        {"received_at": "2026-11-23 02:55:00"},
        {"received_at": "2026-13-23T02:55:00.123Z"},
        {"occurred_at": "2026-02-30T02:55:00.123Z"},
        {"sale_amount": "-1"},
        {"sale_amount": "NaN"},
        {"sale_amount": "1e30"},
        {"sale_amount": "0.0000001"},
        {"sale_currency": "euro"},
        {"aff": 1, "offer_id": -1},
        {"goal_id": -2},
        {"conversion_unique_id": "x" * 501},
        {"kind": "pixel"},
        {"transaction_id": ""},
        {"transaction_id": "a:b"},
        {"transaction_id": "a\x00b"},
        {"transaction_id": "a\n"},
        {"receipt_id": f"{EPOCH}-1\n"},
        {"received_at": "2026-11-23T02:55:00.123Z\n"},
        {"sale_currency": "EUR\n"},
        {"sale_amount": "0e999999"},
        {"catalog_version": 2**32},
    ],
    ids=str,
)
def test_what_is_no_valid_fact_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(facts.Malformed):
        facts.decode("postbacks", encoded(**changes))


def test_no_two_cases_share_a_key() -> None:
    keys = [decisions.case_key(*case) for case in (("a", 1), ("a", 1, "2"), ("a", 12), ("a", 1, "2:3"))]
    assert len({*keys}) == len(keys)


def test_a_field_that_a_newer_edge_adds_is_read_over() -> None:
    assert facts.decode("postbacks", encoded(added_later=1)) == facts.decode("postbacks", encoded())


@given(st.sampled_from(sorted(facts.TYPES)), st.binary(max_size=200))
def test_any_bytes_are_a_fact_or_malformed(topic: str, value: bytes) -> None:
    with pytest.raises(facts.Malformed):
        facts.decode(topic, value)


@pytest.mark.parametrize("broken", [b"\xff", b"\xed\xa0\x80"])
def test_broken_text_in_a_field_that_nobody_knows_is_malformed_too(broken: bytes) -> None:
    """As to the writer: a fact counts as good, or is quarantined, never both."""
    for unknown in (b'"added":"%b"' % broken, b'"%b":1' % broken):
        with pytest.raises(facts.Malformed):
            facts.decode("postbacks", b"{%b,%b" % (unknown, encoded()[1:]))


def test_a_record_over_the_limit_is_malformed() -> None:
    with pytest.raises(facts.Malformed):
        facts.decode("postbacks", encoded(referer="x" * facts.MAX_RECORD_BYTES))


def test_every_reason_has_its_sentence() -> None:
    assert all(reason.sentence for reason in Reason)


def sql_of(table: str) -> str:
    """What makes the table, and what was changed in it since."""
    heads = (f"CREATE TABLE IF NOT EXISTS {table}\n", f"ALTER TABLE {table}\n")
    made, *changed = [s for m in migrations() for s in m.statements if any(head in s for head in heads)]
    assert heads[0] in made
    return "\n".join([made, *changed])


@pytest.mark.parametrize("topic", sorted(set(facts.TYPES) | {"deliveries", "quarantine", "refusals", TAILS}))
def test_each_field_has_a_column_of_its_name(topic: str) -> None:
    kinds: dict[str, type[msgspec.Struct]] = {**facts.TYPES, **decisions.TYPES, TAILS: facts.Tail}
    sql = sql_of(TABLES_OF_TOPIC[topic][0])
    fields = {field.encode_name for field in msgspec.structs.fields(kinds[topic])} - {"previous"}
    assert {field for field in fields if f" {field} " not in sql} == set()


def test_each_field_of_a_conversion_has_a_column_of_its_name() -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(decisions.Conversion)]
    for table in TABLES_OF_TOPIC["conversions"]:
        assert [field for field in fields if f" {field} " not in sql_of(table)] == []
    views = {
        s.partition("CREATE OR REPLACE VIEW ")[2].split()[0]: s  # the last of each name
        for m in migrations()
        for s in m.statements
        if "arrayJoin(conversions)" in s
    }
    assert set(views) == {"conversions", "conversion_history"}
    for view in views.values():
        assert [field for field in fields if f"c.{field} AS {field}" not in view] == []
