"""Invented histories through the joiner's batch and a real state: in any order that the promises allow.

Facts reach the log within the lateness bound, mixed, some of them again; batches are cut anywhere; the state
is closed and opened, or lost and filled again from the logs; the second catalog comes when half is there.
Nothing expires here: see proof.aging.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from proof.agreement import differences, naive, summed_up, versions_of
from proof.expected import Expected
from proof.invented import History
from schemas import catalog_versions, facts, times
from schemas.decisions import Case
from schemas.facts import AnyFact
from schemas.topics import DAY_MS, LATENESS_DAYS
from service.kafka import Record
from streams.batch.batch import Batch
from streams.rules.decide import Decision, decide_transaction
from streams.state.partition import Partition
from streams.state.store import Store

TOGETHER: Final = 40  # histories whose facts are mixed
LATE_MS: Final = (0, 0, 0, 1_000, 3_600_000, DAY_MS, LATENESS_DAYS * DAY_MS)
NO_CATALOGS: Final = catalog_versions.History()
MOST_AT_ONCE: Final = 30  # facts of a batch


def disagreements(histories: Sequence[History], seed: str) -> Iterator[tuple[History, list[str]]]:
    """Those of which the batch's last cases, or their versions, are not as they must be."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="roundtrip-readings-") as directory:
        worker = Worker(Path(directory), histories)
        batches = list(cut(_shipped(histories, chance), chance))
        for number, some in enumerate(batches):
            if number == len(batches) // 2:
                worker.learn_all_catalogs()
            worker.absorb(some)
            happens = chance.random()
            if happens < 0.1:  # noqa: PLR2004  now and then
                worker.restart()
            elif happens < 0.13:  # noqa: PLR2004
                worker.lose_and_restore()
        worker.close()
    for history in histories:
        found = worker.outcome(history.identifier)
        lines = differences(found, naive(history)) + worker.faults.get(history.identifier, [])
        if lines:
            yield history, lines


def _shipped(histories: Sequence[History], chance: random.Random) -> list[AnyFact]:
    """All facts in the order of their arrival: each within the lateness bound, some twice."""
    arrivals = [
        (times.to_ms(fact.received_at) + chance.choice(LATE_MS), chance.random(), fact)
        for history in histories
        for fact in history.facts
    ]
    again = [(at_ms + chance.choice(LATE_MS), chance.random(), fact) for at_ms, _, fact in arrivals]
    arrivals += [each for each in again if chance.random() < 0.1]  # noqa: PLR2004
    return [fact for _, _, fact in sorted(arrivals, key=lambda each: each[:2])]


def cut(shipped: Sequence[Any], chance: random.Random) -> Iterator[Sequence[Any]]:
    """Into batches."""
    start = 0
    while start < len(shipped):
        end = start + chance.randint(1, MOST_AT_ONCE)
        yield shipped[start:end]
        start = end


class Worker:
    """One partition's state, and the log of the cases that it sent. faults: of versions, by identifier."""

    def __init__(self, directory: Path, histories: Sequence[History]) -> None:
        self._directory = directory
        self._stores = 0
        self._histories = histories
        self._versions = {each.identifier: versions_of(each, newest=1) for each in histories}
        self._known: list[AnyFact] = []
        self._now_ms = 0
        self._log: list[Record] = []
        self._last: dict[bytes, Case] = {}
        self.faults: dict[str, list[str]] = defaultdict(list)
        self._store, self._state = self._opened()

    def absorb(self, some: Sequence[AnyFact]) -> None:
        """They come, as soon as they were received."""
        self._known += some
        self._batch(some)

    def learn_all_catalogs(self) -> None:
        """What waited for the second is decided."""
        self._versions = {each.identifier: versions_of(each) for each in self._histories}
        self._resume()

    def restart(self) -> None:
        """The state is closed and opened."""
        self._state.close()
        self._state = self._store.open(0)

    def lose_and_restore(self) -> None:
        """Another state, filled from the logs as a restore does; what it left waiting is decided."""
        self._state.close()
        self._store, self._state = self._opened()
        batch = Batch(self._state, self._decide, self._now_ms, silent=True)
        batch.take_cases(self._log)
        self._apply(batch)
        self._batch(self._known, silent=True)
        self._resume()

    def close(self) -> None:
        """Nothing more comes."""
        self._state.close()

    def outcome(self, identifier: str) -> list[Expected]:
        """The conversions of its cases as they stand."""
        return [
            summed_up(one, case.goal_id, case.number)
            for case in self._last.values()
            if case.transaction_id == identifier
            for one in case.conversions
        ]

    def _opened(self) -> tuple[Store, Partition]:
        self._stores += 1
        store = Store(self._directory / str(self._stores))
        return store, store.open(0)

    def _decide(self, known: Sequence[AnyFact]) -> Decision:
        return decide_transaction(known, self._versions[known[0].transaction_id] if known else NO_CATALOGS)

    def _resume(self) -> None:
        """All that waits is tried once."""
        waiting = [bundle for _, bundle in self._state.waiting(b"\x00", len(self._known) + 1)]
        batch = Batch(self._state, self._decide, self._now_ms)
        batch.resume(waiting)
        self._apply(batch)

    def _batch(self, some: Sequence[AnyFact], *, silent: bool = False) -> None:
        batch = Batch(self._state, self._decide, self._now_ms, self._state.expired.time_ms, silent=silent)
        batch.absorb([record(fact, times.to_ms(fact.received_at)) for fact in some])
        self._apply(batch)

    def _apply(self, batch: Batch) -> None:
        self._state.apply(batch.changes)
        self._state.sent()
        for each in batch.changes.outbox:
            if each.topic == "conversions":
                self._take(Record("conversions", 0, 0, 0, each.key, each.value))

    def _take(self, record: Record) -> None:
        """A version is greater where the content is another, and the same where it is the same."""
        self._log.append(record)
        case = msgspec.json.decode(record.value, type=Case)
        before = self._last.get(record.key)
        if before is not None:
            same = _content(case) == _content(before)
            if case.version != before.version if same else case.version <= before.version:
                line = f"{record.key.decode()}: version {case.version} after {before.version}, same: {same}"
                self.faults[case.transaction_id].append(line)
        self._last[record.key] = case


def _content(case: Case) -> Case:
    return msgspec.structs.replace(case, version=0, decided_at="")


def record(fact: AnyFact, at_ms: int) -> Record:
    """As it lies in its topic, where it came at that moment."""
    topic = facts.TOPIC_OF[type(fact)]
    return Record(topic, 0, 0, at_ms, fact.transaction_id.encode(), facts.encode(fact))
