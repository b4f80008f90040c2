"""A joiner that commits nothing while records wait is seen from outside; nobody else is taken for one."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from console.lag import Lag, Place
from console.lookout import JOINER, Figures, Lookout
from service.settings import Settings

SILENT_S = 60.0


class Rig:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lookout = Lookout(Settings(silent_s=SILENT_S), Figures(self.registry))

    def look(self, now_s: float, offset: int | None = 5, end: int = 9, note: str = "") -> str:
        place = Place(JOINER, ("clicks", 0), offset, 0, end, note)
        quiet = Place(JOINER, ("pixels", 0), 3, 0, 3)
        self.lookout.look([place, quiet], now_s)
        return self.lookout.note()


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_records_that_wait_without_a_commit_are_told_after_the_time(rig: Rig) -> None:
    assert [rig.look(now_s) for now_s in (0, 30, 59)] == [""] * 3
    assert rig.look(60) == "4 records wait and nothing was committed for 60 s"
    assert b'roundtrip_silent_seconds{group="roundtrip-joiner"} 60.0' in generate_latest(rig.registry)


def test_a_commit_ends_it(rig: Rig) -> None:
    rig.look(0)
    rig.look(60)
    assert rig.look(65, offset=6) == ""
    assert rig.look(124, offset=6) == ""
    assert rig.look(125, offset=6)


def test_the_time_begins_when_something_waits_not_at_the_last_commit(rig: Rig) -> None:
    assert [rig.look(now_s, offset=9) for now_s in (0, 600, 1200)] == [""] * 3
    assert rig.look(1205) == ""
    assert rig.look(1260, end=20) == ""
    assert rig.look(1265, end=20)


def test_who_never_committed_anything_may_be_silent_too(rig: Rig) -> None:
    assert rig.look(0, offset=None) == ""
    assert rig.look(60, offset=None)


def test_while_kafka_does_not_answer_nobody_is_silent(rig: Rig) -> None:
    rig.look(0)
    rig.lookout.unknown()
    assert rig.look(60) == ""
    rig.look(120)
    assert rig.lookout.note()
    rig.lookout.unknown()
    assert rig.lookout.note() == ""


def test_who_says_how_far_it_came_is_not_silent(rig: Rig) -> None:
    assert [rig.look(now_s, note=f"{now_s} of 900 loaded") for now_s in (0, 60, 120)] == [""] * 3


def test_the_page_then_says_silent(rig: Rig) -> None:
    late = Lag(
        group=JOINER,
        topic="clicks",
        partition=0,
        offset=5,
        end=9,
        lag=4,
        waiting_since_ms=0,
        behind_s=70.0,
        verdict="behind",
    )
    assert rig.lookout.judged([late]) == [late]
    rig.look(0)
    rig.look(60)
    assert [each.verdict for each in rig.lookout.judged([late])] == ["silent"]
