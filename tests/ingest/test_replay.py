"""`roundtrip replay`: what is shipped again, in which order, and what is left to its owner."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

import roundtrip
from ingest import replay
from ingest.journal import cursor
from ingest.journal.cursor import Cursor
from ingest.journal.directory import Directory
from ingest.journal.disk import File, RealDisk
from ingest.replay import Span
from schemas import decisions
from schemas.decisions import Quarantine
from service.errors import Unavailable, Usage
from service.kafka import Outcome, Outgoing, Turned
from tests.ingest.fakes import NOW_MS
from tests.ingest.written import Written

ALL = Span(0, float("inf"))
NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


class Kafka:
    """A producer that keeps what it is given. refuses: values that it never takes; lost: why none comes."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.refuses: set[bytes] = set()
        self.lost = ""

    def ship(self, records: Sequence[Outgoing]) -> "asyncio.Future[Outcome]":
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        bad = any(each.value in self.refuses for each in records)  # a batch is refused for one of it
        turned = [Turned(each, "too large", too_large=True) for each in records if bad]
        if not bad and not self.lost:
            self.records += records
        future.set_result(Outcome({}, turned, self.lost, 0))
        return future


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "journal")


async def replayed(written: Written, kafka: Kafka, span: Span = ALL) -> Counter[str]:
    """As the command does it."""
    sent: Counter[str] = Counter()
    directory = Directory(RealDisk(), written.root)
    with contextlib.ExitStack() as held:
        for source in replay.sources(directory, held):
            sent += await replay.shipped_again(kafka, directory, source, span, lambda _: None)
    return sent


def numbers(kafka: Kafka) -> list[int]:
    return [int(record.value.rpartition(b"-")[2].removesuffix(b'"}')) for record in kafka.records]


async def test_a_journal_that_nobody_uses_is_shipped_whole_and_in_order(written: Written) -> None:
    written.events(3)
    written.journal.close()
    written.opened()
    written.events(2)
    written.journal.close()
    kafka = Kafka()
    assert await replayed(written, kafka) == {"clicks": 5}
    assert numbers(kafka) == [1, 2, 3, 1, 2]
    assert kafka.records[0] == Outgoing("clicks", b"t1", kafka.records[0].value)


async def test_of_a_journal_in_use_what_its_owner_has_shipped_is_shipped_again(written: Written) -> None:
    """Guard: behind its cursor the owner ships, in its order, and what it has not synced is nobody's yet."""
    places = written.events(5)
    cursor.save(RealDisk(), written.path, Cursor(places[3], f"{written.journal.epoch}-3"))
    kafka = Kafka()
    assert await replayed(written, kafka) == {"clicks": 3}
    assert numbers(kafka) == [1, 2, 3]


async def test_without_a_cursor_its_owner_has_shipped_nothing(written: Written) -> None:
    written.events(2)
    assert await replayed(written, Kafka()) == {}


async def test_only_what_was_received_in_the_span_is_shipped(written: Written) -> None:
    """From its first moment up to, without, its last; wherever in the journal: a clock may be set back."""
    written.events(3)
    written.now_ms = NOW_MS - 60_000
    written.events(1)
    written.now_ms = NOW_MS + 2_000
    written.events(1)
    written.journal.close()
    kafka = Kafka()
    await replayed(written, kafka, Span(NOW_MS + 1_000, NOW_MS + 3_000))
    assert numbers(kafka) == [2, 3, 5]
    await replayed(written, kafka, Span(NOW_MS + 1_000, NOW_MS + 2_000))
    assert numbers(kafka)[3:] == [2]


async def test_a_journal_is_held_while_it_is_read_and_free_afterwards(written: Written) -> None:
    written.events(1)
    written.journal.close()
    directory = Directory(RealDisk(), written.root)
    with contextlib.ExitStack() as held:
        assert [source.end for source in replay.sources(directory, held)] == [None]
        other = directory.own()
        assert other.number == 1
        other.lock.release()
    assert directory.own().number == 0


