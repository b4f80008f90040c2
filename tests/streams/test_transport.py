"""Whole fetches pass, and reading goes on where it should."""

import asyncio
import itertools
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    OffsetOutOfRangeError,
    UnknownMemberIdError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from service.errors import Problem
from service.settings import Settings
from streams.kafka import app, client, transport
from streams.kafka.assignor import Assignor
from streams.kafka.client import ConsumerThread
from streams.kafka.dealing import unpack
from streams.kafka.fetch import Fetch, Slice
from streams.kafka.transport import Consumer
from streams.state import reach

CLICKS, PIXELS = TP("clicks", 0), TP("pixels", 0)


def aiokafka_at(positions: Mapping[TP, int]) -> Any:
    """Stands for aiokafka's consumer: where it reads next."""
    states = {tp: SimpleNamespace(position=at, has_valid_position=True) for tp, at in positions.items()}
    assignment = SimpleNamespace(tps=states.keys(), state_value=states.get)
    subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    return SimpleNamespace(_subscription=subscription, highwater=lambda tp: 10 if tp in states else None)


class FakeThread:
    """Stands for the thread with aiokafka's consumer."""

    def __init__(self) -> None:
        self.assigned = {CLICKS, PIXELS}
        self.fetches: list[dict[TP, Slice]] = []
        self.commits: list[dict[TP, int]] = []
        self.commit_works = True
        self.seeks: list[Mapping[TP, int]] = []
        self.position = 0
        self._consumer: Any = None

    def assignment(self) -> set[TP]:
        return self.assigned

    def _ensure_consumer(self) -> Any:
        return aiokafka_at({CLICKS: self.position})

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        self.commits.append(dict(offsets))
        return self.commit_works

    async def getmany(self, _active: Iterable[TP], timeout: float) -> dict[TP, Slice]:  # noqa: ASYNC109  Faust's
        assert timeout > 0
        return self.fetches.pop(0)

    async def seek_wait(self, offsets: Mapping[TP, int]) -> None:
        self.seeks.append(offsets)


class Rig:
    """A consumer of an app that was never started."""

    def __init__(self, directory: Path) -> None:
        self.released: list[frozenset[TP]] = []
        self.start: Mapping[TP, int] | None = {}
        self.app = app.build(Settings(dir=directory), self._nothing, self._start_at, self._released)
        self.consumer: Consumer = self.app.consumer
        self.thread = self.consumer._thread = FakeThread()
        self.consumer._set_active_tps(self.thread.assigned)

    async def _nothing(self, _fetch: Fetch) -> None: ...

    async def _start_at(self, _assigned: frozenset[TP]) -> Mapping[TP, int] | None:
        return self.start

    async def _released(self, revoked: frozenset[TP]) -> None:
        self.released.append(revoked)

    async def messages(self) -> list[Any]:
        return [message async for _, message in self.consumer.getmany(1.0)]


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def slice_of(tp: TP, start: int, *offsets: int) -> Slice:
    records = [SimpleNamespace(offset=offset, timestamp=0) for offset in offsets]
    return Slice(tp.topic, tp.partition, start, offsets[-1] + 1, records)


FETCH = {CLICKS: slice_of(CLICKS, 0, 0, 1, 2), PIXELS: slice_of(PIXELS, 7, 9)}


async def test_a_poll_is_one_message_with_every_partition_in_it(rig: Rig):
    rig.thread.fetches = [FETCH]
    (message,) = await rig.messages()
    assert message.value == Fetch(tuple(FETCH.values()))
    assert (message.tp, message.offset) == (PIXELS, 9)


async def test_what_faust_acknowledges_commits_nothing(rig: Rig):
    rig.thread.fetches = [FETCH]
    (message,) = await rig.messages()
    rig.consumer.track_message(message)
    message.ack(rig.consumer)
    await rig.consumer.commit()
    assert rig.thread.commits == []
    assert not rig.consumer.unacked


async def test_a_gap_that_faust_takes_for_handled_commits_nothing(rig: Rig):
    await rig.consumer._add_gap(CLICKS, 0, 10)
    await rig.consumer.commit()
    assert rig.thread.commits == []


