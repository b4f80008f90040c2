"""What the writer promises, on fakes."""

import asyncio
import base64
import logging
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from schemas import decisions, facts
from schemas.decisions import Quarantine
from schemas.reasons import Reason
from service.clickhouse import ClickHouse
from service.errors import Unavailable
from service.kafka import Record
from service.settings import Settings
from sinks import patience, writer
from sinks.writer import Writer
from tests.sinks.examples import CASE, EPOCH, case, click, clicks, record, statement
from tests.sinks.fakes import FakeLogs, FakeOutlet, FakeSource, FakeStorage, until


class Bench:
    """A writer on fakes."""

    def __init__(self, tmp_path: Path, records: list[Record]) -> None:
        self.source, self.storage, self.outlet = FakeSource(records), FakeStorage(), FakeOutlet()
        self.stopping = asyncio.Event()
        self.sources = [self.source]
        self.writer = Writer(
            Settings(dir=tmp_path, writer_batch_s=0.2),
            stopping=self.stopping,
            connect=lambda: self.sources[-1],
            storage=self.storage,
            outlet=self.outlet,
            watch=FakeLogs(),
            registry=CollectorRegistry(),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        work = asyncio.create_task(self.writer.run())
        test = asyncio.current_task()
        assert test
        work.add_done_callback(lambda _: test.cancel() if not self.stopping.is_set() else None)
        try:
            yield
            self.stopping.set()
            async with asyncio.timeout(60):
                await work
        finally:
            self.stopping.set()
            work.cancel()
            if work.done() and not work.cancelled() and (error := work.exception()):
                raise error

    async def committed(self) -> None:
        await until(lambda: bool(self.source.commits))

    @property
    def quarantined(self) -> list[Quarantine]:
        found = [decisions.decode("quarantine", each.value) for each in self.outlet.sent]
        return [each for each in found if isinstance(each, Quarantine)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_S", 0.001)
    monkeypatch.setattr(patience, "MOST_S", 0.01)


async def test_one_insert_a_table_and_flush(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [*clicks(20), case(0), statement("pixels", 0), statement("postbacks", 0)])
    async with bench.running():
        await bench.committed()
    assert sorted((table, rows) for table, rows, _ in bench.storage.inserts) == [
        ("case_history", 1),
        ("cases", 1),
        ("click_facts", 20),
        ("observation_facts", 2),
    ]


async def test_a_batch_has_at_most_the_rows_of_the_setting(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clicks(11_000))
    async with bench.running():
        await until(lambda: len(bench.storage.rows["click_facts"]) == 11_000)
    assert [rows for _, rows, _ in bench.storage.inserts] == [5_000, 5_000, 1_000]


async def test_offsets_are_committed_with_the_identity_of_their_log(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clicks(3))
    async with bench.running():
        await bench.committed()
    assert bench.source.commits == [{("clicks", 0): 3}]
    assert bench.source.notes == {("clicks", 0): "cluster:clicks"}


async def test_nothing_is_committed_before_every_table_has_it(tmp_path: Path) -> None:
    """Guard: commit after the inserts were acknowledged."""
    bench = Bench(tmp_path, [*clicks(3), case(0)])
    seen: list[int] = []
    bench.storage.down = 5

    async def commit(*_: object, **__: object) -> None:
        seen.append(sum(map(len, bench.storage.rows.values())))

    bench.source.commit = commit  # type: ignore[method-assign]
    async with bench.running():
        await until(lambda: bool(seen))
    assert seen == [3 + 2]


async def test_while_clickhouse_is_away_nothing_is_committed_nor_read_and_all_of_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, clicks(12_000))
    bench.storage.down = 1_000_000
    with caplog.at_level(logging.INFO):
        async with bench.running():
            await until(lambda: bench.storage.down < 1_000_000 - 20)
            assert (len(bench.source.waiting), bench.source.commits) == (7_000, [])
            assert bench.writer.storing.problem
            bench.storage.down = 0
            await until(lambda: len(bench.storage.rows["click_facts"]) == 12_000)
    away, again = [entry.message for entry in caplog.records]
    assert away == "storing in ClickHouse: ClickHouse is away; trying again until it works"
    assert re.fullmatch(r"storing in ClickHouse: works again after \d+ s", again)


async def test_a_long_outage_keeps_the_membership_and_reads_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "HOLD_S", 0.01)
    bench = Bench(tmp_path, clicks(3))
    bench.storage.down = 1_000_000
    async with bench.running():
        await until(lambda: len(bench.source.paused) > 2)
        bench.storage.down = 0
        await until(lambda: bool(bench.source.resumed))
    assert set(bench.source.paused) == set(bench.source.resumed) == {frozenset({("clicks", 0)})}


async def test_what_comes_while_it_waits_is_stored_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "HOLD_S", 0.01)
    bench = Bench(tmp_path, clicks(3))
    bench.storage.down = 1_000_000
    async with bench.running():
        await until(lambda: bool(bench.source.paused))
        bench.source.waiting = clicks(2, first=3)
        await until(lambda: not bench.source.waiting)
        bench.storage.down = 0
        await until(lambda: len(bench.storage.rows["click_facts"]) == 5)
        await until(lambda: bench.source.commits[-1] == {("clicks", 0): 5})


async def test_a_stop_while_clickhouse_is_away_commits_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clicks(3))
    bench.storage.down = 1_000_000
    async with bench.running():
        await until(lambda: bool(bench.writer.storing.problem))
    assert (bench.source.commits, bench.source.closed) == ([], True)


