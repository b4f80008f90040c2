"""Whatever happens between them, the same facts give the same final cases: with every kind of identifier.

Batches come in any order, cut anywhere, with repetitions; the state is closed and opened, or lost and filled
again silently; a catalog comes late; another worker that knows only a part decides it and sends. Compared
with one decision of all facts.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.decisions import Case, Conversion
from schemas.facts import AnyFact, Statement
from service.kafka import Outgoing, Record
from streams.batch.batch import Batch
from streams.rules.decide import decide_transaction
from streams.state import layout
from streams.state.bundles import case_number
from streams.state.partition import Partition
from streams.state.store import Store
from tests.chance import FIXTURE, tries
from tests.streams.facts_of_a_shop import (
    CATALOG,
    DAY,
    HOUR,
    LEAD,
    SECOND,
    adjustment,
    click,
    history,
    impression,
    pixel,
    postback,
    with_goal,
)
from tests.streams.joining import NOON_MS, content, judging

RANDOM, DERIVED, AFFILIATE = "06cv" + "0" * 28, "d" + "0" * 31, "a" + "0" * 31
HISTORY = history(CATALOG, with_goal(LEAD, repeat="once"))
BEFORE = history()  # the second catalog has not come yet
Key = tuple[str, int, str]

MOMENTS = st.sampled_from(
    [-2 * DAY, -3 * SECOND, 0, SECOND, 4 * SECOND, 6 * SECOND, HOUR, 25 * HOUR, 20 * DAY, 29 * DAY, 31 * DAY]
)
STATED: dict[str, st.SearchStrategy[Any]] = {
    "goal_id": st.sampled_from([0, 0, 5]),
    "conversion_unique_id": st.sampled_from(["", "A", "B"]),
    "sale_amount": st.sampled_from([None, 5, 9]),
    "status": st.sampled_from(["", "", "cancelled"]),
}
KINDS: dict[Any, dict[str, st.SearchStrategy[Any]]] = {
    click: {"aff_sub": st.sampled_from(["x", "y"])},
    impression: {},
    pixel: STATED,
    postback: STATED,
    adjustment: {
        "conversion_unique_id": STATED["conversion_unique_id"],
        "status": st.just("approved"),
        "action": st.sampled_from(["state", "state", "create", "release"]),
    },
}


@st.composite
def known_facts(draw: st.DrawFn) -> list[AnyFact]:
    chosen = draw(
        st.lists(
            st.sampled_from([click, click, impression, pixel, postback, postback, adjustment]),
            min_size=1,
            max_size=14,
        )
    )
    found = []
    for number, kind in enumerate(chosen, start=1):
        name = draw(st.sampled_from([RANDOM, DERIVED, AFFILIATE, AFFILIATE]))
        fields = {name: draw(values) for name, values in KINDS[kind].items()}
        fields["catalog_version"] = draw(st.sampled_from([1, 1, 2]))
        found.append(kind(number, draw(MOMENTS), transaction_id=name, **fields))
    return found


def expected(known: Iterable[AnyFact]) -> dict[Key, Case]:
    """Each bundle decided from all its statements and all visits of its transaction that may count."""
    visits: dict[str, list[AnyFact]] = defaultdict(list)
    stated: dict[tuple[str, str], list[AnyFact]] = defaultdict(list)
    for fact in known:
        if isinstance(fact, Statement):
            stated[fact.transaction_id, case_number(fact)].append(fact)
        else:
            visits[fact.transaction_id].append(fact)
    found = {}
    for (name, number), statements in stated.items():
        decision = decide_transaction([*visits[name], *statements], HISTORY)
        for goal, conversions in decision.cases.items():
            for own, some in _apart(name, number, conversions).items():
                receipts = [receipt for each in some for receipt in each.receipts]
                judged = [decision.visits.get(receipt, []) for receipt in receipts]
                by = judged if name == DERIVED else decision.visits.values()
                found[name, goal, own] = Case(
                    transaction_id=name, goal_id=goal, number=own, version=0,
                    decided_at="1970-01-01T00:00:00.000Z", conversions=tuple(some),
                    visits=judging(by),
                )  # fmt: skip
    return found


def _apart(name: str, number: str, conversions: Iterable[Conversion]) -> dict[str, list[Conversion]]:
    """A person's conversions by what they are credited to, or by their first receipt; all others together."""
    found: dict[str, list[Conversion]] = defaultdict(list)
    for each in conversions:
        own = each.click_receipt_id or min(each.receipts) if name == DERIVED else number
        found[own].append(each)
    return found