async def test_what_was_handled_is_committed_once_also_by_a_group_that_never_committed(rig: Rig):
    rig.consumer.handled({CLICKS: 3, PIXELS: 10})
    assert await rig.consumer.commit()
    assert not await rig.consumer.commit()
    assert rig.thread.commits == [{CLICKS: 3, PIXELS: 10}]


async def test_the_first_record_of_a_log_can_be_committed(rig: Rig):
    rig.consumer.handled({CLICKS: 1})
    await rig.consumer.commit()
    assert rig.thread.commits == [{CLICKS: 1}]


async def test_a_commit_never_goes_beyond_what_was_handled_nor_back(rig: Rig):
    rig.thread.fetches = [FETCH]
    await rig.messages()
    rig.consumer.handled({CLICKS: 3})
    rig.consumer.handled({CLICKS: 2})
    await rig.consumer.commit()
    assert rig.thread.commits == [{CLICKS: 3}]


async def test_what_faust_takes_for_gaps_is_not_gathered(rig: Rig):
    """It finds one before each fetch, and would keep them all."""
    await rig.consumer._add_gap(CLICKS, 1, 1_000)
    assert not rig.consumer._gap


async def test_a_failed_commit_is_not_taken_for_done(rig: Rig):
    rig.thread.commit_works = False
    rig.consumer.handled({CLICKS: 3})
    assert not await rig.consumer.commit()
    rig.thread.commit_works = True
    assert await rig.consumer.commit()
    assert rig.thread.commits == [{CLICKS: 3}, {CLICKS: 3}]


async def test_partitions_that_were_taken_away_are_not_committed(rig: Rig):
    rig.consumer.handled({CLICKS: 3, PIXELS: 10})
    rig.thread.assigned = {PIXELS}
    await rig.consumer.commit()
    assert rig.thread.commits == [{PIXELS: 10}]


async def test_reading_begins_where_the_state_says_whatever_was_committed(rig: Rig):
    rig.consumer.point.committed({CLICKS: 50})
    rig.start = {CLICKS: 20, PIXELS: 0}
    await rig.consumer.perform_seek()
    assert rig.thread.seeks == [rig.start]
    await rig.consumer.commit()
    assert rig.thread.commits == [{CLICKS: 20, PIXELS: 0}]


async def test_an_assignment_that_was_overtaken_starts_nothing(rig: Rig):
    rig.start = None
    with pytest.raises(IllegalStateError):
        await rig.consumer.perform_seek()
    assert rig.thread.seeks == []


async def test_a_fetch_that_faust_dropped_is_read_again_also_on_a_quiet_topic(rig: Rig):
    rig.thread.position = 3
    rig.start = {CLICKS: 0}
    await rig.consumer.perform_seek()
    rig.thread.seeks.clear()
    ahead = await rig.consumer.look_for_holes({})
    assert (ahead, rig.thread.seeks) == ({CLICKS: 3}, [])
    await rig.consumer.look_for_holes(ahead)
    assert rig.thread.seeks == [{CLICKS: 0}]


async def test_reading_again_what_was_just_taken_away_ends_nothing(rig: Rig):
    async def gone(_offsets: object) -> None:
        raise IllegalStateError("not assigned")

    rig.thread.seek_wait = gone  # type: ignore[method-assign]
    await rig.consumer.rewind({CLICKS: 0})


async def test_a_fetch_in_work_or_done_is_no_hole(rig: Rig):
    rig.thread.position = 3
    rig.start = {CLICKS: 0}
    await rig.consumer.perform_seek()
    rig.thread.fetches = [FETCH]
    (message,) = await rig.messages()
    rig.consumer.track_message(message)
    assert await rig.consumer.look_for_holes({CLICKS: 3}) == {}
    message.ack(rig.consumer)
    rig.consumer.handled({CLICKS: 3})
    assert await rig.consumer.look_for_holes({CLICKS: 3}) == {}


