"""Invented histories over most of a year, in several orders of arrival, while what is too old leaves.

Each fact reaches the log between 0 and 7 days after it was received. What is too old leaves the state
whenever it may, or later; the state is closed and opened, or lost and filled again from what the topics then
still hold; a catalog may come as late as a fact. In the end the cases are as if all had been known at once.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from proof import batched
from proof.agreement import differences, naive
from proof.invented import DAY, START_MS, History
from schemas import facts, times
from schemas.facts import AnyFact
from schemas.topics import LATENESS_DAYS, TOPICS
from streams import expiry
from streams.batch.batch import Batch
from streams.expirer import Expirer

if TYPE_CHECKING:
    from service.kafka import Record

TOGETHER: Final = 20  # histories whose facts are mixed
SPREAD_MS: Final = 200 * DAY  # over which they begin
LATEST_MS: Final = LATENESS_DAYS * DAY
LATE_MS: Final = (0, 0, 1, DAY, 3 * DAY, LATEST_MS - 1, LATEST_MS)
ORDERS: Final = 4  # on time, all as late as may be, and by chance

Arrival = tuple[int, AnyFact]


def disagreements(histories: Sequence[History], seed: str) -> Iterator[tuple[History, list[str]]]:
    """Those that an order of arrival gives other cases than they must have, and how.

    Not of those that are longer than it is remembered that there was something: then it begins anew.
    """
    chance = random.Random(seed)
    moved = [
        _moved(each, chance.randrange(SPREAD_MS))
        for each in histories
        if _length_ms(each) < expiry.REMEMBERED_MS - LATEST_MS
    ]
    known_ms = _asked_ms(moved) + chance.choice([-1, chance.randrange(LATEST_MS)])
    lines: dict[str, list[str]] = {each.identifier: [] for each in moved}
    wanted = {each.identifier: naive(each) for each in moved}
    for number in range(ORDERS):
        worker = _played(moved, number, known_ms, chance)
        for each in moved:
            found = differences(worker.outcome(each.identifier), wanted[each.identifier])
            lines[each.identifier] += [f"order {number}: {line}" for line in found]
            lines[each.identifier] += worker.faults.get(each.identifier, [])
    for each in moved:
        if lines[each.identifier]:
            yield each, lines[each.identifier]


def _length_ms(history: History) -> int:
    """From the first to the last that was received."""
    received = [times.to_ms(fact.received_at) for fact in history.facts]
    return max(received) - min(received)


def _asked_ms(histories: Sequence[History]) -> int:
    """When a fact first names the second catalog."""
    named = (fact for each in histories for fact in each.facts if fact.catalog_version > 1)
    return min((times.to_ms(fact.received_at) for fact in named), default=START_MS)


def _moved(history: History, by_ms: int) -> History:
    """The same so much later."""
    moved = [
        msgspec.structs.replace(
            fact,
            received_at=times.from_ms(times.to_ms(fact.received_at) + by_ms),
            occurred_at=times.from_ms(times.to_ms(fact.occurred_at) + by_ms),
        )
        for fact in history.facts
    ]
    return msgspec.structs.replace(history, facts=moved)


def _played(histories: Sequence[History], number: int, known_ms: int, chance: random.Random) -> "_Worker":
    """What the worker sent, when all has come and has aged."""
    late_ms = (0,) if number == 0 else (LATEST_MS,) if number == 1 else LATE_MS
    with tempfile.TemporaryDirectory(prefix="roundtrip-aging-") as directory:
        worker = _Worker(Path(directory), histories, chance)
        for some in batched.cut(_arriving(histories, late_ms, chance), chance):
            if not worker.knows_all and some[-1][0] >= known_ms:
                worker.knows_all = True
                worker.learn_all_catalogs()
            worker.take(some)
            worker.happen()
        worker.learn_all_catalogs()
        worker.close()
    return worker


def _arriving(histories: Sequence[History], late_ms: Sequence[int], chance: random.Random) -> list[Arrival]:
    found = [
        (times.to_ms(fact.received_at) + chance.choice(late_ms), chance.random(), fact)
        for history in histories
        for fact in history.facts
    ]
    return [(at_ms, fact) for at_ms, _, fact in sorted(found, key=lambda each: each[:2])]


class _Worker(batched.Worker):
    """One whose state ages, and whose topics forget. knows_all: whether it knows the second catalog."""

    def __init__(self, directory: Path, histories: Sequence[History], chance: random.Random) -> None:
        super().__init__(directory, histories)
        self.knows_all = False
        self._chance = chance
        self._expirer = Expirer()
        self._topics: list[Record] = []
        self._time_ms = 0

    def take(self, some: Sequence[Arrival]) -> None:
        """They come, each at its moment."""
        records = [batched.record(fact, at_ms) for at_ms, fact in some]
        self._topics += records
        self._known += [fact for _, fact in some]
        self._now_ms = some[-1][0]
        batch = Batch(self._state, self._decide, self._now_ms, self._state.expired.time_ms)
        batch.absorb(records)
        self._apply(batch)
        self._time_ms = max(self._time_ms, *(times.to_ms(fact.received_at) for _, fact in some))

    def happen(self) -> None:
        """What is too old leaves, or does not yet; the state is closed and opened, or lost."""
        what = self._chance.random()
        if what < 0.6:  # noqa: PLR2004  mostly
            self._age()
        elif what < 0.7:  # noqa: PLR2004  now and then
            self.restart()
        elif what < 0.75:  # noqa: PLR2004
            self.lose_and_restore()

    def _age(self) -> None:
        while self._expirer.take(self._state, self._time_ms).more:
            pass

    def lose_and_restore(self) -> None:
        """From what the topics still hold."""
        kept: Any = {name: topic.kept_days for name, topic in TOPICS.items()}
        self._known = [
            facts.decode(each.topic, each.value)
            for each in self._topics
            if each.timestamp_ms >= self._now_ms - kept[each.topic] * DAY
        ]
        super().lose_and_restore()
