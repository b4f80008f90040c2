"""migrate on tables that hold rows: nothing is lost, what is new is empty, the views say what they said."""

import json
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deploy import migrate
from deploy.clickhouse_server import ClickHouseServer
from schemas import decisions, facts
from schemas.tables import migrations
from service.clickhouse import ClickHouse
from service.settings import Settings
from tests.sinks.examples import CASE, CONVERSION, POSTBACK, changed, click

pytestmark = pytest.mark.stack

ROWS = 100  # of each table, every column of which holds something
TIMES = frozenset({"received_at", "at"})  # by month in partitions: a block may hold rows of a hundred
EMPTY = ("", [], {}, None, 0, False)
NEWEST = migrations()[-1].number


@pytest.fixture(params=range(1, NEWEST), ids="release {}".format)
def earlier(
    clickhouse: ClickHouseServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Settings]:
    """The database of an earlier release, filled."""
    config = Settings(dir=tmp_path, clickhouse=clickhouse.url, clickhouse_database=f"filled_{request.param}")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrate, "migrations", lambda: migrations()[: request.param])
        assert len(migrate.migrate_tables(config)) == request.param
    client = ClickHouse(config)
    fill(client)
    client.close()
    yield config
    client = ClickHouse(config)
    client.command(f"DROP DATABASE {config.clickhouse_database}", database=False)
    client.close()


def test_nothing_is_lost_and_what_is_new_is_empty(earlier: Settings) -> None:
    client = ClickHouse(earlier)
    before = {name: contents(client, name) for name in names(client) if name != "migrations"}
    tables = [name for name in names(client, "%MergeTree") if name in before]
    assert [name for name in tables if len(before[name]) < ROWS // 2] == []  # two keys by chance may be one

    done = migrate.migrate_tables(earlier)

    assert len(done) == NEWEST - int(earlier.clickhouse_database.rpartition("_")[2])
    for name, rows in before.items():
        now = contents(client, name)
        assert len(now) == len(rows), name
        for row, old in zip(now, rows, strict=True):
            holds(row, old, name)
    assert migrate.migrate_tables(earlier) == []
    client.close()


def test_what_is_shipped_again_afterwards_is_known_and_what_is_newer_replaces(earlier: Settings) -> None:
    client = ClickHouse(earlier)
    migrate.migrate_tables(earlier)
    figures = {name: contents(client, name) for name in ("clicks", "observations", "conversions", "stats")}

    store(client)
    client.command("OPTIMIZE TABLE cases FINAL")

    mine = "transaction_id LIKE 't%' AND length(transaction_id) < 4"
    for name, rows in figures.items():
        assert without_place(contents(client, name)) == without_place(rows), name
    newer = [
        changed(
            each,
            version=9,
            conversions=(changed(each.conversions[0], adjusted_by="Anna", adjusted_why="returned"),),
        )
        for each in cases()
    ]
    client.insert_raw("cases", b"\n".join(map(decisions.encode, newer)))
    said = f"SELECT adjusted_by, adjusted_why, version FROM conversions WHERE {mine}"  # noqa: S608  ours
    assert client.query(said).rows == [("Anna", "returned", 9)] * len(newer)
    client.close()


def fill(client: ClickHouse) -> None:
    """Each table has rows with something in each column, and some that mean something."""
    for table in names(client, "%MergeTree"):
        if table == "migrations":
            continue
        columns = client.query(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {t:String}"
            " AND default_kind != 'MATERIALIZED' ORDER BY position",
            {"t": table},
        ).rows
        structure = ", ".join(f"`{name}` {kind}" for name, kind in columns).replace("'", "\\'")
        chosen = ", ".join(
            f"toDateTime64('2026-10-15 00:00:00', 3, 'UTC') + toIntervalSecond(row * 40009) AS `{name}`"
            if name in TIMES
            else f"`{name}`"
            for name, _ in columns
        )
        listed = ", ".join(f"`{name}`" for name, _ in columns)
        seed = zlib.crc32(table.encode())
        client.command(
            f"INSERT INTO {table} ({listed}) SELECT {chosen} FROM"  # noqa: S608  ours
            f" (SELECT *, rowNumberInAllBlocks() AS row FROM generateRandom('{structure}', {seed}, 24, 3)"
            f" LIMIT {ROWS})"
        )
    store(client)


def store(client: ClickHouse) -> None:
    """What a writer stores: visits, statements and cases that reports count."""
    visits = [facts.encode(click(n, source="kept", is_bot=n % 5 == 0)) for n in range(1, 21)]
    stated = [
        facts.encode(changed(POSTBACK, receipt_id=f"{POSTBACK.receipt_id}{n}", transaction_id=f"t{n}"))
        for n in range(1, 21)
    ]
    for table, lines in (
        ("click_facts", visits),
        ("observation_facts", stated),
        ("cases", [*map(decisions.encode, cases())]),
        ("case_history", [*map(decisions.encode, cases())]),
    ):
        client.insert_raw(table, b"\n".join(lines))


def cases() -> list[decisions.Case]:
    """Conversions of every status, with money."""
    statuses = ("approved", "pending", "rejected")
    return [
        changed(
            CASE,
            transaction_id=f"t{n}",
            conversions=(
                changed(
                    CONVERSION,
                    conversion_id=f"{n:032x}",
                    status=statuses[n % 3],
                    payout=Decimal(n) / 100,
                    revenue=Decimal(n),
                    source="kept",
                ),
            ),
        )
        for n in range(1, 21)
    ]


def names(client: ClickHouse, engine: str = "%") -> list[str]:
    sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE {e:String}"
    return sorted(name for (name,) in client.query(sql, {"e": engine}).rows)


def contents(client: ClickHouse, name: str) -> list[dict[str, Any]]:
    """The rows of a table or view, each with its columns by name, in an order of their own."""
    final = " FINAL" if name in names(client, "%MergeTree") else ""
    rows = client.query(f"SELECT formatRow('JSONEachRow', *) FROM `{name}`{final}").rows  # noqa: S608  ours
    found = [json.loads(text, parse_float=Decimal) for (text,) in rows]
    if name == "contradicting_receipts":  # its lists are in no order
        found = [{each: sorted(v) if isinstance(v, list) else v for each, v in row.items()} for row in found]
    return sorted(found, key=lambda row: [str(row[each]) for each in KEYS if each in row])


KEYS = ("receipt_id", "transaction_id", "conversion_id", "notice_id", "identity", "refusal_id", "epoch")
KEYS += ("version", "hour", "offer_id", "affiliate_id", "advertiser_id", "source", "sale_currency")


def holds(now: object, old: object, where: str) -> None:
    """What was there is there as it was; what was not is empty."""
    if isinstance(now, dict) and isinstance(old, dict):
        assert old.keys() <= now.keys(), where
        for name, value in now.items():
            if name in old:
                holds(value, old[name], f"{where}.{name}")
            else:
                assert value in EMPTY, f"{where}.{name}: {value}"
    elif isinstance(now, list) and isinstance(old, list):
        assert len(now) == len(old), where
        for one, other in zip(now, old, strict=True):
            holds(one, other, where)
    else:
        assert now == old, where


def without_place(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "inserted_at"} for row in rows]