async def test_a_full_queue_or_a_stopped_flow_skips_no_partition(rig: Rig):
    rig.consumer.on_buffer_full(CLICKS)
    rig.thread.fetches = [FETCH]
    (message,) = await rig.messages()
    assert len(message.value.slices) == 2


async def test_revoked_partitions_are_released_after_faust_is_done_with_them(rig: Rig):
    rig.consumer.handled({CLICKS: 3, PIXELS: 10})
    order: list[str] = []

    async def faust(_revoked: set[TP]) -> None:
        order.append(f"faust, {await rig.consumer.commit()}")

    async def released(_revoked: frozenset[TP]) -> None:
        order.append("released")

    rig.consumer._on_partitions_revoked = faust
    rig.consumer.transport.released = released
    await rig.consumer.on_partitions_revoked({CLICKS})
    assert order == ["faust, True", "released"]
    assert rig.thread.commits == [{CLICKS: 3, PIXELS: 10}]
    assert rig.consumer.point.handled == {PIXELS: 10}


def thread() -> ConsumerThread:
    """A thread that was not started."""
    made = ConsumerThread.__new__(ConsumerThread)
    made.transport = SimpleNamespace(settings=Settings(kafka="nowhere:1"))
    made._read = {}
    return made


async def test_a_kafka_that_goes_away_before_the_first_connection_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """In one line, and without the trace of aiokafka's error: the process would end."""
    monkeypatch.setattr(client, "CONNECT_S", 0.0)
    closed: list[int] = []
    heard: list[object] = []
    tries = itertools.count(1)
    made = thread()
    made.transport.settings = Settings(kafka="just-gone:1")
    made.transport.fence = SimpleNamespace(listen=heard.append)
    made._stopped = asyncio.Event()
    made._crashed = asyncio.Event()

    async def started(self: Any) -> None:
        number = next(tries)

        async def stop() -> None:
            closed.append(number)

        self._consumer = SimpleNamespace(_coordinator=number, stop=stop)
        if number < 3:
            raise KafkaConnectionError("Unable to bootstrap from [('just-gone', 1, 0)]")

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", started)
    await asyncio.wait_for(made.on_start(), 60)
    assert (closed, heard) == ([1, 2], [3])
    away, back = [each.getMessage() for each in caplog.records]
    assert away.startswith("Kafka at just-gone:1 cannot be reached: ")
    assert re.fullmatch(r"Kafka at just-gone:1 can be reached again after \d+ s", back)


class Reading:
    """A thread's reading of an aiokafka that stands at these positions after each fetch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.positions: dict[TP, int] = {}
        self.found: dict[TopicPartition, list[Any]] = {}
        self.thread = thread()
        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", self._found)
        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_seek_wait", self._sought)

    async def _found(self, *_: object) -> dict[TopicPartition, list[Any]]:
        return self.found

    async def _sought(self, *_: object) -> None: ...

    async def seek(self, offsets: Mapping[TP, int]) -> None:
        await self.thread._seek_wait(None, offsets)

    async def fetch(self, found: Mapping[TP, Sequence[int]], positions: Mapping[TP, int]) -> list[Slice]:
        self.found = {TopicPartition(*tp): slice_of(tp, 0, *offsets).records for tp, offsets in found.items()}
        consumer = aiokafka_at(positions)
        return [*(await self.thread._fetch_records(consumer, set(positions), 1.0, 9)).values()]


def bounds(slices: Iterable[Slice]) -> list[tuple[str, int, int, int]]:
    return [(each.topic, each.start, each.end, len(each.records)) for each in slices]


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    return Reading(monkeypatch)


async def test_a_slice_goes_from_where_reading_stood_to_where_it_stands(reading: Reading):
    await reading.seek({CLICKS: 3})
    assert bounds(await reading.fetch({CLICKS: [5, 6]}, {CLICKS: 9})) == [("clicks", 3, 9, 2)]
    assert bounds(await reading.fetch({CLICKS: [9]}, {CLICKS: 10})) == [("clicks", 9, 10, 1)]


async def test_a_slice_tells_where_its_log_ended(reading: Reading):
    await reading.seek({CLICKS: 3})
    assert [each.log_end for each in await reading.fetch({CLICKS: [5]}, {CLICKS: 6})] == [10]


async def test_a_stretch_without_records_is_read_too(reading: Reading):
    """What compaction removed, and a transaction's marker: else the reader waits for them for ever."""
    await reading.seek({CLICKS: 3, PIXELS: 0})
    assert bounds(await reading.fetch({}, {CLICKS: 5, PIXELS: 0})) == [("clicks", 3, 5, 0)]
    assert await reading.fetch({}, {CLICKS: 5, PIXELS: 0}) == []


