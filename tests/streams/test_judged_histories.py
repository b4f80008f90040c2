"""Histories judged by hand (judged_histories.txt): decided at once, and by a worker in any order."""

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import pytest

from schemas import facts
from schemas.facts import AnyFact
from schemas.reasons import Reason
from service.kafka import Record
from streams.batch.batch import Batch
from streams.rules.decide import decide_transaction
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams.facts_of_a_shop import CLICKED_MS, DAY, history
from tests.streams.joining import cases, quarantines
from tests.streams.judged import Judged, differences, histories

HISTORIES = list(histories())
NAMES = [each.title for each in HISTORIES]
TOPIC_OF = {kind: topic for topic, kind in facts.TYPES.items()}
AS_LATE_AS_CAN_BE = CLICKED_MS + 999 * DAY  # the broker's clock holds no collector's back


def test_there_are_many_and_no_two_have_one_name() -> None:
    assert len(set(NAMES)) == len(NAMES) > 100


@pytest.mark.parametrize("judged", [each for each in HISTORIES if not each.late], ids=lambda one: one.title)
def test_decided_at_once(judged: Judged) -> None:
    given = judged.facts()
    for told in (given, given[::-1], [*reversed(given), *given]):
        decided = [decide_transaction(case, history(*judged.catalogs)) for case in judged.bundles(told)]
        found = [(goal, one) for each in decided for goal, case in each.cases.items() for one in case]
        assert differences(judged, found) == []


@pytest.fixture(scope="module")
def state(tmp_path_factory: Any) -> Iterator[Partition]:
    made = Store(tmp_path_factory.mktemp("state")).open(0)
    yield made
    made.close()


@pytest.mark.parametrize("number", range(len(HISTORIES)), ids=NAMES)
def test_decided_by_a_worker_in_any_order_and_some_of_it_twice(state: Partition, number: int) -> None:
    judged, dice = HISTORIES[number], random.Random(number)
    for turn in range(2):
        given = judged.facts(mark := 2 * number + turn)
        shipped = given if not turn else dice.sample(given, len(given)) + dice.sample(given, 1)
        kept: dict[tuple[int, str], Any] = {}  # what a reader of the topic holds
        late = set()
        for fact in shipped:
            made = Batch(state, partial(decide_transaction, history=history(*judged.catalogs)), CLICKED_MS)
            made.absorb([_record(fact)])
            state.apply(made.changes)
            state.sent()
            for each in cases(made.changes.outbox):
                before = kept.get((each.goal_id, each.number))
                assert before is None or before == each or before.version < each.version
                kept[each.goal_id, each.number] = each
            refused = quarantines(made.changes.outbox)
            assert {each.reason for each in refused} <= {Reason.TOO_LATE_TO_CORRECT}
            late |= {each.receipt_id for each in refused}
        found = [(goal, one) for (goal, _), case in kept.items() for one in case.conversions]
        assert differences(judged, found, mark) == []
        if not turn:  # what comes so late that it comes before what it corrects may be shown as late, too
            assert len(late) == judged.late


def _record(fact: AnyFact) -> Record:
    topic, key = TOPIC_OF[type(fact)], fact.transaction_id.encode()
    return Record(topic, 0, 0, AS_LATE_AS_CAN_BE, key, facts.encode(fact))


def test_a_difference_is_told() -> None:
    """Else a reader of the table that overlooks something would be always content."""
    judged = HISTORIES[0]
    (row,) = decide_transaction(judged.facts(), history(*judged.catalogs)).cases[0]
    assert differences(judged, [(0, row)]) == []
    for wrong in ({"status": "pending"}, {"reason": 12}, {"payout": 5}, {"conversion_id": "1"}):
        assert differences(judged, [(0, msgspec.structs.replace(row, **wrong))])
    assert differences(judged, [])
    assert differences(judged._replace(expected=[]), [(0, row)])
