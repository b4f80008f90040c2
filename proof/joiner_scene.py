"""What can be done to joiners under load: killed, robbed of state, held still, joined by others, replayed to.

Facts come all the while from a feeder. A joiner that was killed, or ended by itself, is started again at
once, as `up` and Kubernetes do.
"""

import asyncio
import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Self

from proof.joiner_stack import POLL_S, Joiner, JoinerStack
from service.errors import No, Unavailable, Unreachable
from service.kafka import Outgoing, Producer

WORKERS: Final = ("w0", "w1", "w2")
BATCH_S: Final = 0.05  # between two sendings of the feeder
ALL_AT_ONCE: Final = 2_000  # what it sends then, once nobody disturbs any more
FED_S: Final = 300.0
FROZEN_S: Final = 8.0  # longer than Kafka waits for a sign of life
BROKER_S: Final = 240.0
SETTLED_S: Final = 300.0
STILL_S: Final = 2.0
ENDS_AT_MOST: Final = 20  # joiners that end by themselves; more is no accident


class Step(NamedTuple):
    """pause_s: after the step before; what: a row of KINDS; which: of several workers, or how much."""

    pause_s: float
    what: str
    which: int


class Feeder:
    """Ships histories at a rate for the time of a `with`, in a thread of its own; `finish` ships the rest."""

    def __init__(self, stack: JoinerStack, records: Sequence[Outgoing], rate: float) -> None:
        self._stack = stack
        self._records = records
        self._rate = rate
        self._again: deque[Sequence[Outgoing]] = deque()
        self._next = 0
        self._hurry = threading.Event()
        self._halted = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="feeder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is shipped any more."""
        self._halted.set()
        self._thread.join()

    @property
    def shipped(self) -> int:
        """How many of the records Kafka has."""
        return self._next

    def again(self, start: int, end: int) -> None:
        """These are shipped once more, as far as they were shipped at all."""
        self._again.append(self._records[start : min(end, self._next)])

    def finish(self) -> None:
        """Everything was shipped."""
        self._hurry.set()
        self._thread.join(FED_S)
        if self._failed:
            raise self._failed
        if self._thread.is_alive():
            raise No(f"the facts were not shipped after {FED_S:.0f} s")

    def _main(self) -> None:
        try:
            asyncio.run(self._ship())
        except Exception as error:  # noqa: BLE001  any, else the thread dies unheard; `finish` raises it
            self._failed = error

    async def _ship(self) -> None:
        producer = Producer(self._stack.settings)
        try:
            while not self._halted.is_set() and (self._again or self._next < len(self._records)):
                while self._again:
                    await self._sent(producer, self._again.popleft())
                count = ALL_AT_ONCE if self._hurry.is_set() else max(1, int(self._rate * BATCH_S))
                batch = self._records[self._next : self._next + count]
                await self._sent(producer, batch)
                self._next += len(batch)
                if not self._hurry.is_set():
                    await asyncio.sleep(BATCH_S)
                while self._next == len(self._records) and not (
                    self._hurry.is_set() or self._halted.is_set()
                ):
                    if self._again:
                        break
                    await asyncio.sleep(BATCH_S)  # a replay may still be asked for
        finally:
            await producer.close(1.0)

    async def _sent(self, producer: Producer, batch: Sequence[Outgoing]) -> None:
        while not self._halted.is_set():
            try:
                await producer.send_all(batch)
            except Unavailable:
                await asyncio.sleep(BATCH_S)
            else:
                return


class Scene:
    """Joiners on a stack under load. ended: what those said that ended by themselves."""

    def __init__(self, stack: JoinerStack, feeder: Feeder) -> None:
        self.stack = stack
        self.feeder = feeder
        self.ended: list[str] = []
        self._workers: dict[str, Joiner] = {}

    # Workers

    def join(self, name: str) -> None:
        """The worker runs."""
        self._workers[name] = worker = self.stack.joiner(name)
        worker.spawn()

    def leave(self, name: str) -> None:
        """The worker stopped in order; its directory stays."""
        self._workers.pop(name).stop()

    def kill(self, *names: str) -> None:
        """These were killed, at once, and wait for `again`."""
        for name in names:
            self._workers[name].send_signal(signal.SIGKILL)
        for name in names:
            self._workers[name].kill()

    def lose(self, name: str) -> None:
        """The worker was killed, and is not expected back."""
        self._workers.pop(name).kill()

    def rob(self, name: str) -> None:
        """The worker, which does not run, finds nothing of its state; unless others use the same one."""
        if not self.stack.shared:
            self._workers[name].forget()

    def again(self, *names: str) -> None:
        """These run again."""
        for name in names:
            self._workers[name].spawn()

    def close(self) -> None:
        """No worker runs."""
        for name in self.names:
            self.lose(name)

    @property
    def names(self) -> list[str]:
        """Who runs, or should."""
        return sorted(self._workers)

    def pick(self, which: int) -> str:
        """One of those that run."""
        return self.names[which % len(self.names)]

    def worker(self, name: str) -> Joiner:
        """The worker of this name."""
        return self._workers[name]

    def tend(self) -> None:
        """Who ended by itself runs again."""
        for name, worker in self._workers.items():
            if worker.exit_code is not None:
                self.ended.append(f"{name}: {worker.last_words()}")
                if len(self.ended) > ENDS_AT_MOST:
                    raise No(f"{name} ends again and again: {worker.last_words()}")
                worker.spawn()

    def nap(self, seconds: float) -> None:
        """So much time went by."""
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(POLL_S, left))

    # What is waited for

    def settle(self) -> None:
        """Everything was shipped, is committed, and nobody says anything more."""
        self.feeder.finish()
        limit = time.monotonic() + SETTLED_S
        still_since, said = time.monotonic(), -1
        while time.monotonic() - still_since < STILL_S:
            self.nap(4 * POLL_S)
            now = self._said()
            if now != said or not self._at_rest():
                said, still_since = now, time.monotonic()
            if time.monotonic() > limit:
                words = " | ".join(self._workers[name].last_words() for name in self.names)
                raise No(f"the joiners did not come to rest in {SETTLED_S:.0f} s: {words}")

    def _said(self) -> int:
        try:
            return sum(self.stack.ends(("conversions", "notices", "quarantine")).values())
        except (Unavailable, Unreachable):
            return -1

    def _at_rest(self) -> bool:
        ready = all(not worker.complaints() for worker in self._workers.values())
        return ready and self.stack.is_caught_up()


