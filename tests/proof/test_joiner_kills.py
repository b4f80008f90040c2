"""Rounds of kills of joiners: a seed draws the same, and every step is drawn."""

from proof.joiner_kills import plan, rounds
from proof.joiner_scene import KILLS, MOVES


def test_a_round_is_a_function_of_its_seed() -> None:
    assert plan("1/2", 10) == plan("1/2", 10)
    assert plan("1/2", 10) != plan("1/3", 10)


def test_the_rounds_have_all_kills_together_and_every_step_among_300() -> None:
    drawn = [step.what for _, _, each in rounds(7, 300) for step in each]
    assert sum(what in KILLS for what in drawn) == 300
    assert set(drawn) == KILLS.keys() | MOVES.keys()
    assert [sum(step.what in KILLS for step in each) for _, _, each in rounds(7, 25)] == [10, 10, 5]
