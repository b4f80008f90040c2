"""Kills at random moments under load; then every answer is held against what is stored.

`python -m proof.kills [--kills N] [--seed S] [--resume FILE]` goes in rounds of ten kills, each with a stack,
a seed and a ledger of its own, so that a round that fails is repeated alone: `--round K`. Parts and moments
are a function of seed and round; what happens at a moment is the machine's.
"""

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from deploy.parts import Service
from proof import harm
from proof import rounds as lots
from proof.compared import Compared, compare
from proof.ledger import Sending
from proof.own_stack import OwnStack
from proof.traffic import CATALOG, Pace, Traffic
from service.errors import Problem

WARM_S: Final = 1.0  # of traffic before the first kill
PAUSE_S: Final = (0.2, 2.0)  # from one kill's repair to the next kill: also into recoveries that still run
DEFAULT_RATE: Final = 200.0
SILENT_S: Final = 1.5  # longer than a collector takes to note how far it is
LEAST_FAILURE_S: Final = 0.1
SETTINGS: Final = {"ROUNDTRIP_COLLECTORS": "2"}


class Kill(NamedTuple):
    """pause_s: after the kill before it; what: a row of KINDS; which: of several processes."""

    pause_s: float
    what: str
    which: int


class Scene:
    """A stack under load. other: one more edge, where a kill needed one; it stays to the end, as edges do."""

    def __init__(self, stack: OwnStack, traffic: Traffic) -> None:
        self.stack = stack
        self.traffic = traffic
        self.other: Service | None = None

    def other_edge(self) -> Service:
        """The other edge; it runs."""
        if self.other is None:
            self.other = harm.other_collector(self.stack).start(harm.READY_S)
        return self.other


def _one(part: str) -> Callable[[Scene, Kill], None]:
    return lambda scene, kill: harm.kill_one(scene.stack, part, kill.which)


def _everything(scene: Scene, _kill: Kill) -> None:
    harm.kill_everything(scene.stack)
    _up_again(scene)


def _everything_and_wiped(scene: Scene, _kill: Kill) -> None:
    harm.kill_everything(scene.stack)
    harm.forget_kafka(scene.stack)
    _up_again(scene)


def _up_again(scene: Scene) -> None:
    scene.stack.start(harm.READY_S)
    scene.traffic.url = scene.stack.addresses.collector  # the same as before, where nobody took its port


def _wiped(scene: Scene, _kill: Kill) -> None:
    harm.wipe_kafka(scene.stack)


def _refilled(scene: Scene, _kill: Kill) -> None:
    harm.refill_kafka(scene.stack, scene.traffic, scene.other_edge())


def _while_silent(scene: Scene, kill: Kill) -> None:
    """A collector is killed while it hears nothing of what it gave to Kafka, which is killed as well."""
    with harm.frozen(scene.stack, "broker"):
        time.sleep(SILENT_S)
        harm.kill_one(scene.stack, "collector", kill.which)
        harm.kill_one(scene.stack, "broker")


def _disk_fails(scene: Scene, kill: Kill) -> None:
    harm.fail_disk(scene.stack, LEAST_FAILURE_S + kill.which / 32)


class Kind(NamedTuple):
    """A way to harm a stack, and how many of a hundred kills are of it."""

    share: int
    act: Callable[[Scene, Kill], None]


KINDS: Final = {
    "collector": Kind(32, _one("collector")),
    "broker": Kind(12, _one("broker")),
    "collector and broker, silent": Kind(6, _while_silent),
    "joiner": Kind(14, _one("joiner")),
    "writer": Kind(14, _one("writer")),
    "clickhouse": Kind(4, _one("clickhouse")),
    "everything": Kind(9, _everything),
    "wiped": Kind(4, _wiped),
    "everything, wiped": Kind(3, _everything_and_wiped),
    "wiped, refilled": Kind(2, _refilled),
}

BAD_DISK: Final = {"disk fails": Kind(12, _disk_fails)}
"""Only where the collectors' disk is one that can be told to: tests/kill/bad_disk.py."""


