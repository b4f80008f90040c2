"""What a joiner took for what it read: CPU-seconds by the operating system's count, time, resident memory."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from proof.costs import cost
from proof.joiner_stack import Joiner, JoinerStack
from service.errors import No, Unavailable, Unreachable
from service.progress import Progress

POLL_S: Final = 0.25
STALLED_S: Final = 180.0  # nothing was committed for so long: nobody waits on
READY_S: Final = 3_600.0  # a lost state of millions of facts comes back first
TICK_S: Final = 0.01  # the operating system counts no less
MEGABYTE: Final = 1_000_000
AT_ONCE: Final = 10_000

T = TypeVar("T")


class Took(msgspec.Struct):
    """How many records another reader read, in how much time."""

    records: int
    cpu_s: float
    seconds: float


class Spent(NamedTuple):
    """What a joiner took for so many facts; peak_bytes: the most resident memory since its start."""

    facts: int
    cpu_s: float
    seconds: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Facts a CPU-second."""
        return self.facts / max(self.cpu_s, TICK_S)

    def __str__(self) -> str:
        return (
            f"{self.rate:.0f} facts a CPU-second, {self.facts / self.seconds:.0f} a second"
            f" ({self.facts} in {self.seconds:.1f} s), at most {self.peak_bytes / MEGABYTE:.0f} MB"
        )


@contextmanager
def running(joiner: Joiner) -> Iterator[Joiner]:
    """It runs for the time of the `with`, and is then stopped in order; it may not be ready yet."""
    joiner.spawn()
    try:
        yield joiner
    finally:
        joiner.stop()


class Meter:
    """What a joiner took since this was made."""

    def __init__(self, joiner: Joiner, cpu_s: float | None = None) -> None:
        self._joiner = joiner
        self._cpu_s = cost([joiner.pid]).cpu_s if cpu_s is None else cpu_s
        self._began_s = time.monotonic()

    def spent(self, facts: int) -> Spent:
        """For so many facts."""
        took = cost([self._joiner.pid])
        return Spent(facts, took.cpu_s - self._cpu_s, time.monotonic() - self._began_s, peak(self._joiner))


def start_cost(stack: JoinerStack) -> float:
    """The CPU-seconds that a joiner takes until it is ready, where nothing is to be read."""
    with running(stack.joiner("first")) as joiner:
        joiner.wait_ready()
        return cost([joiner.pid]).cpu_s


def wait_caught_up(stack: JoinerStack, joiner: Joiner, label: str) -> None:
    """The joiner has committed all that is there; No where it ended, or does not go on."""
    whole = least = _left(stack)
    moved_s = time.monotonic()
    with Progress(label, whole) as progress:
        while left := _left(stack):
            if left < least:
                least, moved_s = left, time.monotonic()
            progress.show(whole - left, f"{resident(joiner) / MEGABYTE:.0f} MB")
            if joiner.exit_code is not None:
                raise No(f"the joiner ended: {joiner.last_words()}")
            if time.monotonic() - moved_s > STALLED_S:
                raise No(
                    f"{left} facts are left, and none was read for {STALLED_S:.0f} s: {joiner.last_words()}"
                )
            time.sleep(POLL_S)


def _left(stack: JoinerStack) -> int:
    while True:
        try:
            return stack.left()
        except (Unavailable, Unreachable):
            time.sleep(POLL_S)


def resident(joiner: Joiner) -> int:
    """Bytes of resident memory now."""
    return cost([joiner.pid]).resident_bytes


def peak(joiner: Joiner) -> int:
    """The most bytes of resident memory since its start, as Linux keeps it; elsewhere what it has now."""
    status = Path(f"/proc/{joiner.pid}/status")
    if not status.exists():
        return resident(joiner)
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def size(directory: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def peer(name: str, stack: JoinerStack, records: int) -> Took:
    """What another reader took for so many clicks (proof.peers)."""
    topic = f"{stack.settings.topic_prefix}clicks"
    line = [sys.executable, "-m", "proof.peers", name, stack.kafka.address, topic, str(records)]
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603  ourselves
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Took)


def shown(label: str, total: int, items: Iterable[T]) -> Iterator[T]:
    """The items, and how many of them have passed."""
    with Progress(label, total) as progress:
        for number, item in enumerate(items):
            yield item
            if number % AT_ONCE == 0:
                progress.show(number)
