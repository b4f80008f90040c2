"""Kills at random moments under load, and Kafka's disk lost: every answered event is found, once."""

import os
from pathlib import Path

import pytest

from proof import kills
from proof.kills import Ground, Kill, Round

SEED = os.environ.get("KILL_SEED", "20261123")  # another one: KILL_SEED=7 make test
ROUNDS, KILLS = 3, 14
BAD_DISK = Ground(program=Path(__file__).with_name("bad_disk.py"))

pytestmark = [pytest.mark.stack, pytest.mark.kill, pytest.mark.timeout(1800)]


def told(found: Round) -> str:
    return "\n".join([str(found), *found.found.differences])


@pytest.mark.parametrize("number", range(1, ROUNDS + 1))
def test_every_answer_is_kept_whatever_is_killed(number: int) -> None:
    seed = f"{SEED}/{number}"
    found = kills.play(number, kills.plan(seed, KILLS, BAD_DISK.program), seed, BAD_DISK)
    assert not found.found.sorts, told(found)


@pytest.mark.parametrize("what", ["wiped", "wiped, refilled"])
def test_kafkas_disk_is_lost_and_no_event(what: str) -> None:
    found = kills.play(1, [Kill(2.0, what, 0)], what, BAD_DISK)
    assert not found.found.sorts, told(found)