class Worker:
    """A state over a log of `conversions` that it shares with others."""

    def __init__(
        self, open_: Callable[[], tuple[Partition, Callable[[], Partition]]], log: list[Record]
    ) -> None:
        self._open = open_
        self.state, self._again = open_()
        self.log = log
        self.known: list[AnyFact] = []
        self.history = HISTORY
        self._read = 0

    def absorb(self, some: Sequence[AnyFact]) -> None:
        self.known += some
        self._batch(lambda batch: batch.absorb([record(fact) for fact in some]))

    def read_cases(self) -> None:
        fresh, self._read = self.log[self._read :], len(self.log)
        self._batch(lambda batch: batch.take_cases(fresh))

    def resume(self) -> None:
        waiting = [bundle for _, bundle in self.state.waiting(b"\x00", 1_000)]
        self._batch(lambda batch: batch.resume(waiting))

    def settle(self) -> None:
        """All is decided but for what only further facts can help."""
        while self._read < len(self.log) or self.state.waiting(b"\x00", 1, layout.number(layout.LACKING)):
            self.read_cases()
            self.resume()

    def restart(self) -> None:
        self.state.close()
        self.state = self._again()

    def restore(self, order: Sequence[AnyFact]) -> None:
        """The state is lost; another is filled from what the logs hold."""
        self.state.close()
        self.state, self._again = self._open()
        self._read = len(self.log)
        self._batch(lambda batch: batch.take_cases(self.log), silent=True)
        for fact in order:
            self._batch(lambda batch, fact=fact: batch.absorb([record(fact)]), silent=True)

    def _batch(self, work: Callable[[Batch], None], *, silent: bool = False) -> None:
        batch = Batch(
            self.state, lambda known: decide_transaction(known, self.history), NOON_MS, silent=silent
        )
        work(batch)
        assert not (silent and batch.changes.outbox)
        self.state.apply(batch.changes)
        self.state.sent()
        self.log += [logged(each) for each in batch.changes.outbox if each.topic == "conversions"]


def record(fact: AnyFact) -> Record:
    return Record(
        facts.TOPIC_OF[type(fact)], 0, 0, NOON_MS + 40 * DAY, fact.transaction_id.encode(), facts.encode(fact)
    )


def logged(sent: Outgoing) -> Record:
    return Record("conversions", 0, 0, NOON_MS, sent.key, sent.value)


@pytest.fixture
def states(tmp_path: Path) -> Callable[[], tuple[Partition, Callable[[], Partition]]]:
    """A process of its own for each: hundreds of open partitions would be over the memory of one, and flush
    at each write.
    """
    numbers = itertools.count()

    def made() -> tuple[Partition, Callable[[], Partition]]:
        store = Store(tmp_path / str(next(numbers)))
        return store.open(0), lambda: store.open(0)

    return made


def key(case: Case) -> Key:
    return case.transaction_id, case.goal_id, case.number


def final(log: Iterable[Record]) -> dict[Key, Case]:
    """What a reader holds in the end: of each case the greatest version, where it has conversions."""
    kept: dict[Key, Case] = {}
    for each in log:
        case = msgspec.json.decode(each.value, type=Case)
        if key(case) not in kept or kept[key(case)].version <= case.version:
            kept[key(case)] = case
    return {name: content(case) for name, case in kept.items() if case.conversions}


def assert_versions_grow(log: Iterable[Record]) -> None:
    last: dict[Key, Case] = {}
    for each in log:
        case = msgspec.json.decode(each.value, type=Case)
        before = last.get(key(case))
        if before:
            same = content(before) == content(case)
            assert case.version == before.version if same else case.version > before.version
        last[key(case)] = case


OFTEN = settings(max_examples=tries(50), deadline=None, suppress_health_check=FIXTURE)


@OFTEN
@given(data=st.data())
def test_order_repetition_splitting_restart_and_restore_change_no_final_case(
    states: Callable[[], tuple[Partition, Callable[[], Partition]]], data: st.DataObject
):
    known = data.draw(known_facts())
    worker = Worker(states, [])
    worker.history = data.draw(st.sampled_from([HISTORY, BEFORE]))
    order = data.draw(st.permutations(known + data.draw(st.lists(st.sampled_from(known), max_size=5))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    for start, end in itertools.pairwise([0, *cuts, len(order)]):
        worker.absorb(order[start:end])
        between = data.draw(st.sampled_from(["", "restart", "restore", "read", "resume"]))
        if between == "resume":
            worker.history = HISTORY
        if between == "restart":
            worker.restart()
        elif between == "restore":
            worker.restore(data.draw(st.permutations(worker.known)))
        elif between == "read":
            worker.read_cases()
        elif between == "resume":
            worker.resume()
    assert_versions_grow(worker.log)
    worker.history = HISTORY
    worker.settle()
    assert final(worker.log) == expected(known)
    assert_versions_grow(worker.log)
    worker.state.close()


@OFTEN
@given(data=st.data())
def test_another_worker_that_knew_a_part_changes_no_final_case(
    states: Callable[[], tuple[Partition, Callable[[], Partition]]], data: st.DataObject
):
    known = data.draw(known_facts())
    log: list[Record] = []
    worker, other = Worker(states, log), Worker(states, log)
    half = data.draw(st.integers(0, len(known)))
    worker.absorb(known[:half])
    some = data.draw(st.lists(st.sampled_from(known), unique_by=lambda fact: fact.receipt_id))
    for fact in some:
        other.absorb([fact])
    if data.draw(st.booleans()):
        worker.settle()
    worker.absorb(known[half:])
    worker.settle()
    assert final(log) == expected(known)
    worker.state.close()
    other.state.close()