async def test_a_journal_that_cannot_be_taken_is_no_journal_without_events(written: Written) -> None:
    """Guard: exit code 0 says that all that is kept of the span was acknowledged."""
    written.events(3)
    written.journal.close()
    (written.root / "1").touch()
    with pytest.raises(OSError, match="File exists"):
        await replayed(written, Kafka())


async def test_what_kafka_refuses_for_good_lies_in_the_quarantine_and_the_others_arrive(
    written: Written,
) -> None:
    written.events(3)
    written.journal.close()
    kafka = Kafka()
    bad = b'{"receipt_id":"%s-2"}' % written.journal.epoch.encode()
    kafka.refuses = {bad}
    sent = await replayed(written, kafka)
    assert replay.told(sent) == (
        "3 events shipped again: clicks 3; 1 of them refused by Kafka, in the quarantine"
    )
    kept = decisions.decode("quarantine", kafka.records[1].value)
    assert isinstance(kept, Quarantine)
    assert (kept.receipt_id, kept.topic) == (f"{written.journal.epoch}-2", "clicks")
    assert [record.topic for record in kafka.records] == ["clicks", "quarantine", "clicks"]


async def test_where_kafka_fails_nothing_is_said_to_be_shipped(written: Written) -> None:
    written.events(1)
    written.journal.close()
    kafka = Kafka()
    kafka.lost = "Kafka is away"
    with pytest.raises(Unavailable, match="Kafka is away"):
        await replayed(written, kafka)


async def test_what_was_never_answered_is_not_shipped(tmp_path: Path) -> None:
    """An event that was written before a sync that failed; the next epoch names the last one answered."""

    class Failing(RealDisk):
        fails = False

        def create(self, path: Path) -> File:
            file = super().create(path)
            sync = file.sync

            def failing() -> None:
                if self.fails:
                    raise OSError(5, "Input/output error")
                sync()

            file.sync = failing  # type: ignore[method-assign]
            return file

    disk = Failing()
    written = Written(tmp_path / "journal", disk=disk)
    written.events(2)
    disk.fails = True
    with pytest.raises(OSError, match="error"):
        written.events(1)
    disk.fails = False
    written.journal.start()
    written.events(1)
    written.journal.close()
    kafka = Kafka()
    await replayed(written, kafka)
    assert numbers(kafka) == [1, 2, 1]


@pytest.mark.parametrize(
    ("start", "end", "zone", "expected"),
    [
        ("2026-11-23", "2026-11-23", "UTC", ("2026-11-23T00:00+00:00", "2026-11-24T00:00+00:00")),
        (
            "yesterday",
            "2026-11-23T10:00",
            "Europe/Berlin",
            ("2026-11-21T23:00+00:00", "2026-11-23T09:00+00:00"),
        ),
    ],
)
def test_times_are_read_as_report_reads_them(
    start: str, end: str, zone: str, expected: tuple[str, str]
) -> None:
    since, until = (datetime.fromisoformat(each).timestamp() * 1000 for each in expected)
    assert replay.span_of(start, end, zone, NOW) == Span(int(since), int(until))


def test_without_an_end_everything_since_is_meant() -> None:
    assert replay.span_of("today", "", "UTC", NOW).end_ms == float("inf")


@pytest.mark.parametrize(
    ("start", "end", "zone"), [("x", "", "UTC"), ("today", "yesterday", "UTC"), ("today", "", "Mars")]
)
def test_what_cannot_be_meant_is_wrong_usage(start: str, end: str, zone: str) -> None:
    with pytest.raises(Usage):
        replay.span_of(start, end, zone, NOW)


def test_a_kafka_that_is_away_is_a_line_and_exit_code_3(
    written: Written, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written.events(1)
    monkeypatch.setenv("ROUNDTRIP_KAFKA", "127.0.0.1:1")
    monkeypatch.setattr(replay, "ASK_S", 0.2)
    assert roundtrip.main(["replay", "--from", "today", "--dir", str(written.root.parent)]) == 3
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("roundtrip replay"))
    assert "Kafka at 127.0.0.1:1 cannot be reached" in line