async def test_a_stop_finishes_the_batch_at_hand(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clicks(3))
    async with bench.running():
        await until(lambda: not bench.source.waiting)
    assert bench.source.commits == [{("clicks", 0): 3}]


@pytest.mark.parametrize("named", [True, False])
async def test_a_bad_row_goes_to_quarantine_whole_and_the_others_are_stored(
    tmp_path: Path, *, named: bool
) -> None:
    value = facts.encode(click(9))[:-1] + b',"bad":true}'
    bench = Bench(tmp_path, [*clicks(8), record("clicks", 8, value, partition=2), *clicks(3, first=9)])
    bench.storage.named_rows = named
    async with bench.running():
        await bench.committed()
    (found,) = bench.quarantined
    assert len(bench.storage.rows["click_facts"]) == 11
    assert (found.identity, found.receipt_id, found.reader, found.reason) == (
        f"{EPOCH}-9",
        f"{EPOCH}-9",
        "writer",
        Reason.MALFORMED_EVENT,
    )
    assert (found.topic, found.partition, found.offset, base64.b64decode(found.value)) == (
        "clicks",
        2,
        8,
        value,
    )


async def test_a_bad_case_is_set_aside_once_though_two_tables_refuse_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [record("conversions", 0, decisions.encode(CASE)[:-1] + b',"bad":true}')])
    async with bench.running():
        await bench.committed()
    assert len(bench.quarantined) == 1


async def test_bytes_that_are_no_json_have_their_hash_as_identity(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [record("clicks", 0, b"\xff"), record("clicks", 1, b"\xff")])
    async with bench.running():
        await bench.committed()
    assert len({each.identity for each in bench.quarantined}) == 1
    assert len(bench.quarantined[0].identity) == 64


async def test_nothing_is_committed_before_the_quarantine_has_the_bad_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [record("clicks", 0, b"nonsense")])
    bench.outlet.down = 1_000_000
    async with bench.running():
        await until(lambda: bench.outlet.down < 999_990)
        assert bench.source.commits == []
        bench.outlet.down = 0
        await bench.committed()
    assert len(bench.quarantined) == 1


async def test_a_bad_record_of_the_quarantine_itself_does_not_go_round_in_circles(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [record("quarantine", 0, b"nonsense"), record("quarantine", 1, b'{"a":1}')])
    async with bench.running():
        await bench.committed()
    assert bench.outlet.sent == []
    assert [(row["topic"], row["offset"]) for row in bench.storage.rows["quarantine_facts"]] == [
        ("quarantine", 0),
        ("quarantine", 1),
    ]


async def test_a_commit_that_kafka_does_not_take_stops_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clicks(6_000))

    async def commit(*_: object, **__: object) -> None:
        raise Unavailable("the partition belongs to another")

    bench.source.commit = commit  # type: ignore[method-assign]
    async with bench.running():
        await until(lambda: len(bench.storage.rows["click_facts"]) == 6_000)


async def test_a_partition_that_was_taken_away_is_not_committed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [*clicks(2), statement("pixels", 4)])
    bench.source.partitions = frozenset({("pixels", 0)})
    async with bench.running():
        await bench.committed()
    assert bench.source.commits == [{("pixels", 0): 5}]


async def test_a_reader_that_gave_up_is_replaced(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    fresh = FakeSource(clicks(2))

    async def read(*_: object) -> list[Record]:
        bench.sources.append(fresh)
        raise Unavailable("fatal")

    bench.source.read = read  # type: ignore[assignment, method-assign]
    async with bench.running():
        await until(lambda: bool(fresh.commits))
    assert bench.source.closed


async def test_a_replaced_reader_is_well_again_though_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "CALM_S", 0.05)
    bench = Bench(tmp_path, [])
    fresh = FakeSource()
    fresh.partitions = frozenset({("clicks", 0)})

    async def read(*_: object) -> list[Record]:
        bench.sources.append(fresh)
        raise Unavailable("fatal")

    bench.source.read = read  # type: ignore[assignment, method-assign]
    async with bench.running():
        await until(lambda: bool(bench.writer.reading.problem))
        await until(lambda: not bench.writer.reading.problem)


@pytest.mark.parametrize("call", ["insert_raw", "check"])
async def test_a_clickhouse_that_hangs_is_trouble_before_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(writer, "SLOW_S", 0.05)
    bench, answer = Bench(tmp_path, clicks(1)), threading.Event()
    monkeypatch.setattr(bench.storage, call, lambda *_, **__: answer.wait(60))
    async with bench.running():
        look = asyncio.create_task(bench.writer.look())
        await until(lambda: re.fullmatch(r"no answer for \d+ s", bench.writer.trouble()))
        answer.set()
        await until(lambda: not bench.writer.trouble())
        look.cancel()


async def test_a_clickhouse_that_is_away_is_trouble_though_there_is_nothing_to_store(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    bench.writer = Writer(
        Settings(dir=tmp_path, clickhouse="http://127.0.0.1:1"),
        stopping=bench.stopping,
        connect=lambda: bench.source,
        storage=ClickHouse(Settings(clickhouse="http://127.0.0.1:1")),
        outlet=bench.outlet,
        watch=FakeLogs(),
        registry=CollectorRegistry(),
    )
    assert not bench.writer.trouble()
    look = asyncio.create_task(bench.writer.look())
    await until(lambda: bench.writer.trouble() == "cannot be reached")
    look.cancel()