async def test_after_a_seek_a_slice_begins_there(reading: Reading):
    await reading.seek({CLICKS: 3})
    await reading.fetch({CLICKS: [3]}, {CLICKS: 4})
    await reading.seek({CLICKS: 2})
    assert bounds(await reading.fetch({CLICKS: [2, 3]}, {CLICKS: 4})) == [("clicks", 2, 4, 2)]


async def test_so_it_does_where_one_partition_alone_was_sent_elsewhere(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "seek", lambda *_: None)
    await reading.seek({CLICKS: 3})
    await reading.fetch({CLICKS: [3]}, {CLICKS: 4})
    reading.thread.seek(CLICKS, 2)
    assert bounds(await reading.fetch({CLICKS: [2, 3]}, {CLICKS: 4})) == [("clicks", 2, 4, 2)]


async def test_what_was_taken_away_while_it_was_fetched_is_no_slice(reading: Reading):
    await reading.seek({CLICKS: 3})
    assert await reading.fetch({CLICKS: [3]}, {}) == []


async def test_a_fetch_without_records_passes(rig: Rig):
    rig.thread.fetches = [{CLICKS: Slice("clicks", 0, 3, 5, [])}]
    (message,) = await rig.messages()
    assert (message.tp, message.offset) == (CLICKS, 4)


def out_of_range(rig: Rig) -> None:
    async def raise_(*_: object, **__: object) -> None:
        raise OffsetOutOfRangeError({CLICKS: 40})

    rig.thread.getmany = raise_  # type: ignore[method-assign, assignment]


async def test_where_the_log_lacks_the_offset_it_is_asked_again_where_to_read(rig: Rig):
    out_of_range(rig)
    rig.start = {CLICKS: 0}
    assert await rig.messages() == []
    assert rig.thread.seeks == [{CLICKS: 0}]


async def test_but_only_when_the_fetch_in_work_is_done_whose_offsets_are_another_logs(rig: Rig):
    rig.thread.fetches = [FETCH]
    (message,) = await rig.messages()
    rig.consumer.track_message(message)
    out_of_range(rig)
    rig.start = {CLICKS: 0}
    looking = asyncio.create_task(rig.messages())
    for _ in range(9):
        await asyncio.sleep(0)
    assert rig.thread.seeks == []
    rig.consumer.handled({CLICKS: 3})
    message.ack(rig.consumer)
    await looking
    assert rig.thread.seeks == [{CLICKS: 0}]
    assert rig.consumer.point.handled == {CLICKS: 0}


async def test_it_is_looked_for_silence_and_holes_from_time_to_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    """What a look finds ends the process, as what Faust's own tasks raise does."""
    monkeypatch.setattr(transport, "LOOK_S", 0.0)
    looks: list[str] = []

    async def holes(before: Mapping[TP, int]) -> dict[TP, int]:
        looks.append(f"holes after {dict(before)}")
        return {CLICKS: 3}

    def silence() -> None:
        looks.append("silence")
        if len(looks) > 3:
            raise Problem("silent")

    rig.consumer.look_for_silence = silence  # type: ignore[method-assign]
    rig.consumer.look_for_holes = holes  # type: ignore[method-assign, assignment]
    with pytest.raises(Problem, match="silent"):
        await asyncio.wait_for(Consumer._look.fun(rig.consumer), 60)
    ahead = f"holes after { ({CLICKS: 3}) }"
    assert looks == ["silence", "holes after {}", "silence", ahead, "silence"]


