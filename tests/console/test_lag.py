"""How lag is judged."""

import msgspec
import pytest

from console import lag
from console.lag import History, Lag, Place

WELL = Lag(
    group="g",
    topic="clicks",
    partition=0,
    offset=10,
    end=10,
    lag=0,
    waiting_since_ms=None,
    behind_s=None,
    verdict="well",
)
LATE = msgspec.structs.replace(WELL, end=15, lag=5, waiting_since_ms=0, behind_s=40.0, verdict="behind")


@pytest.mark.parametrize(
    ("waiting", "offset", "behind_s", "verdict"),
    [
        (0, 10, None, "well"),
        (0, None, None, "well"),
        (5, 10, 1.0, "well"),
        (5, None, 1.0, "well"),
        (5, 10, 31.0, "behind"),
        (5, 10, None, "behind"),
        (5, None, 31.0, "never read"),
    ],
)
def test_the_verdict_is_about_what_waits_and_for_how_long(
    waiting: int, offset: int | None, behind_s: float | None, verdict: str
) -> None:
    assert lag.verdict(waiting, offset, behind_s) == verdict


def test_what_retention_deleted_is_no_lag() -> None:
    assert Place("g", ("clicks", 0), 3, 8, 10).lag == 2
    assert Place("g", ("clicks", 0), None, 8, 10).lag == 2
    assert Place("g", ("clicks", 0), 12, 0, 10).lag == 0


def test_a_place_that_does_not_move_while_records_wait_is_stuck() -> None:
    history = History()
    assert [each.verdict for each in history.judged([LATE], 0)] == ["behind"]
    assert [each.verdict for each in history.judged([LATE], lag.STUCK_S)] == ["stuck"]
    moved = msgspec.structs.replace(LATE, offset=11, lag=4)
    assert [each.verdict for each in history.judged([moved], lag.STUCK_S + 1)] == ["behind"]


def test_a_group_of_which_nothing_moves_is_silent_one_place_alone_is_stuck() -> None:
    mine = [msgspec.structs.replace(LATE, group="roundtrip-joiner", partition=n) for n in (0, 1)]
    history = History(silent_s=30.0)
    history.judged(mine, 0)
    moved = [mine[0], msgspec.structs.replace(mine[1], offset=11)]
    assert [each.verdict for each in history.judged(moved, 29)] == ["behind", "behind"]
    assert [each.verdict for each in history.judged(moved, 58)] == ["behind", "behind"]
    assert [each.verdict for each in history.judged(moved, 59)] == ["silent", "silent"]
    again = [mine[0], msgspec.structs.replace(mine[1], offset=12)]
    assert [each.verdict for each in history.judged(again, 61)] == ["stuck", "behind"]
    assert "roundtrip-joiner on clicks/0 (silent)" in lag.summary(history.judged(again, 91))


def test_who_says_how_far_it_came_with_other_work_is_neither_stuck_nor_silent() -> None:
    loading = msgspec.structs.replace(LATE, group="roundtrip-joiner")
    history = History()
    for minute in range(5):
        said = msgspec.structs.replace(loading, note=f"{minute} M of 5 M facts loaded")
        assert [each.verdict for each in history.judged([said], minute * 59.0)] == ["behind"]


def test_a_quiet_place_is_never_stuck() -> None:
    history = History()
    for now_s in (0, 1_000):
        assert [each.verdict for each in history.judged([WELL], now_s)] == ["well"]
    assert [each.verdict for each in history.judged([LATE], 1_001)] == ["behind"]


def test_the_summary_names_the_worst() -> None:
    worse = msgspec.structs.replace(LATE, topic="pixels", behind_s=99.0)
    assert lag.summary([WELL]) == "all is well: 0 records wait in 1 places"
    assert "g on pixels/0 (behind)" in lag.summary([WELL, LATE, worse])
    assert "migrate" in lag.summary([])


def test_json_has_every_place() -> None:
    found = msgspec.json.decode(lag.written([WELL, LATE], "json", everything=False))
    assert [each["verdict"] for each in found] == ["well", "behind"]
