"""A worker writes and sends only while its group counts on it; what it has in work otherwise is dropped."""

import asyncio
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from faust.transport.drivers import aiokafka as driver

from service.errors import Unavailable
from service.outage import Outage
from service.settings import Settings
from streams.joiner import Joiner
from streams.kafka import app
from streams.kafka import fence as module
from streams.kafka.client import ConsumerThread
from streams.kafka.fence import Fence, Fenced, sending_s
from streams.worker import Worker
from tests.streams.joining import cases, postback, record
from tests.streams.rig import Rig, fetch

SESSION_S = 10.0

# What the fence listens to in aiokafka, by the digest of its source.
RELIED_ON = {
    GroupCoordinator._send_req: "fa4b12e914ce",
    GroupCoordinator._do_heartbeat: "dc1d6632aaa6",
    GroupCoordinator.reset_generation: "537aa37c531b",
    CoordinatorGroupRebalance._send_sync_group_request: "7429ca078ddf",
}
HEARTBEAT = HeartbeatRequest("g", 1, "m")
SYNC = SyncGroupRequest("g", 1, "m", "", [])
WELL, UNKNOWN_MEMBER, REBALANCING = 0, 25, 27


@pytest.mark.parametrize("function", RELIED_ON, ids=lambda each: each.__qualname__)
def test_aiokafka_still_says_what_the_fence_listens_to(function: Any) -> None:
    digest = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]
    assert digest == RELIED_ON[function], (
        f"aiokafka's {function.__qualname__} is no longer what kafka/fence.py was written for: read it, see"
        f" whether the fence still hears each answer of the coordinator, then write {digest} here"
    )


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fence(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Fence:
    monkeypatch.setattr(module, "POLL_S", 0.0)
    return Fence(SESSION_S, clock)


@pytest.fixture
def going_on() -> asyncio.Event:
    return asyncio.Event()


def test_the_time_of_a_suspended_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = {module.time.CLOCK_MONOTONIC: 100.0, module.time.CLOCK_BOOTTIME: 3_700.0}
    monkeypatch.setattr(module.time, "clock_gettime", clocks.__getitem__)
    assert module.boot_s() == 3_700.0


def test_who_never_joined_was_given_nothing_that_others_could_have(fence: Fence) -> None:
    assert fence.is_open


def test_it_shuts_so_early_that_what_passed_it_is_sent_or_given_up_within_the_sessions_time(
    fence: Fence, clock: Clock
) -> None:
    fence.confirmed(clock())
    clock.now_s += SESSION_S - sending_s(SESSION_S) - 0.1
    assert fence.is_open
    clock.now_s += 0.2
    assert not fence.is_open


def test_the_time_counts_from_the_asking_not_from_the_answer(fence: Fence, clock: Clock) -> None:
    asked_at = clock()
    clock.now_s += SESSION_S + 1  # stopped between the two
    fence.confirmed(asked_at)
    assert not fence.is_open


async def test_whoever_waits_goes_on_when_the_group_answers(
    fence: Fence, clock: Clock, going_on: asyncio.Event
) -> None:
    fence.confirmed(clock())
    clock.now_s += SESSION_S + 1
    waiting = asyncio.ensure_future(fence.passed(going_on))
    await asyncio.sleep(0)
    assert not waiting.done()
    fence.confirmed(clock())
    await asyncio.wait_for(waiting, 60)


async def test_whoever_waits_gives_up_when_the_group_does_not_know_it_any_more(
    fence: Fence, clock: Clock, going_on: asyncio.Event
) -> None:
    fence.confirmed(clock())
    clock.now_s += SESSION_S + 1
    waiting = asyncio.ensure_future(fence.passed(going_on))
    await asyncio.sleep(0)
    fence.lost()
    with pytest.raises(Fenced):
        await asyncio.wait_for(waiting, 60)


async def test_a_stop_waits_for_no_answer(fence: Fence, clock: Clock, going_on: asyncio.Event) -> None:
    fence.confirmed(clock())
    clock.now_s += SESSION_S + 1
    going_on.set()
    with pytest.raises(Unavailable):
        await fence.passed(going_on)


def test_a_new_assignment_opens_it_again(fence: Fence, clock: Clock) -> None:
    fence.lost()
    assert not fence.is_open
    fence.confirmed(clock())
    assert fence.is_open


class Coordinator:
    """As aiokafka's: sends requests and forgets who it was."""

    def __init__(self, answer: object = None, on_send: Callable[[], None] = lambda: None) -> None:
        self.answer = answer
        self.on_send = on_send
        self.forgotten = 0

    async def _send_req(self, _request: object) -> object:
        self.on_send()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def reset_generation(self) -> None:
        self.forgotten += 1


@pytest.mark.parametrize(("asked", "answer"), [(HEARTBEAT, WELL), (HEARTBEAT, REBALANCING), (SYNC, WELL)])
async def test_a_coordinator_that_knows_the_member_opens_it(
    fence: Fence, clock: Clock, asked: object, answer: int
) -> None:
    fence.confirmed(clock() - SESSION_S - 1)
    coordinator = Coordinator(SimpleNamespace(error_code=answer))
    fence.listen(coordinator)
    assert await coordinator._send_req(asked) == SimpleNamespace(error_code=answer)
    assert fence.is_open


async def test_an_answer_counts_from_when_it_was_asked_for(fence: Fence, clock: Clock) -> None:
    """Between the two the process may have been held still."""

    def held_still() -> None:
        clock.now_s += SESSION_S + 1

    coordinator = Coordinator(SimpleNamespace(error_code=WELL), held_still)
    fence.listen(coordinator)
    await coordinator._send_req(HEARTBEAT)
    assert not fence.is_open


COMMITTED = SimpleNamespace(topics=[])  # a commit's answer has an error for each partition, none of its own


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (HEARTBEAT, SimpleNamespace(error_code=UNKNOWN_MEMBER)),
        (SYNC, SimpleNamespace(error_code=REBALANCING)),
        (SimpleNamespace(), COMMITTED),
    ],
)
async def test_any_other_answer_says_nothing(
    fence: Fence, clock: Clock, asked: object, answer: object
) -> None:
    fence.confirmed(clock() - SESSION_S - 1)
    coordinator = Coordinator(answer)
    fence.listen(coordinator)
    assert await coordinator._send_req(asked) is answer
    assert not fence.is_open


