"""Rounds of kills: the same seed draws the same, every kind is drawn, and a run goes on where it was."""

from pathlib import Path

import msgspec
import pytest

from proof import kills
from proof.compared import Compared
from proof.kills import KINDS, Round, plan, rounds
from service.errors import Usage


def over(number: int, seed: int = 1, **sorts: int) -> Round:
    found = Compared(differences=[], sorts=sorts)
    return Round(number=number, seed=f"{seed}/{number}", kills=[], said={}, found=found, seconds=1.0)


def test_a_round_is_a_function_of_its_seed() -> None:
    assert plan("1/2", 10) == plan("1/2", 10)
    assert plan("1/2", 10) != plan("1/3", 10)


def test_the_rounds_have_all_kills_together_and_every_kind_among_300() -> None:
    drawn = [kill for _, _, each in rounds(7, 300) for kill in each]
    assert len(drawn) == 300
    assert {kill.what for kill in drawn} == set(KINDS)
    assert [len(each) for _, _, each in rounds(7, 25)] == [10, 10, 5]


def test_a_run_that_goes_on_leaves_out_what_held_and_repeats_what_failed(tmp_path: Path) -> None:
    file = tmp_path / "rounds.jsonl"
    file.write_bytes(msgspec.json.Encoder().encode_lines([over(1), over(2, lost=1), over(3, seed=2)]))
    assert kills._done(file, 1) == {1}
    assert kills._done(tmp_path / "none", 1) == set()


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rounds.jsonl"
    file.write_text("not ours\n")
    with pytest.raises(Usage, match=r"rounds\.jsonl"):
        kills._done(file, 1)
