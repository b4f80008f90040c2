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

pytestmark = [pytest.mark.stack, pytest.mark.kill, pytest.mark.timeout(300)]


def command(stack: OwnStack, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "roundtrip", *arguments, "--dir", str(stack.directory)]


def replaced(stack: OwnStack, part: str, pid: int) -> int:
    """The part's new process ID, once the stack has put another in the killed one's place."""
    limit = time.monotonic() + 60
    while (now := stack.addresses.processes[part]) in ([pid], []):
        assert time.monotonic() < limit, f"{part} was not replaced: {stack.last_words(5)}"
        time.sleep(0.05)  # the pause between two looks at stack.json
    return now[0]


def test_killed_parts_lose_and_double_nothing(
    own_stack: Callable[[Path | None], OwnStack], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    stack = own_stack(SAMPLE)
    truth = tmp_path / "truth.jsonl"
    play = [
        "simulate",
        "--clicks",
        str(CLICKS),
        "--rate",
        str(RATE),
        "--seed",
        str(SEED),
        "--truth",
        str(truth),
    ]
    with (tmp_path / "simulate.log").open("wb") as log:
        simulator = subprocess.Popen(command(stack, *play), stdout=log, stderr=log)
        for part in chance.sample(KILLED * 2, len(KILLED) * 2):
            until = time.monotonic() + chance.uniform(0.3, 2.0)
            while time.monotonic() < until and simulator.poll() is None:
                time.sleep(0.01)  # the moment is drawn by chance; nothing is waited for
            assert simulator.poll() is None, f"the traffic ended before the last kill (seed {SEED})"
            (pid,) = stack.addresses.processes[part]
            os.kill(pid, signal.SIGKILL)
            replaced(stack, part, pid)
        assert simulator.wait(180) == 0, (tmp_path / "simulate.log").read_text()[-2000:]

    verified = subprocess.run(
        command(stack, "verify", "--truth", str(truth)), capture_output=True, text=True, check=False
    )

    assert verified.returncode == 0, f"seed {SEED}: {verified.stdout[-3000:]}{verified.stderr[-1000:]}"
