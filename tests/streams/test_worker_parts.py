"""What a joiner process does beside its fetches, and that the end of any of it is its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.errors import Problem
from service.lifetime import Lifetime
from service.settings import Settings
from streams import heap, worker
from streams.joiner import Joiner
from streams.kafka import app, fence, topics
from streams.restoring.restorer import Restorer
from streams.worker import Worker

WAIT_S = 60.0


class Faust:
    """Stands for the app: it joins nothing and crashes when it is told to."""

    def __init__(self) -> None:
        self.consumer = SimpleNamespace(point=SimpleNamespace(behind_since=0.0))
        self.transport = SimpleNamespace(fence=object())
        self.consumer_generation_id = 0
        self.crash_reason = ValueError("it broke")
        self._crashed = asyncio.Event()
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()

    async def start(self) -> None:
        self.started.set()

    async def stop(self) -> None:
        self.stopped.set()


class Process:
    """A worker without Kafka. made: what it made its producer with. done: what it did meanwhile."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.life = Lifetime("joiner", Settings(dir=directory, port=0, host="127.0.0.1"))
        self.faust = Faust()
        self.made: dict[str, Any] = {}
        self.done: dict[str, asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()

        async def there(*_: object) -> None: ...

        def producer(_: Settings, **given: Any) -> Any:
            self.made |= given
            return SimpleNamespace(close=there)

        monkeypatch.setattr(topics, "are_there", there)
        monkeypatch.setattr(worker, "Producer", producer)
        monkeypatch.setattr(worker.Follower, "start", lambda _: None)
        monkeypatch.setattr(worker.Follower, "close", lambda _: there())
        monkeypatch.setattr(app, "build", lambda *_: self.faust)
        for name in ("LOOK_S", "TRY_S", "EXPIRE_S", "TRIM_S"):
            monkeypatch.setattr(worker, name, 0.01)
        monkeypatch.setattr(heap, "trim", self._noting("gives memory back"))
        self._watch(Joiner, "resume", "tries what waits")
        self._watch(Joiner, "expire", "lets go what is old")
        self._watch(Joiner, "look_at_logs", "looks at the logs")
        self._watch(Restorer, "run", "restores")
        self.worker = Worker(self.life)

    async def run(self) -> None:
        await self.life.run(lambda _: self.worker.run())

    def _watch(self, owner: type, method: str, what: str) -> None:
        noted = self._noting(what)

        async def watched(*_: object) -> int:
            noted()
            return 0

        self._monkeypatch.setattr(owner, method, watched)

    def _noting(self, what: str) -> Callable[[], object]:
        event = self.done[what] = asyncio.Event()
        return lambda: self._loop.call_soon_threadsafe(event.set)


@pytest.fixture
async def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    made = Process(tmp_path, monkeypatch)
    yield made
    made.life.stop("the test is over")


async def ended(running: Awaitable[None]) -> None:
    await asyncio.wait_for(running, WAIT_S)


async def test_what_waits_is_tried_what_is_old_leaves_logs_are_looked_at_and_states_come_back(
    process: Process,
):
    running = asyncio.create_task(process.run())
    everything = asyncio.gather(*(event.wait() for event in process.done.values()))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(everything, WAIT_S)
    assert [what for what, event in process.done.items() if not event.is_set()] == []
    process.life.stop("enough")
    await ended(running)
    assert process.faust.stopped.is_set(), "it leaves its group"


async def test_the_end_of_faust_is_the_end_of_the_process(process: Process):
    """It never comes back from a crash, and would answer health checks for ever."""
    process.faust._crashed.set()
    with pytest.raises(Problem, match=r"Faust ended: ValueError\('it broke'\)"):
        await ended(process.run())


async def test_a_group_that_is_never_joined_is_the_end_of_it_too(
    process: Process, monkeypatch: pytest.MonkeyPatch
):
    async def too_long(*_: object) -> None:
        raise Problem("the group was not joined")

    monkeypatch.setattr(worker, "joined", too_long)
    with pytest.raises(Problem, match="not joined"):
        await ended(process.run())


async def test_what_it_sends_is_given_up_before_others_may_have_the_partition(process: Process):
    running = asyncio.create_task(process.run())
    await asyncio.wait_for(process.faust.started.wait(), WAIT_S)
    ties = process.worker._joiner.ties
    assert process.made["delivery_s"] == fence.sending_s(process.life.settings.kafka_session_s)
    assert (ties.fence, ties.consumer) == (process.faust.transport.fence, process.faust.consumer)
    process.life.stop("enough")
    await ended(running)