async def test_a_request_that_fails_says_nothing_and_fails(fence: Fence, clock: Clock) -> None:
    fence.confirmed(clock() - SESSION_S - 1)
    coordinator = Coordinator(ConnectionError("gone"))
    fence.listen(coordinator)
    with pytest.raises(ConnectionError):
        await coordinator._send_req(HEARTBEAT)
    assert not fence.is_open


def test_a_member_that_kafka_forgot_is_out_and_joins_anew(fence: Fence) -> None:
    coordinator = Coordinator()
    fence.listen(coordinator)
    coordinator.reset_generation()
    assert not fence.is_open
    assert coordinator.forgotten == 1


def shut(joiner: Joiner) -> Fence:
    """The joiner's fence, shut."""
    joiner.ties.fence = Fence(SESSION_S, Clock())
    joiner.ties.fence.confirmed(Clock.now_s - SESSION_S - 1)
    return joiner.ties.fence


async def test_behind_a_shut_fence_nothing_is_written_or_sent_until_the_group_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.0)
    rig = Rig(tmp_path)
    joiner = await rig.started()
    fence = shut(joiner)
    absorb, came = joiner._storing.absorb, asyncio.Event()
    written: list[bool] = []

    def absorbed(*given: Any) -> Any:
        written.append(fence.is_open)
        return absorb(*given)

    async def waited(_: float) -> None:
        came.set()
        await asyncio.tasks.__sleep0()  # type: ignore[attr-defined]

    joiner._storing.absorb = absorbed  # type: ignore[method-assign]
    monkeypatch.setattr(module.asyncio, "sleep", waited)
    work = asyncio.ensure_future(joiner.handle(fetch(record(postback()))))
    await asyncio.wait_for(
        asyncio.wait({work, asyncio.ensure_future(came.wait())}, return_when="FIRST_COMPLETED"), 60
    )
    assert (written, rig.kafka.events) == ([], [])
    fence.confirmed(Clock.now_s)
    await asyncio.wait_for(work, 60)
    assert (written, rig.kafka.events) == ([True], ["sent", "handled"])


