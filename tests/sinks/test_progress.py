"""What may be committed while work ends in any order."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.progress import Progress

A = ("notices", 0)


@given(st.permutations(range(8)), st.integers(0, 8))
def test_nothing_is_committed_past_the_lowest_record_that_is_still_in_work(
    order: list[int], count: int
) -> None:
    progress = Progress()
    for offset in range(8):
        progress.began(A, offset)
    for offset in order[:count]:
        progress.ended(A, offset)
    assert progress.committable().get(A, 0) == min(order[count:], default=8)


def test_what_did_not_move_is_not_committed_again() -> None:
    progress = Progress()
    progress.began(A, 5)
    assert progress.committable() == {A: 5}
    assert progress.committable() == {}


def test_a_partition_that_was_taken_away_is_forgotten() -> None:
    progress = Progress()
    progress.began(A, 5)
    progress.keep({("notices", 1)})
    progress.ended(A, 5)
    assert progress.committable() == {}


def test_a_record_that_is_read_again_holds_the_commit_back() -> None:
    progress = Progress()
    for offset in (5, 6):
        progress.began(A, offset)
        progress.ended(A, offset)
    progress.began(A, 5)
    assert progress.committable() == {A: 5}
