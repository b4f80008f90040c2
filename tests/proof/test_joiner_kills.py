"""Rounds of kills of joiners: a seed draws the same, every step is drawn, a run goes on where it was."""

from pathlib import Path

import msgspec
import pytest

from proof import joiner_kills
from proof.joiner_kills import Round, plan, rounds
from proof.joiner_scene import KILLS, MOVES
from service.errors import Usage


def over(number: int, seed: int = 1, **sorts: int) -> Round:
    return Round(number=number, seed=f"{seed}/{number}", steps=[], sorts=sorts)


def test_a_round_is_a_function_of_its_seed() -> None:
    assert plan("1/2", 10) == plan("1/2", 10)
    assert plan("1/2", 10) != plan("1/3", 10)


def test_the_rounds_have_all_kills_together_and_every_step_among_300() -> None:
    drawn = [step.what for _, _, each in rounds(7, 300) for step in each]
    assert sum(what in KILLS for what in drawn) == 300
    assert set(drawn) == KILLS.keys() | MOVES.keys()
    assert [sum(step.what in KILLS for step in each) for _, _, each in rounds(7, 25)] == [10, 10, 5]


def test_a_run_that_goes_on_leaves_out_what_held_and_repeats_what_failed(tmp_path: Path) -> None:
    file = tmp_path / "rounds.jsonl"
    file.write_bytes(msgspec.json.Encoder().encode_lines([over(1), over(2, missing=1), over(3, seed=2)]))
    assert joiner_kills._done(file, 1) == {1}
    assert joiner_kills._done(tmp_path / "none", 1) == set()


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rounds.jsonl"
    file.write_text("not ours\n")
    with pytest.raises(Usage, match=r"rounds\.jsonl"):
        joiner_kills._done(file, 1)
