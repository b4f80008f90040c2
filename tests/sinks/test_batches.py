"""How records become rows."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import facts
from schemas.tables import TABLES_OF_TOPIC
from service.kafka import Record
from sinks import batches
from tests.sinks.examples import CLICK, case, clicks, record, statement
from tests.sinks.fakes import FakeLogs

IDENTITIES = FakeLogs().identities
GOOD = facts.encode(CLICK)


def test_a_row_is_the_record_with_its_place() -> None:
    one = record("clicks", 12, facts.encode(CLICK), partition=3)
    (row,) = batches.sort([one], IDENTITIES).tables["click_facts"]
    assert msgspec.json.decode(row.line) == {
        "kafka_topic": "clicks",
        "kafka_partition": 3,
        "kafka_offset": 12,
        "kafka_log": "cluster:clicks",
        **msgspec.json.decode(facts.encode(CLICK)),
    }


def test_a_case_goes_to_the_history_and_to_the_cases() -> None:
    tables = batches.sort([case(0)], IDENTITIES).tables
    assert sorted(tables) == ["case_history", "cases"]


def test_pixels_postbacks_and_adjustments_share_one_insert() -> None:
    records = [statement(topic, 0) for topic in ("pixels", "postbacks", "adjustments")]
    assert [len(rows) for rows in batches.sort(records, IDENTITIES).tables.values()] == [3]


def test_a_record_read_twice_is_one_row() -> None:
    assert len(batches.sort([*clicks(2), *clicks(2)], IDENTITIES).tables["click_facts"]) == 2


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[1]",
        b"nonsense",
        b"\x00",
        GOOD[:-1],
        GOOD + GOOD,
        GOOD + b"\n" + GOOD,
        GOOD[:-1] + b',"a":"\xff"}',
        GOOD[:-1] + b',"a":' + b"[" * 9999 + b"]" * 9999 + b"}",
        b"{}",
        b'{"a":1}',
        GOOD.replace(b'"offer_id":7', b'"offer_id":"x"'),
        GOOD.replace(b'"offer_id":7,', b""),
        GOOD.replace(b"2026-11-23T10", b"2026-11-23T25"),
    ],
)
def test_what_is_not_one_click_is_bad_and_touches_no_other_row(value: bytes) -> None:
    good = clicks(1)
    found = batches.sort([*good, record("clicks", 9, value)], IDENTITIES)
    assert [row.record for row in found.tables["click_facts"]] == good
    assert [bad.record.offset for bad in found.bad] == [9]


@pytest.mark.parametrize("topic", sorted(TABLES_OF_TOPIC))
@pytest.mark.parametrize("value", [b'{"a":1}', b'{"a":' + b"[" * 9999 + b"]" * 9999 + b"}"])
def test_a_json_object_that_names_nothing_is_bad_in_every_topic(topic: str, value: bytes) -> None:
    """ClickHouse would store it, with empty texts and in 1970."""
    assert batches.sort([record(topic, 0, value)], IDENTITIES).tables == {}


@given(st.binary(max_size=40))
def test_no_bytes_make_anything_but_one_row_or_one_bad_record(value: bytes) -> None:
    found = batches.sort([record("clicks", 1, value)], IDENTITIES)
    assert sum(map(len, found.tables.values())) + len(found.bad) == 1


def test_the_token_is_the_same_for_the_same_rows_only() -> None:
    def token(records: list[Record]) -> str:
        return batches.token(batches.body(batches.sort(records, IDENTITIES).tables["click_facts"]))

    assert token(clicks(3)) == token(clicks(3))
    assert token(clicks(3)) != token(clicks(4))


def test_the_same_rows_of_another_log_have_another_token() -> None:
    other = {**IDENTITIES, "clicks": "cluster:recreated"}
    first, second = (batches.sort(clicks(1), each).tables["click_facts"] for each in (IDENTITIES, other))
    assert batches.token(batches.body(first)) != batches.token(batches.body(second))


def test_offsets_are_the_next_to_read() -> None:
    assert batches.offsets([*clicks(3), record("pixels", 7, b"{}", 2)]) == {
        ("clicks", 0): 3,
        ("pixels", 2): 8,
    }
