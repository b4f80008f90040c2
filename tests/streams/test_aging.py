"""What a fact gives does not rest on when it comes within the lateness bound, whatever has expired then."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from schemas import facts, times
from schemas.decisions import Case
from schemas.facts import AnyFact
from schemas.topics import DAY_MS, LATENESS_DAYS
from service.kafka import Outgoing, Record
from streams.batch.batch import Batch
from streams.expirer import Expirer
from streams.rules.decide import decide_transaction
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams.facts_of_a_shop import CATALOG, adjustment, click, history, impression, pixel, postback
from tests.streams.joining import content, last_cases

DAY = DAY_MS
BLOG, PERSON = "a" + "0" * 31, "d" + "0" * 31
LATE = LATENESS_DAYS * DAY
BOTH = history(CATALOG, CATALOG)
Outcome = dict[tuple[str, int], Case]

HISTORIES: dict[str, Sequence[AnyFact]] = {
    "a report when its click counts for the last time": [click(1), postback(2, 36 * DAY)],
    "and when it no longer does": [click(1), postback(2, 38 * DAY)],
    "an impression": [impression(1), postback(2, 7 * DAY)],
    "the network's word long before the first report": [click(1), adjustment(2, 1), postback(3, 40 * DAY)],
    "the network names a goal of the click's offer": [
        click(1),
        adjustment(2, 1, goal="sale", goal_id=-1, status="rejected"),
        postback(3, 10 * DAY),
        postback(4, 60 * DAY, status="approved"),
    ],
    "several impressions under one ID": [
        impression(1, affiliate_id=1),
        click(2),
        impression(3, 20 * DAY, affiliate_id=2),
        postback(4, 15 * DAY),
        adjustment(5, 45 * DAY, status="approved"),
    ],
    "a second click under one ID, before what is stated months later": [
        click(1),
        postback(2, 1),
        click(3, 35 * DAY, affiliate_id=43),
        pixel(4, 79 * DAY, goal_id=5),
    ],
    "a click too long ago beside an impression": [
        click(1),
        impression(2, 33 * DAY),
        postback(3, 33 * DAY + 1),
        pixel(4, 46 * DAY, status="rejected"),
        adjustment(5, 60 * DAY, status="approved"),
    ],
    "each report of a blog's order has a click of its own": [
        click(1, transaction_id=BLOG),
        postback(2, 1, transaction_id=BLOG, conversion_unique_id="A"),
        click(3, 3 * DAY, transaction_id=BLOG, is_bot=True),
        pixel(4, 3 * DAY + 1, transaction_id=BLOG, conversion_unique_id="A", offer_id=8),
        postback(5, 50 * DAY, transaction_id=BLOG, conversion_unique_id="A", status="rejected"),
    ],
    "a blog's order that is told long after": [
        click(1, transaction_id=BLOG),
        postback(2, 38 * DAY, transaction_id=BLOG, conversion_unique_id="A", occurred_at=times.from_ms(0)),
    ],
    "a visit after the correction": [postback(1), impression(2, 121 * DAY)],
    "a person's, that could be of a click of long ago": [
        click(1, transaction_id=PERSON),
        postback(2, 1, transaction_id=PERSON, conversion_unique_id="A"),
        adjustment(3, 121 * DAY, transaction_id=PERSON, status="rejected"),
        click(4, 140 * DAY, transaction_id=PERSON),
        postback(5, 140 * DAY + 1, transaction_id=PERSON, conversion_unique_id="B"),
    ],
}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[], Partition]]:
    states: list[Partition] = []

    def another() -> Partition:
        states.append(Store(tmp_path / f"{len(states)}").open(0))
        return states[-1]

    yield another
    for state in states:
        state.close()


def played(
    state: Partition,
    known: Sequence[AnyFact],
    late_ms: Sequence[int],
    until_ms: int = 0,
    *,
    ages: bool = True,
) -> Outcome:
    """What stands in the end.

    until_ms: so long after the first the second catalog is missing. ages: whether anything expires.
    """
    came = sorted(
        (times.to_ms(fact.received_at) + late, number, fact)
        for number, (fact, late) in enumerate(zip(known, late_ms, strict=True))
    )
    sent: list[Outgoing] = []
    missing = True

    def batch(at_ms: int, *some: AnyFact, resumes: bool = False) -> None:
        rules = history() if missing and until_ms else BOTH
        made = Batch(
            state,
            lambda found: decide_transaction(found, rules),
            at_ms,
            0 if resumes else state.expired.time_ms,
        )
        if resumes:
            made.resume([bundle for _, bundle in state.waiting(b"\x00", 99)])
        made.absorb(
            [
                Record(facts.TOPIC_OF[type(one)], 0, 0, at_ms, one.transaction_id.encode(), facts.encode(one))
                for one in some
            ]
        )
        state.apply(made.changes)
        state.sent()
        sent.extend(made.changes.outbox)

    for at_ms, _, fact in came:
        while ages and Expirer().take(state, at_ms).more:
            pass
        batch(at_ms, fact)
    if until_ms:
        end_ms = times.to_ms(known[0].received_at) + until_ms
        while Expirer().take(state, end_ms).more:
            pass
        missing = False
        batch(end_ms, resumes=True)
    return {key: content(case) for key, case in last_cases(sent).items()}


@pytest.mark.parametrize("told", HISTORIES)
def test_the_same_rows_stand_whatever_came_late(told: str, fresh: Callable[[], Partition]) -> None:
    known = HISTORIES[told]
    outcomes = [played(fresh(), known, late) for late in product((0, LATE), repeat=len(known))]
    outcomes.append(played(fresh(), known, [0] * len(known), ages=False))
    assert outcomes[0]
    assert [each for each in outcomes if each != outcomes[0]] == []


def test_what_waits_for_a_catalog_keeps_its_click(fresh: Callable[[], Partition]) -> None:
    for name in (click().transaction_id, BLOG, PERSON):
        known: list[AnyFact] = [
            click(1, transaction_id=name),
            postback(2, 1, transaction_id=name, catalog_version=2),
        ]
        (case,) = played(fresh(), known, (0, 0), until_ms=60 * DAY).values()
        assert [visit.receipt_id for visit in case.visits] == [known[0].receipt_id]
