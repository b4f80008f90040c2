"""What can be done to a running stack: parts killed, everything killed, Kafka's disk lost, parts taken away.

A part that is killed is started again by the stack itself. To take parts away for longer, the stack's
supervisor is held still meanwhile (SIGSTOP): it neither starts them again nor notices.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import psutil

from deploy.parts import Service
from deploy.ports import LOOPBACK, free_port
from proof.own_stack import OwnStack
from proof.traffic import Traffic
from schemas.topics import FACTS
from service.errors import No, Problem, Unavailable
from service.kafka import Admin

REPLACED_S: Final = 240.0  # a part that keeps dying is started again up to 30 s later
READY_S: Final = 240.0
REFILL_S: Final = 240.0
STEP_S: Final = 240.0
POLL_S: Final = 0.02
DISK_FAILS: Final = "disk-fails"
CROWD: Final = 4  # times the usual rate, while another collector fills a new log beyond the old one's end


def until(holds: Callable[[], bool], what: str, deadline_s: float) -> None:
    """It holds; `No` where it does not in time."""
    limit = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > limit:
            raise No(f"{what}: not after {deadline_s:g} s")
        time.sleep(POLL_S)


def kill_one(stack: OwnStack, part: str, which: int = 0) -> None:
    """One process of the part was killed, and the stack has put another in its place."""
    before = stack.addresses.processes[part]
    pid = before[which % len(before)]
    with contextlib.suppress(ProcessLookupError):  # it had just ended by itself, and is replaced all the same
        os.kill(pid, signal.SIGKILL)
    _replaced(stack, part, before, {pid})


def _replaced(stack: OwnStack, part: str, before: Sequence[int], killed: set[int]) -> None:
    def is_replaced() -> bool:
        now = stack.addresses.processes.get(part, [])
        return len(now) == len(before) and not killed & set(now)

    until(is_replaced, f"{part} was not replaced", REPLACED_S)


def kill_everything(stack: OwnStack) -> None:
    """Every process of the stack was killed at once."""
    stack.kill()


@contextlib.contextmanager
def held(stack: OwnStack) -> Iterator[None]:
    """The supervisor stands still: what ends meanwhile is not started again before the end of the `with`."""
    os.kill(stack.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.pid, signal.SIGCONT)


@contextlib.contextmanager
def frozen(stack: OwnStack, *parts: str) -> Iterator[None]:
    """These parts stand still, and go on at the end of the `with`; where they were not killed meanwhile."""
    pids = pids_of(stack, *parts)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def away(stack: OwnStack, *parts: str) -> Iterator[None]:
    """These parts were killed and are gone until the end of the `with`; then the stack starts them again."""
    before = {part: stack.addresses.processes[part] for part in parts}
    with held(stack):
        for pid in pids_of(stack, *parts):
            _end(pid)
        yield
    for part, pids in before.items():
        _replaced(stack, part, pids, set(pids))


def pids_of(stack: OwnStack, *parts: str) -> list[int]:
    """The processes of these parts."""
    processes = stack.addresses.processes
    return [pid for part in parts for pid in processes[part]]


def _end(pid: int) -> None:
    """The process is dead; its parent, who may stand still, need not have noticed."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: _is_dead(process), f"process {pid} goes on after SIGKILL", STEP_S)


def _is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def fail_disk(stack: OwnStack, seconds: float) -> None:
    """Every sync of the collectors' journals failed for that long; only on a disk that can be told to."""
    told = stack.directory / DISK_FAILS
    told.touch()
    time.sleep(seconds)
    told.unlink()


def wipe_kafka(stack: OwnStack) -> None:
    """Kafka's disk is lost while all others run; an empty broker is there instead, with topics from `up`."""
    with away(stack, "broker"):
        forget_kafka(stack)
    until(lambda: _has_topics(stack), "the new broker has no topics", READY_S)


def forget_kafka(stack: OwnStack) -> None:
    """Kafka's data directory is not there any more; it must not run."""
    gone = stack.directory / "kafka" / "data.gone"
    (stack.directory / "kafka" / "data").rename(gone)  # at once: whoever looks sees all of it or nothing
    shutil.rmtree(gone)


def _has_topics(stack: OwnStack) -> bool:
    try:
        _ends(stack)
    except (Problem, Unavailable):
        return False
    return True


def other_collector(stack: OwnStack) -> Service:
    """One more collector on the stack's Kafka: another edge, with a directory of its own; not yet started."""
    directory = stack.directory.with_name(f"{stack.directory.name}-other")
    directory.mkdir(exist_ok=True)
    mine = {"ROUNDTRIP_DIR": str(directory), "ROUNDTRIP_EDGE": "other", "ROUNDTRIP_HOST": LOOPBACK}
    return Service("collector", free_port(), directory / "collector.log", {**stack.shared, **mine})


def refill_kafka(stack: OwnStack, traffic: Traffic, other: Service) -> None:
    """As `wipe_kafka`; and before the stack's own collectors see the new log, another edge has filled it.

    Every partition then ends beyond the offsets that the stack's collectors know.
    """
    home, rate = traffic.url, traffic.rate
    traffic.url = f"http://{LOOPBACK}:{other.port}"
    with frozen(stack, "collector"):
        before = _ends(stack)
        wipe_kafka(stack)
        traffic.rate = rate * CROWD
        until(lambda: _are_beyond(stack, before), "the new log is no longer than the old one", REFILL_S)
        traffic.rate = rate
    traffic.url = home


def _are_beyond(stack: OwnStack, before: dict[tuple[str, int], int]) -> bool:
    try:
        now = _ends(stack)
    except (Problem, Unavailable):
        return False
    return all(now.get(place, 0) > end for place, end in before.items() if end)


def logged(stack: OwnStack) -> int:
    """How many facts Kafka holds; 0 while it does not answer."""
    try:
        return sum(_ends(stack).values())
    except (Problem, Unavailable):
        return 0


def _ends(stack: OwnStack) -> dict[tuple[str, int], int]:
    with Admin(stack.settings) as admin:
        return admin.end_offsets(FACTS)
