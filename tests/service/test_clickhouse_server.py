"""What service.clickhouse promises, against a real server."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from deploy.clickhouse_server import ClickHouseServer
from service.clickhouse import ClickHouse
from service.errors import Refused, Unavailable, Unreachable
from service.settings import Settings

pytestmark = pytest.mark.stack
SECRET = "geheim"  # noqa: S105  made up, to see that it is not shown
ROW = b'{"a":%d,"at":"2026-11-23T02:55:00.123Z","m":"1.25","b":true,"new_field":1,"c":null}'


@pytest.fixture
def house(clickhouse_server: ClickHouseServer, tmp_path: Path) -> Iterator[ClickHouse]:
    name = "".join(letter if letter.isalnum() else "_" for letter in tmp_path.name)
    own = ClickHouse(Settings(clickhouse=clickhouse_server.url, clickhouse_database=f"d_{name}"[:60]))
    own.command(f"CREATE DATABASE d_{name}"[:76], database=False)
    own.command(
        "CREATE TABLE t (a UInt32, at DateTime64(3, 'UTC'), m Decimal(18, 6), b Bool, c String)"
        " ENGINE = MergeTree ORDER BY a"
    )
    yield own
    own.close()


def test_wire_records_are_stored_as_they_are(house: ClickHouse) -> None:
    assert house.insert_raw("t", ROW % 7) == 1
    found = house.query("SELECT a, at, m, b, c FROM t WHERE a = {a:UInt32}", {"a": 7})
    assert found.names == ("a", "at", "m", "b", "c")
    [(number, at, money, flag, text)] = found.rows
    assert (number, money, flag, text) == (7, Decimal("1.25"), True, "")
    assert at.replace(tzinfo=UTC) == datetime(2026, 11, 23, 2, 55, 0, 123_000, UTC)
    assert found.dicts()[0]["a"] == 7


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a":"x"}',
        b'{"a":-1}',
        b'{"a":1',
        b"hello",
        b'{"at":"2026-13-45T00:00:00Z"}',
        b'{"m":"99999999999999"}',
        b'{"b":"maybe"}',
    ],
)
def test_a_bad_row_is_refused_with_its_place_and_nothing_is_stored(house: ClickHouse, bad: bytes) -> None:
    with pytest.raises(Refused) as caught:
        house.insert_raw("t", b"\n".join([ROW % 1, ROW % 2, bad, ROW % 4]))
    assert caught.value.row == 3
    assert caught.value.code
    assert "2026-11-23" not in str(caught.value), "the rows after it are nobody's business in a log"
    assert house.command("SELECT count() FROM t") == "0"


def test_a_missing_table_is_no_fault_of_the_rows(house: ClickHouse) -> None:
    with pytest.raises(Unavailable, match="roundtrip migrate"):
        house.insert_raw("nowhere", ROW % 1)


def test_a_bad_query_is_refused(house: ClickHouse) -> None:
    with pytest.raises(Refused) as caught:
        house.query("SELECT nothing FROM t")
    assert caught.value.code == 47


def test_a_query_that_takes_too_long_is_unavailable(house: ClickHouse) -> None:
    with pytest.raises(Unavailable):
        house.query("SELECT sleep(3)", settings={"max_execution_time": 1})


def test_threads_ask_at_the_same_time(house: ClickHouse) -> None:
    """Each asks again and again until one of them sees all four; one after the other each sees itself."""
    asked = "SELECT count(), sleep(0.1) FROM system.processes WHERE query LIKE '%all four at once%'"
    limit, together = time.monotonic() + 60, threading.Event()

    def ask() -> None:
        while not together.is_set() and time.monotonic() < limit:
            if house.query(asked).rows[0][0] == 4:
                together.set()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together.is_set()


def test_a_raw_answer_is_in_the_format_asked_for(house: ClickHouse) -> None:
    house.insert_raw("t", b"\n".join([ROW % 1, ROW % 2]))
    assert house.raw("SELECT a FROM t ORDER BY a") == b'{"a":1}\n{"a":2}\n'


def test_wrong_credentials_are_told_without_the_password(clickhouse_server: ClickHouseServer) -> None:
    house = ClickHouse(
        Settings(clickhouse=clickhouse_server.url, clickhouse_user="nobody", clickhouse_password=SECRET)
    )
    with pytest.raises(Unreachable, match="ROUNDTRIP_CLICKHOUSE_USER") as caught:
        house.check()
    assert SECRET not in str(caught.value)


def test_no_server_is_unavailable_and_unreachable_with_its_address(caplog: pytest.LogCaptureFixture) -> None:
    house = ClickHouse(Settings(clickhouse="http://127.0.0.1:1"))
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1 .*refused"):
        house.query("SELECT 1")
    with pytest.raises(Unreachable):
        house.check()
    assert len(caplog.messages) == 1, "one line for one outage"


def test_a_proxy_in_the_environment_is_not_asked(
    clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert ClickHouse(Settings(clickhouse=clickhouse_server.url)).check()
