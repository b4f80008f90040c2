"""What is known while a batch is at work: the state, with what the batch already changed of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from schemas import facts
from schemas.facts import AnyFact
from streams.batch.reading import Reading, named
from streams.batch.sending import Place
from streams.state import damage
from streams.state.bundles import Bundle
from streams.state.changes import Changes
from streams.state.contents import Contents
from streams.state.layout import Emitted, Header


class Sent(NamedTuple):
    """What was sent of a bundle: by place and goal its cases, by notice_id its notices."""

    cases: Mapping[Place, Emitted]
    notices: Mapping[str, bytes]


class Known:
    """A state and the changes that one batch is about to make in it.

    fact: what a topic's record in the state holds. reading: what the batch's decisions read.
    """

    def __init__(self, state: Contents, changes: Changes) -> None:
        self.state = state
        self.changes = changes
        self.fact = partial(fact, state.path)
        self.reading = Reading(state, self.fact)  # in no cycle: what it holds would keep the state open
        self._taken: dict[Bundle, dict[Place, Emitted]] = defaultdict(dict)

    def headers(self, bundles: Sequence[Bundle]) -> dict[Bundle, Header]:
        """Of each bundle."""
        stored = dict(zip(bundles, self.state.headers(bundles), strict=True))
        return {bundle: self.changes.headers.get(bundle, header) for bundle, header in stored.items()}

    def sent(self, bundle: Bundle) -> Sent:
        """By this state before this batch, or by others."""
        return Sent(self.cases(bundle), self.state.notices(bundle))

    def cases(self, bundle: Bundle) -> dict[Place, Emitted]:
        """As last sent by this state before this batch, or by others."""
        return self.state.cases(bundle) | self._taken.get(bundle, {})

    def take(self, bundle: Bundle, place: Place, case: Emitted) -> None:
        """It is what was last sent of the bundle there."""
        self.changes.cases[place] = self._taken[bundle][place] = case

    def leaves_out(self, bundle: Bundle, known: Iterable[AnyFact]) -> bool:
        """Whether there is a fact among these that no case of the bundle names."""
        there = named(self.cases(bundle).values(), self.state.path)
        return any(fact.receipt_id not in there for fact in known)


def fact(path: Path, topic: str, value: bytes) -> AnyFact:
    """A fact out of the state at `path`, where only what decoded was put."""
    try:
        return facts.decode(topic, value)
    except facts.Malformed as error:
        raise damage.problem(path, error) from error
