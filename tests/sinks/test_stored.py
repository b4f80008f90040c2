"""What only the real ClickHouse shows of the writer's inserts."""

import random
from collections.abc import Sequence

import pytest

from schemas import decisions, facts
from schemas.tables import TABLES_OF_TOPIC, migrations
from service.clickhouse import ClickHouse
from service.errors import Refused
from service.kafka import Record
from service.settings import Settings
from sinks import batches, bisect, writer
from sinks.batches import Bad, Row
from sinks.rejects import quarantined
from tests.sinks.examples import CASE, CONVERSION, POSTBACK, case, changed, click, clicks, record
from tests.sinks.fakes import FakeLogs

pytestmark = pytest.mark.stack


async def store(config: Settings, records: Sequence[Record], *, token: bool = True) -> list[Bad]:
    """As the writer does it, and what it found bad."""
    client = ClickHouse(config)
    tables, bad = batches.sort(records, FakeLogs().identities)
    for table, rows in tables.items():

        async def insert(part: Sequence[Row], table: str = table) -> None:
            body = batches.body(part)
            hashed = batches.token(body) if token else ""
            client.insert_raw(table, body, token=hashed, settings=writer.INSERT)

        bad += await bisect.store(rows, insert)
    client.close()
    return bad


def ask(config: Settings, sql: str) -> list[tuple[object, ...]]:
    client = ClickHouse(config)
    rows = client.query(sql).rows
    client.close()
    return rows


def command(config: Settings, sql: str) -> None:
    client = ClickHouse(config)
    client.command(sql)
    client.close()


@pytest.mark.parametrize("token", [True, False])
async def test_any_batching_order_and_repetition_gives_the_same_rows(
    stored: Settings, *, token: bool
) -> None:
    """Guard: exactness rests on the tables' keys, not on deduplication tokens."""
    cases = [
        case(n, changed(CASE, version=n + 1, conversions=(changed(CONVERSION, payout=str(n)),)))
        for n in range(5)
    ]
    records = [*clicks(50), record("postbacks", 0, facts.encode(POSTBACK)), *cases]
    chance = random.Random(7)
    for size in (len(records), 1, 7, 20):
        chance.shuffle(records)
        for start in range(0, len(records), size):
            assert await store(stored, records[start : start + size], token=token) == []
    assert ask(
        stored, "SELECT count(), uniqExact(receipt_id), min(kafka_offset), max(kafka_offset) FROM clicks"
    ) == [(50, 50, 0, 49)]
    assert ask(stored, "SELECT count() FROM observations") == [(1,)]
    assert ask(stored, "SELECT version, toString(payout) FROM conversions") == [(5, "4")]
    assert ask(stored, "SELECT count() FROM conversion_history") == [(5,)]


async def test_a_batch_may_hold_rows_of_any_number_of_months(stored: Settings) -> None:
    months = [click(n, received_at=f"{1990 + n // 12}-{n % 12 + 1:02}-01T00:00:00.000Z") for n in range(300)]
    assert await store(stored, [record("clicks", n, facts.encode(one)) for n, one in enumerate(months)]) == []
    assert ask(stored, "SELECT count() FROM clicks") == [(300,)]


@pytest.mark.parametrize(
    "value",
    [
        b"{}x",
        facts.encode(click(21))[:-1] + b',"kafka_offset":5}',
        b'{"receipt_id":1,"offer_id":"no number"}',
        b'{"receipt_id":"a","received_at":"yesterday"}',
        b'{"receipt_id":"a","kafka_offset":5}',
        b'{"receipt_id":"a","params":7}',
        b'{"receipt_id":"a","offer_id":-1.5e400}',
    ],
)
async def test_a_bad_row_is_found_among_good_ones(stored: Settings, value: bytes) -> None:
    records = [*clicks(20), record("clicks", 20, value), *clicks(20, first=21)]
    assert [each.record.offset for each in await store(stored, records)] == [20]
    assert ask(stored, "SELECT count() FROM clicks") == [(40,)]


