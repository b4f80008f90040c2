"""verify waits for what is on its way, stops where nothing more comes, and says what differs."""

import io
from typing import Any

import msgspec
import pytest

from proof import verify
from proof.truth import Count, Sent, Truth
from proof.verify import Found, Patience, Question
from service.clickhouse import Result
from tests.proof.test_truth import LINE, row

FACTS = [("click", 5), ("impression", 0), ("pixel", 1), ("iframe", 0), ("postback", 1)]


class FakeClickHouse:
    """Shows the next of its states at each look, and stays with the last."""

    def __init__(self, *states: list[dict[str, Any]], facts: list[tuple[str, int]] | None = None) -> None:
        self.states = list(states)
        self.facts = FACTS if facts is None else facts
        self.looks = 0
        self.ranges: list[tuple[str, str]] = []

    def query(self, sql: str, parameters: dict[str, Any]) -> Result:
        if sql is verify.PULSE:
            self.looks += 1
            return Result(("pulse",), [(min(self.looks, len(self.states)),)])
        if sql is verify.FACTS:
            return Result(("kind", "count"), list(self.facts))
        state = self.states[min(self.looks, len(self.states)) - 1]
        self.ranges.append((parameters["low"], parameters["high"]))
        rows = [each for each in state if parameters["low"] <= each["transaction_id"] < parameters["high"]]
        names = tuple(rows[0]) if rows else ()
        return Result(names, [tuple(each.values()) for each in rows])


def question(lines: list[Truth], **more: Any) -> Question:
    sent = Sent(tag="x", seed=1)
    sent.facts = {kind: Count(accepted=count) for kind, count in FACTS}
    return Question(**{"lines": lines, "sent": sent, **more})


def settled(asked: Question, clickhouse: Any, *, caught_up: bool = True, wait_s: float = 5.0) -> Found:
    patience = Patience(wait_s=wait_s, still_s=0.02, poll_s=0.001)
    return verify.settle(asked, clickhouse, lambda: caught_up, patience)


def test_what_is_equal_is_said_at_once() -> None:
    clickhouse = FakeClickHouse([row(LINE)])
    found = settled(question([LINE]), clickhouse)
    assert (found.count, clickhouse.looks) == (0, 1)


def test_what_is_on_its_way_is_waited_for() -> None:
    clickhouse = FakeClickHouse([], [], [row(LINE)])
    assert settled(question([LINE]), clickhouse).count == 0


def test_once_nothing_moves_and_nobody_is_behind_it_stops() -> None:
    found = settled(question([LINE]), FakeClickHouse([]), wait_s=600)
    assert (found.count, found.came_to_rest) == (1, True)


def test_while_somebody_is_behind_it_waits_to_the_end() -> None:
    found = settled(question([LINE]), FakeClickHouse([]), caught_up=False, wait_s=0.2)
    assert (found.count, found.came_to_rest) == (1, False)
    assert found.waited_s >= 0.2


@pytest.mark.parametrize(("stored", "differs"), [(4, True), (5, False), (6, True)])
def test_each_accepted_fact_is_stored_once(stored: int, differs: bool) -> None:  # noqa: FBT001  a table's column
    clickhouse = FakeClickHouse([row(LINE)], facts=[("click", stored), *FACTS[1:]])
    found = settled(question([LINE]), clickhouse, wait_s=0.1)
    assert found.differences == ([f"clicks: {stored} stored, 5 accepted"] if differs else [])


def test_strangers_matter_only_where_nothing_else_may_be_there() -> None:
    stranger = row(msgspec.structs.replace(LINE, transaction_id="t0"))
    clickhouse = FakeClickHouse([row(LINE), stranger])
    assert settled(question([LINE]), clickhouse).count == 0
    assert settled(question([LINE], only=True), clickhouse, wait_s=0.1).differences == [
        "unexpected: t0 goal 0 order A1, approved, reason 0"
    ]
    assert settled(question([], only=True), clickhouse, wait_s=0.1).count == 2


def test_uncertain_transactions_are_no_strangers() -> None:
    asked = question([LINE], only=True)
    assert asked.sent
    asked.sent.uncertain = ["t2"]
    there = [row(LINE), row(msgspec.structs.replace(LINE, transaction_id="t2"))]
    assert settled(asked, FakeClickHouse(there)).count == 0


def test_a_long_truth_is_compared_in_parts_that_split_no_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "AT_ONCE", 2)
    names = ["t1", "t2", "t2", "t3", "t4"]
    lines = [
        msgspec.structs.replace(LINE, transaction_id=name, conversion_unique_id=str(number))
        for number, name in enumerate(names)
    ]
    clickhouse = FakeClickHouse([row(line) for line in lines])
    assert settled(question(lines, only=True), clickhouse).count == 0
    assert clickhouse.ranges == [("", "t3"), ("t3", "~")]


def test_the_report_shows_twenty_and_counts_all() -> None:
    out = io.StringIO()
    found = Found(differences=["d"] * 20, count=33, waited_s=1.0, came_to_rest=True)
    assert verify.report(question([LINE]), found, out) == 1
    assert "and 13 more\nnot equal: 33 differences in 1 conversions and 7 accepted events" in out.getvalue()
    out = io.StringIO()
    assert (
        verify.report(question([LINE]), Found(differences=[], count=0, waited_s=1, came_to_rest=True), out)
        == 0
    )
    assert out.getvalue() == "equal: 1 conversions and 7 accepted events, after 1.0 s\n"
