"""Joiners and their broker killed under load, robbed of state, joined, replayed to: the result is the same.

`python -m proof.joiner_kills [--kills N] [--seed S] [--resume FILE]` goes in rounds, each with a Kafka, facts
and a seed of its own, so that a round that fails is repeated alone: `--round K`. The facts of a round go
through an undisturbed joiner first; in the end every case must be the same, and what the rules' naive reading
says. Steps and facts are a function of seed and round; what happens at a moment is the machine's.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from deploy.kafka_server import KafkaServer
from proof import histories, joined
from proof import rounds as lots
from proof.histories import Histories
from proof.joined import Outcome
from proof.joiner_scene import KILLS, MOVES, WORKERS, Kind, Scene, Step, act, enact
from proof.joiner_stack import JoinerStack
from service.errors import No, Problem, Unavailable

PARTITIONS: Final = 6  # more than workers, and no multiple of all their numbers
DEFAULT_RATE: Final = 150.0  # facts a second
FACTS_A_TRANSACTION: Final = 3.0  # about, with those that are shipped twice
PAUSE_S: Final = (0.1, 1.5)  # into recoveries that still run
LONG_S: Final = (3.0, 8.0)  # until work goes on: a group misses a killed member for 6 s
MOVE_SHARE: Final = 0.4
SHOWN: Final = 40


def plan(seed: str, kills: int) -> list[Step]:
    """The steps of a round: so many kills, and what happens between them."""
    chance = random.Random(seed)
    steps = []
    for _ in range(kills):
        if chance.random() < MOVE_SHARE:
            steps.append(_step(chance, MOVES))
        steps.append(_step(chance, KILLS))
    return steps


def _step(chance: random.Random, kinds: Mapping[str, Kind]) -> Step:
    shares = [kind.share for kind in kinds.values()]
    (what,) = chance.choices(list(kinds), shares)
    return Step(chance.uniform(*chance.choice((PAUSE_S, LONG_S))), what, chance.randrange(64))


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A round that is over.

    facts, cases: how many distinct ones. again: facts that were shipped more than once, replays left out.
    raised: cases whose version is greater than undisturbed. ended: joiners that ended by themselves.
    differences: the first; sorts: how many there are of each sort. kept: its directory, where there are any.
    """

    number: int
    seed: str
    steps: list[str]
    facts: int = 0
    cases: int = 0
    raised: int = 0
    ended: list[str] = []
    differences: list[str] = []
    sorts: dict[str, int] = {}
    seconds: float = 0.0
    kept: str = ""

    def __str__(self) -> str:
        kills = sum(what in KILLS for what in self.steps)
        verdict = (
            "DIFFERENCES: " + ", ".join(f"{count} {sort}" for sort, count in self.sorts.items())
            if self.sorts
            else "equal to the undisturbed run and the truth"
        )
        ended = f"; {len(self.ended)} ended by themselves" if self.ended else ""
        kept = f" (kept in {self.kept})" if self.kept else ""
        return (
            f"round {self.number} (seed {self.seed}; {kills} kills: {' · '.join(self.steps)}):"
            f" {self.facts} facts, {self.cases} cases, {self.raised} with a greater version{ended};"
            f" {verdict}{kept}; {self.seconds:.0f} s"
        )

    def lines(self) -> list[str]:
        """What is told of it."""
        return [str(self), *(f"  {line}" for line in (*self.ended, *self.differences))]


class Ground(msgspec.Struct, frozen=True):
    """On what a round is played: so many facts a second, and a program in place of `roundtrip`.

    shared: all workers have one directory, and no state is lost.
    """

    rate: float = DEFAULT_RATE
    program: Path | None = None
    shared: bool = False


def play(number: int, steps: list[Step], seed: str, ground: Ground = Ground()) -> Round:  # noqa: B008  frozen
    """One round, with a Kafka of its own; its directory is kept where something differs."""
    began_s = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="roundtrip-joiner-kills-"))
    seconds = sum(step.pause_s for step in steps)
    told = histories.histories(
        seed, max(50, int(seconds * ground.rate / FACTS_A_TRANSACTION)), time.time_ns() // 1_000_000
    )
    found = Round(number=number, seed=seed, steps=[step.what for step in steps])
    try:
        found = _played(directory, found, steps, told, ground)
    except (Problem, Unavailable, TimeoutError) as error:
        found = msgspec.structs.replace(found, differences=[f"broken off: {error}"], sorts={"broken off": 1})
    if not found.sorts:
        shutil.rmtree(directory)
    kept = str(directory) if found.sorts else ""
    return msgspec.structs.replace(found, seconds=time.monotonic() - began_s, kept=kept)