async def test_what_was_written_before_it_shut_is_not_sent_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays in the outbox: whoever has the state next sends it, or knows that others have."""
    monkeypatch.setattr(module, "POLL_S", 0.0)
    rig = Rig(tmp_path)
    joiner = await rig.started()
    absorb = joiner._storing.absorb

    def absorbed(*given: Any) -> Any:
        tally = absorb(*given)
        joiner.ties.fence.lost()
        return tally

    joiner._storing.absorb = absorbed  # type: ignore[method-assign]
    await asyncio.wait_for(joiner.handle(fetch(record(postback()))), 60)
    assert (rig.kafka.events, rig.failures) == ([], [])
    await joiner.close()
    assert len(cases(rig.outbox())) == 1


async def test_who_is_out_drops_what_is_in_work_and_does_not_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path)
    joiner = await rig.started()
    shut(joiner).lost()
    await joiner.handle(fetch(record(postback())))
    assert (rig.kafka.events, rig.failures) == ([], [])
    assert "Kafka gave this worker's partitions to others" in caplog.text


async def test_who_is_out_and_tries_what_waits_does_not_end_either(tmp_path: Path) -> None:
    """Both are due when a process that was held still goes on: the fetch in work, and what waits."""
    rig = Rig(tmp_path)
    joiner = await rig.started()
    absorb = joiner._storing.absorb

    def absorbed(*given: Any) -> None:
        absorb(*given)
        joiner.ties.fence.lost()

    joiner._storing.absorb = absorbed  # type: ignore[method-assign]
    await joiner.handle(fetch(record(postback())))
    assert await joiner.resume() == 0
    assert (rig.kafka.events, rig.failures) == ([], [])


async def test_the_consumer_tells_it_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator()
    thread = ConsumerThread.__new__(ConsumerThread)
    thread.transport = SimpleNamespace(fence=Fence(SESSION_S), settings=Settings())
    thread._stopped, thread._crashed = asyncio.Event(), asyncio.Event()

    async def started(self: Any) -> None:
        self._consumer = SimpleNamespace(_coordinator=coordinator)

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", started)
    await thread.on_start()
    coordinator.reset_generation()
    assert not thread.transport.fence.is_open


async def test_the_worker_gives_the_joiner_the_fence_that_the_consumer_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Fence(SESSION_S)
    ties = SimpleNamespace(fence=None)
    joiner = SimpleNamespace(handle=None, start_at=None, released=None, ties=ties)
    made = Worker.__new__(Worker)
    made._joiner, made._settings, made._kafka = joiner, Settings(), Outage("Kafka")  # type: ignore[assignment]
    made._readiness = SimpleNamespace(consumer=None)  # type: ignore[assignment]
    made._life = SimpleNamespace(  # type: ignore[assignment]
        on_close=lambda *_: None, spawn=lambda work, _: work.close(), stopping=asyncio.Event()
    )
    made._life.stopping.set()

    async def start() -> None:
        await asyncio.Event().wait()

    faust = SimpleNamespace(consumer=None, transport=SimpleNamespace(fence=told), start=start)
    monkeypatch.setattr(app, "build", lambda *_: faust)
    await asyncio.wait_for(made._join(), 60)
    assert ties.fence is told
