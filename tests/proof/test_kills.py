"""Rounds of kills: the same seed draws the same, and every kind is drawn."""

from proof.kills import KINDS, plan, rounds


def test_a_round_is_a_function_of_its_seed() -> None:
    assert plan("1/2", 10) == plan("1/2", 10)
    assert plan("1/2", 10) != plan("1/3", 10)


def test_the_rounds_have_all_kills_together_and_every_kind_among_300() -> None:
    drawn = [kill for _, _, each in rounds(7, 300) for kill in each]
    assert len(drawn) == 300
    assert {kill.what for kill in drawn} == set(KINDS)
    assert [len(each) for _, _, each in rounds(7, 25)] == [10, 10, 5]