def _played(directory: Path, found: Round, steps: list[Step], told: Histories, ground: Ground) -> Round:
    catalogs = histories.catalogs()
    records = [histories.record(fact) for fact in told.shipped]
    with KafkaServer(directory / "kafka") as kafka:
        plain = JoinerStack(kafka, directory / "plain", prefix="plain-", partitions=PARTITIONS)
        enact(plain.install(catalogs), records, 0.0, lambda scene: scene.join("worker"))
        undisturbed = outcome(plain)
        stack = JoinerStack(
            kafka, directory, partitions=PARTITIONS, shared=ground.shared, program=ground.program
        )
        stack.install(catalogs[:1])
        ended = enact(stack, records, ground.rate, partial(_disturb, stack, steps))
        stood = outcome(stack)
    every = list(joined.differences(stood, undisturbed, told, dict(enumerate(catalogs, 1))))
    return msgspec.structs.replace(
        found,
        facts=sum(len(each.facts) for each in told.told.values()),
        cases=len(stood.cases),
        raised=joined.raised(stood, undisturbed),
        ended=ended,
        differences=every[:SHOWN],
        sorts=dict(Counter(line.partition(":")[0] for line in every)),
    )


def _disturb(stack: JoinerStack, steps: list[Step], scene: Scene) -> None:
    """The second catalog comes in the middle."""
    _, later = histories.catalogs()
    for name in WORKERS[:2]:
        scene.join(name)
    for step in steps[: len(steps) // 2]:
        act(scene, step)
    stack.apply(later)
    for step in steps[len(steps) // 2 :]:
        act(scene, step)


def outcome(stack: JoinerStack) -> Outcome:
    """All that the joiners have said there."""
    return joined.outcome(stack.read("conversions"), stack.read("notices"), stack.read("quarantine"))


def rounds(seed: int, kills: int) -> Iterator[tuple[int, str, list[Step]]]:
    """Number, seed and steps of each round."""
    return lots.rounds(seed, kills, plan)


def played(seed: int, kills: int, ground: Ground, at_once: int, but: Container[int] = ()) -> Iterator[Round]:
    """The rounds of these kills in order, each in a process of its own, so many beside each other."""
    due = [number for number, _, _ in rounds(seed, kills) if number not in but]
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda number: _played_apart(seed, kills, number, ground), due)


def _played_apart(seed: int, kills: int, number: int, ground: Ground) -> Round:
    with tempfile.NamedTemporaryFile(prefix="roundtrip-joiner-kills-") as told:
        line = [sys.executable, "-m", "proof.joiner_kills", "--kills", str(kills), "--seed", str(seed)]
        line += ["--round", str(number), "--rate", str(ground.rate), "--resume", told.name]
        line += ["--program", str(ground.program)] if ground.program else []
        line += ["--shared"] if ground.shared else []
        done = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603  ourselves
        found = told.read()
    if not found:
        raise No(f"round {number} of seed {seed} came to no end: {done.stderr[-1000:]}")
    return msgspec.json.decode(found, type=Round)


def main() -> int:
    """0 when every round ended as the undisturbed run did."""
    args = _arguments().parse_args()
    ground = Ground(args.rate, args.program, args.shared)
    if args.round:
        only = [each for each in rounds(args.seed, args.kills) if each[0] == args.round]
        found: Iterator[Round] = (play(number, steps, seed, ground) for number, seed, steps in only)
    else:
        done = lots.held(args.resume, args.seed, Round)
        found = played(args.seed, args.kills, ground, args.at_once, done)
    return lots.told(found, args.resume, "every round ended as if nobody had disturbed it")


def _arguments() -> argparse.ArgumentParser:
    parser = lots.arguments("proof.joiner_kills", __doc__.splitlines()[0], 30, DEFAULT_RATE)
    parser.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="rounds beside each other; they mostly wait (1)"
    )
    parser.add_argument("--shared", action="store_true", help="workers of one directory; no state is lost")
    return parser


if __name__ == "__main__":
    sys.exit(main())
