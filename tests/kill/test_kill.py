"""Collector, joiner and writer are killed in mid-traffic; ClickHouse still says what was sent, once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proof.own_stack import OwnStack

SAMPLE = Path(__file__).parents[2] / "deploy" / "sample_catalog.toml"
SEED = int(os.environ.get("KILL_SEED", "20261123"))
CLICKS = 6_000
RATE = 400  # clicks a second: 15 s of traffic, each kill falls into it
KILLED = ["collector", "joiner", "writer"]

pytestmark = [pytest.mark.stack, pytest.mark.kill, pytest.mark.timeout(1800)]


def command(stack: OwnStack, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "roundtrip", *arguments, "--dir", str(stack.directory)]


def replaced(stack: OwnStack, part: str, pid: int) -> int:
    """The part's new process ID, once the stack has put another in the killed one's place."""
    limit = time.monotonic() + 240
    while (now := stack.addresses.processes[part]) in ([pid], []):
        assert time.monotonic() < limit, f"{part} was not replaced: {stack.last_words(5)}"
        time.sleep(0.05)  # the pause between two looks at stack.json
    return now[0]


class Play:
    """Traffic of a seed, and the truth of it."""

    def __init__(self, stack: OwnStack, directory: Path, seed: int) -> None:
        self.stack, self.seed = stack, seed
        self.truth, self.log = directory / f"{seed}.jsonl", directory / f"{seed}.log"
        stated = {"--clicks": CLICKS, "--rate": RATE, "--seed": seed, "--truth": self.truth}
        words = [str(word) for pair in stated.items() for word in pair]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command(stack, "simulate", *words), stdout=log, stderr=log)

    def verify(self) -> None:
        """The traffic has ended well, and ClickHouse says what it was."""
        assert self.process.wait(600) == 0, self.log.read_text()[-2000:]
        asked = command(self.stack, "verify", "--truth", str(self.truth), "--wait", "300")
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert found.returncode == 0, f"seed {self.seed}: {found.stdout[-3000:]}{found.stderr[-1000:]}"


def test_killed_parts_lose_and_double_nothing(
    own_stack: Callable[[Path | None], OwnStack], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    stack = own_stack(SAMPLE)
    plays = [Play(stack, tmp_path, SEED)]
    for part in chance.sample(KILLED * 2, len(KILLED) * 2):
        until = time.monotonic() + chance.uniform(0.3, 2.0)
        while time.monotonic() < until:
            time.sleep(0.01)  # the moment is drawn by chance; nothing is waited for
        if plays[-1].process.poll() is not None:  # parts come back slowly here: there is more traffic
            plays.append(Play(stack, tmp_path, SEED + len(plays)))
        (pid,) = stack.addresses.processes[part]
        os.kill(pid, signal.SIGKILL)
        replaced(stack, part, pid)
    for play in plays:
        play.verify()