def plan(seed: str, kills: int, program: Path | None = None) -> list[Kill]:
    """The kills of a round."""
    chance = random.Random(seed)
    kinds = {**KINDS, **BAD_DISK} if program else KINDS
    drawn = chance.choices(list(kinds), [kind.share for kind in kinds.values()], k=kills)
    return [Kill(chance.uniform(*PAUSE_S), what, chance.randrange(64)) for what in drawn]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A round that is over.

    said: how many requests were answered how. kept: its directory, where something differed.
    """

    number: int
    seed: str
    kills: list[str]
    said: dict[str, int]
    found: Compared
    seconds: float
    kept: str = ""

    @property
    def sorts(self) -> Mapping[str, int]:
        """How many differences there are of each sort."""
        return self.found.sorts

    def lines(self) -> list[str]:
        """What is told of it."""
        return [str(self), *(f"  {line}" for line in self.found.differences)]

    def __str__(self) -> str:
        answers = ", ".join(f"{count} {said}" for said, count in sorted(self.said.items()))
        kept = f" (kept in {self.kept})" if self.kept else ""
        return (
            f"round {self.number} (seed {self.seed}; {' · '.join(self.kills)}): answered {answers};"
            f" {self.found}{kept}; {self.seconds:.0f} s"
        )


class Ground(msgspec.Struct, frozen=True):
    """On what a round is played: so many requests a second, and a program in place of `roundtrip`."""

    rate: float = DEFAULT_RATE
    program: Path | None = None


def play(number: int, kills: list[Kill], seed: str, ground: Ground = Ground()) -> Round:  # noqa: B008  frozen
    """One round, with a stack of its own; its directory is kept where something differs."""
    began_s = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="roundtrip-kills-"))
    stack = OwnStack(directory / "state", CATALOG, SETTINGS, ground.program)
    sendings: list[Sending] = []
    try:
        found = _played(stack, kills, Pace(rate=ground.rate, seed=number), sendings)
    except (Problem, TimeoutError) as error:
        found = Compared(differences=[f"broken off: {error}"], sorts={"broken off": 1})
    finally:
        stack.stop()
    if found.sorts:
        (directory / "ledger.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(sendings))
    else:
        shutil.rmtree(directory)
    return Round(
        number=number,
        seed=seed,
        kills=[kill.what for kill in kills],
        said=dict(Counter(sending.said for sending in sendings)),
        found=found,
        seconds=time.monotonic() - began_s,
        kept=str(directory) if found.sorts else "",
    )


def _played(stack: OwnStack, kills: list[Kill], pace: Pace, sendings: list[Sending]) -> Compared:
    stack.start(harm.READY_S)
    with Traffic(stack.addresses.collector, "kills", pace) as traffic:
        traffic.sendings = sendings
        scene = Scene(stack, traffic)
        try:
            time.sleep(WARM_S)
            for kill in kills:
                time.sleep(kill.pause_s)
                _act(scene, kill)
            traffic.finish()
            return compare(stack, sendings)
        finally:
            if scene.other:
                scene.other.stop()


def _act(scene: Scene, kill: Kill) -> None:
    (KINDS.get(kill.what) or BAD_DISK[kill.what]).act(scene, kill)


def rounds(seed: int, kills: int, program: Path | None = None) -> Iterator[tuple[int, str, list[Kill]]]:
    """Number, seed and kills of each round."""
    return lots.rounds(seed, kills, partial(plan, program=program))


def main() -> int:
    """0 when every answered event of every round was found, once."""
    args = lots.arguments("proof.kills", __doc__.splitlines()[0], 50, DEFAULT_RATE).parse_args()
    done = lots.held(args.resume, args.seed, Round)
    ground = Ground(args.rate, args.program)
    found = (
        play(number, kills, seed, ground)
        for number, seed, kills in rounds(args.seed, args.kills, args.program)
        if number not in done and args.round in {None, number}
    )
    return lots.told(found, args.resume, "every answered event was found, once")


if __name__ == "__main__":
    sys.exit(main())