def enact(
    stack: JoinerStack, records: Sequence[Outgoing], rate: float, acting: Callable[[Scene], None]
) -> list[str]:
    """What those said that ended by themselves. rate: facts a second; all are decided in the end."""
    with Feeder(stack, records, rate) as feeder:
        scene = Scene(stack, feeder)
        try:
            acting(scene)
            scene.settle()
        finally:
            scene.close()
        return scene.ended


# What is done to them


def _kill_one(scene: Scene, step: Step) -> None:
    name = scene.pick(step.which)
    scene.kill(name)
    scene.again(name)


def _rob_one(scene: Scene, step: Step) -> None:
    name = scene.pick(step.which)
    scene.kill(name)
    scene.rob(name)
    scene.again(name)


def _kill_broker(scene: Scene, _step: Step) -> None:
    scene.stack.kafka.kill()
    scene.stack.kafka.start(BROKER_S)


def _kill_both(scene: Scene, step: Step) -> None:
    scene.stack.kafka.kill()
    _kill_one(scene, step)
    scene.stack.kafka.start(BROKER_S)


def _kill_all(scene: Scene, step: Step) -> None:
    """All joiners at once; now and then one finds its state gone."""
    names = scene.names
    scene.kill(*names)
    if step.which % 3 == 0:
        scene.rob(scene.pick(step.which))
    scene.again(*names)


def _join(scene: Scene, step: Step) -> None:
    """One that is away comes, with what its directory still holds; where all are there, one leaves."""
    away = [name for name in WORKERS if name not in scene.names]
    if away:
        scene.join(away[step.which % len(away)])
    else:
        scene.leave(scene.pick(step.which))


def _leave(scene: Scene, step: Step) -> None:
    """One leaves in order; the last one comes back."""
    name = scene.pick(step.which)
    scene.leave(name)
    if not scene.names:
        scene.join(name)


def _kill_and_miss(scene: Scene, step: Step) -> None:
    """One is killed and does not come back; another takes over."""
    name = scene.pick(step.which)
    away = [other for other in WORKERS if other not in scene.names]
    scene.lose(name)
    if not scene.names:
        scene.join(away[step.which % len(away)])


def _freeze(scene: Scene, step: Step) -> None:
    """One is held still until others have its partitions, and goes on."""
    if len(scene.names) < 2:  # noqa: PLR2004  somebody must take over
        _join(scene, step)
    name = scene.pick(step.which)
    scene.worker(name).send_signal(signal.SIGSTOP)
    try:
        scene.nap(FROZEN_S)
    finally:
        scene.worker(name).send_signal(signal.SIGCONT)


def _replay(scene: Scene, _step: Step) -> None:
    """Everything that was shipped is shipped again."""
    scene.feeder.again(0, scene.feeder.shipped)


def _replay_part(scene: Scene, step: Step) -> None:
    start = scene.feeder.shipped * (step.which % 16) // 16
    scene.feeder.again(start, start + scene.feeder.shipped // 8)


def _reset(scene: Scene, step: Step) -> None:
    """The group's offsets are set back, to 0 or less far; some find their state gone."""
    names = scene.names
    for name in names:
        scene.worker(name).stop()
    share = step.which % 4
    with contextlib.suppress(Unavailable, Unreachable):
        scene.stack.reset(lambda _, end: end * share // 4)
    for index, name in enumerate(names):
        if (step.which >> index) % 2:
            scene.rob(name)
    scene.again(*names)


class Kind(NamedTuple):
    """Something to do, and how many of a hundred of its sort are of it."""

    share: int
    act: Callable[[Scene, Step], None]


KILLS: Final = {
    "joiner": Kind(38, _kill_one),
    "joiner, state gone": Kind(14, _rob_one),
    "joiner, for good": Kind(12, _kill_and_miss),
    "all joiners": Kind(12, _kill_all),
    "broker": Kind(14, _kill_broker),
    "broker and joiner": Kind(10, _kill_both),
}
"""Each is one kill."""

MOVES: Final = {
    "joins": Kind(35, _join),
    "leaves": Kind(20, _leave),
    "replay": Kind(10, _replay),
    "replay of a part": Kind(15, _replay_part),
    "offsets set back": Kind(10, _reset),
    "held still": Kind(10, _freeze),
}
"""What happens between kills."""


def act(scene: Scene, step: Step) -> None:
    """The step was taken."""
    scene.nap(step.pause_s)
    (KILLS.get(step.what) or MOVES[step.what]).act(scene, step)