def test_a_client_that_stopped_working_ends_the_process(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport.liveness, "silent", lambda _: "fetching: was cancelled")
    rig.thread._consumer = object()
    with pytest.raises(Problem, match="stopped working: fetching"):
        rig.consumer.look_for_silence()


def test_the_consumer_deals_by_number_commits_nothing_by_itself_and_has_bounds(
    monkeypatch: pytest.MonkeyPatch,
):
    given: dict[str, Any] = {}
    monkeypatch.setattr(client.aiokafka, "AIOKafkaConsumer", lambda **more: given.update(more))
    made = thread()
    made.app = SimpleNamespace(conf=SimpleNamespace(id="p-joiner"))
    made._create_worker_consumer(made.transport)
    assert [type(each) for each in given["partition_assignment_strategy"]] == [Assignor]
    assert given["enable_auto_commit"] is False
    assert (given["group_id"], given["auto_offset_reset"]) == ("p-joiner", "none")
    assert given["max_poll_interval_ms"] > 10 * 86_400_000, "a batch waits for a broker as long as it takes"
    assert given["metadata_max_age_ms"] <= 5_000, "so long a group may have been joined with nothing to read"
    assert (given["max_poll_records"], given["max_partition_fetch_bytes"]) == (4_000, 256 << 10)
    assert given["fetch_max_bytes"] == 8 << 20
    session_ms = int(made.transport.settings.kafka_session_s * 1000)
    assert (given["session_timeout_ms"], given["heartbeat_interval_ms"]) == (session_ms, session_ms // 4)
    assert given["security_protocol"] == "PLAINTEXT"


def test_the_consumer_says_how_far_the_states_beside_it_have_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Else who comes back would load what lies on its disk."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(client.aiokafka, "AIOKafkaConsumer", lambda **more: given.update(more))
    (tmp_path / "joiner" / "3").mkdir(parents=True)
    reach.note(tmp_path / "joiner" / "3", [7])
    made = thread()
    made.app = SimpleNamespace(conf=SimpleNamespace(id="p-joiner"))
    made._create_worker_consumer(SimpleNamespace(settings=Settings(dir=tmp_path)))
    (assignor,) = given["partition_assignment_strategy"]
    assert unpack(assignor.metadata(["clicks"]).user_data).on_disk == {3: 7.0}


def test_security_settings_reach_aiokafka():
    given = Settings(kafka_security="sasl_plaintext", kafka_user="u", kafka_password="p")  # noqa: S106  a test's
    assert client._security(given) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }
    assert client._security(Settings(kafka_security="ssl"))["ssl_context"] is not None


def line(
    name: str, lineno: int = 1, level: int = logging.ERROR, error: type[Exception] = ValueError
) -> logging.LogRecord:
    trace = (error, error("why"), None)
    return logging.LogRecord(name, level, "file.py", lineno, "it %s", ("broke",), trace)


def test_faust_says_its_errors_one_line_a_minute_from_one_place_without_traces():
    now = [0.0]
    quiet = app.OneLine(verbose=False, clock=lambda: now[0])
    first = line("faust.app")
    assert quiet.filter(first)
    assert (first.getMessage(), first.exc_info) == ("it broke (ValueError('why'))", None)
    assert not quiet.filter(line("faust.app"))
    assert quiet.filter(line("faust.app", lineno=2))
    assert not quiet.filter(line("faust.app", lineno=3, level=logging.WARNING))
    now[0] = 60.0
    assert quiet.filter(line("faust.app"))


def test_aiokafka_says_nothing_and_we_all_unless_everything_is_asked_for():
    quiet, verbose = app.OneLine(verbose=False), app.OneLine(verbose=True)
    assert not quiet.filter(line("aiokafka.conn"))
    assert [quiet.filter(line("streams.joiner", level=logging.INFO)) for _ in range(2)] == [True, True]
    assert verbose.filter(line("aiokafka.conn", level=logging.DEBUG))


def test_a_commit_that_was_given_up_fails_unheard_other_forgotten_errors_do_not():
    quiet = app.OneLine(verbose=False)
    assert not quiet.filter(line("asyncio", error=UnknownMemberIdError))
    assert quiet.filter(line("asyncio"))
