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
from pathlib import Path
from typing import Final

import msgspec

from deploy.kafka_server import KafkaServer
from deploy.terminal import say
from proof import histories, joined
from proof.histories import Histories
from proof.joined import Outcome
from proof.joiner_scene import KILLS, MOVES, WORKERS, Feeder, Kind, Scene, Step, act
from proof.joiner_stack import JoinerStack
from service.errors import No, Problem, Unavailable, Usage

A_ROUND: Final = 10
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
    with KafkaServer(directory / "kafka") as kafka:
        plain = JoinerStack(kafka, directory / "plain", prefix="plain-", partitions=PARTITIONS)
        undisturbed = _undisturbed(plain.install(catalogs), told)
        stack = JoinerStack(
            kafka, directory, partitions=PARTITIONS, shared=ground.shared, program=ground.program
        )
        ended = _disturbed(stack.install(catalogs[:1]), steps, told, ground.rate)
        outcome = _outcome(stack)
    every = list(joined.differences(outcome, undisturbed, told, dict(enumerate(catalogs, 1))))
    return msgspec.structs.replace(
        found,
        facts=sum(len(each.facts) for each in told.told.values()),
        cases=len(outcome.cases),
        raised=joined.raised(outcome, undisturbed),
        ended=ended,
        differences=every[:SHOWN],
        sorts=dict(Counter(line.partition(":")[0] for line in every)),
    )


def _undisturbed(stack: JoinerStack, told: Histories) -> Outcome:
    """What one joiner says that nobody disturbs."""
    records = [histories.record(fact) for fact in told.shipped]
    with Feeder(stack, records, 0.0) as feeder:
        scene = Scene(stack, feeder)
        try:
            scene.join("worker")
            scene.settle()
        finally:
            scene.close()
    return _outcome(stack)


def _disturbed(stack: JoinerStack, steps: list[Step], told: Histories, rate: float) -> list[str]:
    """What those said that ended by themselves. The second catalog comes in the middle."""
    records = [histories.record(fact) for fact in told.shipped]
    _, later = histories.catalogs()
    with Feeder(stack, records, rate) as feeder:
        scene = Scene(stack, feeder)
        try:
            for name in WORKERS[:2]:
                scene.join(name)
            for step in steps[: len(steps) // 2]:
                act(scene, step)
            stack.apply(later)
            for step in steps[len(steps) // 2 :]:
                act(scene, step)
            scene.settle()
        finally:
            scene.close()
        return scene.ended


def _outcome(stack: JoinerStack) -> Outcome:
    return joined.outcome(stack.read("conversions"), stack.read("notices"), stack.read("quarantine"))


def rounds(seed: int, kills: int) -> Iterator[tuple[int, str, list[Step]]]:
    """Number, seed and steps of each round."""
    for number, left in enumerate(range(kills, 0, -A_ROUND), 1):
        yield number, f"{seed}/{number}", plan(f"{seed}/{number}", min(left, A_ROUND))


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
    done = _done(args.resume, args.seed) if args.resume else set()
    if args.round:
        only = [each for each in rounds(args.seed, args.kills) if each[0] == args.round]
        found: Iterator[Round] = (play(number, steps, seed, ground) for number, seed, steps in only)
    else:
        found = played(args.seed, args.kills, ground, args.at_once, done)
    failed = 0
    for each in found:
        for line in (str(each), *(f"  {line}" for line in [*each.ended, *each.differences])):
            say(line)
        failed += bool(each.sorts)
        if args.resume:
            with args.resume.open("ab") as file:
                file.write(msgspec.json.encode(each) + b"\n")
    say(f"{failed} rounds failed" if failed else "every round ended as if nobody had disturbed it")
    return 1 if failed else 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proof.joiner_kills", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30, metavar="N", help="how many kills (default: 30)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="draws facts and steps (default: 1)")
    parser.add_argument("--round", type=int, metavar="K", help="only this round")
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, metavar="R", help="facts a second (150)")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep finished rounds there, and leave out those that held",
    )
    parser.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="rounds beside each other; they mostly wait (1)"
    )
    parser.add_argument("--shared", action="store_true", help="workers of one directory; no state is lost")
    parser.add_argument("--program", type=Path, metavar="FILE", help="in place of `roundtrip`")
    return parser


def _done(path: Path, seed: int) -> set[int]:
    """The rounds of this seed that held, by the file of earlier runs."""
    if not path.exists():
        return set()
    try:
        past = [msgspec.json.decode(line, type=Round) for line in path.read_bytes().splitlines()]
    except msgspec.MsgspecError as error:
        raise Usage(f"--resume {path}: {error}") from error
    return {each.number for each in past if each.seed == f"{seed}/{each.number}" and not each.sorts}


if __name__ == "__main__":
    sys.exit(main())
