"""Two readings of the rules, written apart, say the same of every history: the joiner's and the naive one."""

import pytest

from proof import aging, agreement, batched, invented, readings, replayed
from proof.reached import ENOUGH, Reached
from tests.chance import tries

SEED = 1


def test_decide_and_the_naive_reading_agree_and_everything_was_reached() -> None:
    reached, count = Reached(), tries(ENOUGH)
    assert [lines for _, lines in readings.compared(SEED, count, reached)] == []
    if count >= ENOUGH:
        assert reached.missing() == []
    assert reached.reasons["0 nothing speaks against it"] > count // 20


def test_so_do_the_batch_and_the_naive_reading_in_any_order_cut_repeated_restarted_and_restored() -> None:
    assert [lines for _, lines in readings.through_batch(SEED, tries(4 * batched.TOGETHER))] == []


def test_so_they_do_over_most_of_a_year_in_any_order_within_the_lateness_bound_while_all_expires() -> None:
    """Not of persons, of which docs/joiner.md says where it does not hold."""
    count = tries(8 * aging.TOGETHER)
    assert [lines for _, lines in readings.through_age(SEED, count, persons=False)] == []


def test_a_history_is_written_and_read_again() -> None:
    for number in range(20):
        history = invented.history(f"again/{number}")
        again = replayed.read(replayed.written(history))
        assert (again.identifier, again.facts, again.catalogs) == (
            history.identifier,
            history.facts,
            history.catalogs,
        )


def test_of_a_history_that_differs_the_least_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken(history: invented.History) -> list[agreement.Expected]:
        return [one for one in agreement.naive(history) if not one.test]

    monkeypatch.setattr(agreement, "decided", mistaken)
    assert readings.main(["--histories", "40", "--seed", "1"]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith('  {"')]
    assert told
    assert all(len(replayed.read(line.encode()).facts) == 1 for line in told)


def test_a_visit_that_is_paid_twice_for_a_goal_that_counts_once_is_named() -> None:
    def paid(history: invented.History) -> list[agreement.Expected]:
        return [one for one in agreement.naive(history) if one.status == "approved" and not one.test]

    drawn = (invented.history(f"twice/{number}") for number in range(400))
    named = 0
    for history in drawn:
        assert agreement.paid_twice(history, agreement.naive(history)) == []
        named += bool(agreement.paid_twice(history, [*paid(history), *paid(history)]))
    assert named
