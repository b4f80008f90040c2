"""A hand does jobs one after the other, and says in the loop how the disk took each."""

import asyncio
import errno
import threading
from collections.abc import Callable

import pytest

from ingest.journal.hand import Hand, ThreadHand
from tests.ingest.journal.hands import HeldHand


@pytest.fixture(params=[ThreadHand, HeldHand])
async def hand(request: pytest.FixtureRequest) -> Hand:
    made: Hand = request.param()
    return made


async def told(hand: Hand, *jobs: Callable[[], None]) -> list[OSError | None]:
    """How the disk took each job; all are given at once."""
    found: list[OSError | None] = []
    done = asyncio.Event()
    home = threading.get_ident()

    def then(problem: OSError | None) -> None:
        assert threading.get_ident() == home
        found.append(problem)
        if len(found) == len(jobs):
            done.set()

    for job in jobs:
        hand.do(job, then)
    async with asyncio.timeout(60):
        await done.wait()
    return found


async def test_jobs_are_done_in_order(hand: Hand) -> None:
    order: list[int] = []
    assert await told(hand, *(lambda n=n: order.append(n) for n in range(50))) == [None] * 50
    assert order == list(range(50))
    hand.rest()


async def test_an_error_of_the_disk_is_told_and_the_next_job_is_done(hand: Hand) -> None:
    error = OSError(errno.EIO, "bad")

    def fail() -> None:
        raise error

    assert await told(hand, fail, lambda: None) == [error, None]
    hand.rest()


async def test_a_fault_of_ours_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, seen = asyncio.get_running_loop(), asyncio.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: loop.call_soon_threadsafe(seen.set))
    ThreadHand().do(lambda: 1 / 0, lambda _: None)  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        await seen.wait()


def test_a_disk_that_answers_after_the_end_is_not_told_to_a_loop_that_is_gone() -> None:
    going, ended = threading.Event(), threading.Event()

    async def begin() -> None:
        ThreadHand().do(going.wait, lambda _: None)  # type: ignore[arg-type]

    hooked, threading.excepthook = threading.excepthook, lambda _: ended.set()
    try:
        asyncio.run(begin())
        (thread,) = [each for each in threading.enumerate() if each.name == "journal"]
        going.set()
        thread.join(60)
    finally:
        threading.excepthook = hooked
    assert not ended.is_set()