async def test_every_field_of_a_fact_and_a_case_is_stored_as_it_was_sent(stored: Settings) -> None:
    sale = changed(
        POSTBACK, sale_amount="12.345678", sale_currency="EUR", params={"a": "ü"}, problems=("p",), test=True
    )
    whole = changed(
        CASE,
        conversions=(
            changed(
                CONVERSION,
                payout="1.25",
                flags=("f",),
                observed_by=("pixel",),
                clicked_at="2026-11-23T09:00:00.123Z",
            ),
        ),
    )
    assert await store(stored, [record("postbacks", 0, facts.encode(sale)), case(1, whole)]) == []
    observed = """
        SELECT toString(sale_amount), sale_currency, params, problems, test, kafka_topic, kafka_log
        FROM observations
    """
    assert ask(stored, observed) == [
        ("12.345678", "EUR", {"a": "ü"}, ["p"], True, "postbacks", "cluster:postbacks")
    ]
    decided = """
        SELECT toString(payout), flags, observed_by, toString(clicked_at), toString(received_at)
        FROM conversions
    """
    assert ask(stored, decided) == [
        ("1.25", ["f"], ["pixel"], "2026-11-23 09:00:00.123", "2026-11-23 10:00:00.000")
    ]


async def test_an_empty_case_takes_its_conversion_away(stored: Settings) -> None:
    gone = case(1, changed(CASE, version=2, conversions=()))
    assert await store(stored, [case(0)]) == await store(stored, [gone]) == []
    assert ask(stored, "SELECT count() FROM conversions") == [(0,)]


async def test_each_order_of_an_affiliate_identifier_is_a_case_of_its_own(stored: Settings) -> None:
    first = changed(CASE, number="o1", conversions=(changed(CONVERSION, conversion_unique_id="o1"),))
    other = changed(CASE, number="o2", conversions=(changed(CONVERSION, conversion_unique_id="o2"),))
    newer = changed(other, version=2)
    for part in ([case(0, first), case(1, other)], [case(2, newer)], [case(1, other)]):
        assert await store(stored, part, token=False) == []
    for _ in range(2):
        stands = "SELECT case_number, version FROM conversions ORDER BY case_number"
        assert ask(stored, stands) == [("o1", 1), ("o2", 2)]
        stood = "SELECT case_number, version FROM conversion_history ORDER BY case_number, version"
        assert ask(stored, stood) == [("o1", 1), ("o2", 1), ("o2", 2)]
        command(stored, "OPTIMIZE TABLE cases FINAL")


async def test_a_case_of_before_the_numbers_is_still_replaced_by_its_newer_version(stored: Settings) -> None:
    for table in TABLES_OF_TOPIC["conversions"]:
        command(stored, f"DROP TABLE {table}")
    earlier, later = migrations()[:2], migrations()[2:]
    for statement in (each for migration in earlier for each in migration.statements):
        command(stored, statement)
    assert await store(stored, [case(0)], token=False) == []
    for statement in (each for migration in later for each in migration.statements):
        command(stored, statement)
    assert await store(stored, [case(0), case(1, changed(CASE, version=2))], token=False) == []
    assert ask(stored, "SELECT version, case_number FROM conversions") == [(2, "")]
    assert ask(stored, "SELECT count() FROM conversion_history") == [(2,)]


async def test_a_quarantine_record_that_the_writer_makes_can_always_be_stored(stored: Settings) -> None:
    wild = [bytes([n]) * 3 for n in range(256)]
    made = [
        quarantined(Record("clicks", 0, n, 0, wild[n], wild[n]), "\x00 \U0001f600 ' \\", "writer", n)
        for n in range(256)
    ]
    records = [record("quarantine", n, decisions.encode(one)) for n, one in enumerate(made)]
    assert await store(stored, records) == []
    assert ask(stored, "SELECT count() FROM quarantine") == [(256,)]


def test_a_missing_table_is_nobody_elses_fault(stored: Settings) -> None:
    client = ClickHouse(stored)
    client.command("DROP TABLE click_facts")
    with pytest.raises(Exception, match="migrate") as caught:
        client.insert_raw("click_facts", b'{"receipt_id":"a"}')
    assert not isinstance(caught.value, Refused)
