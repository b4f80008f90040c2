"""Joiners and their broker are killed and disturbed in every way; what stands in the end is the same."""

import os

import pytest

from proof import joiner_kills
from proof.joiner_kills import Ground, rounds
from proof.joiner_scene import KILLS

SEED = int(os.environ.get("KILL_SEED", "20261123"))  # another one: KILL_SEED=7 make test
WANTED = 30
AT_ONCE = 3  # killed members are missed by Kafka only after 6 s, so each round waits most of its time

pytestmark = [pytest.mark.stack, pytest.mark.kill, pytest.mark.timeout(1800)]


def test_no_kill_and_no_replay_changes_the_result() -> None:
    steps = [step.what for _, _, each in rounds(SEED, WANTED) for step in each]
    assert sum(what in KILLS for what in steps) == WANTED
    found = list(joiner_kills.played(SEED, WANTED, Ground(), AT_ONCE))
    assert not any(each.sorts for each in found), "\n".join(
        line for each in found for line in (str(each), *each.ended, *each.differences)
    )
