"""What a batch changes: each rule of batch/batch.py; order, repetition and splitting change nothing."""

import base64
import itertools
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.catalog_versions import History
from schemas.facts import AnyFact
from schemas.reasons import Reason
from service.errors import Problem
from service.kafka import Outgoing, Record
from streams.batch import lateness
from streams.batch.attempt import Decide
from streams.batch.batch import Batch
from streams.batch.tally import Tally
from streams.rules.decide import Decision, decide_transaction
from streams.state import layout
from streams.state.bundles import Bundle
from streams.state.changes import Changes
from streams.state.layout import Emitted, Header
from streams.state.partition import Partition
from tests.chance import FIXTURE, tries
from tests.streams.joining import (
    NOON_MS,
    Verdict,
    cases,
    click,
    content,
    decide,
    last_cases,
    postback,
    quarantines,
    record,
    version,
)

T1 = Bundle("t1")


def waiting(state: Partition) -> list[Bundle]:
    return [bundle for _, bundle in state.waiting(b"\x00", 9)]


def absorbed(
    state: Partition, records: Sequence[Record], decide: Decide = decide
) -> tuple[list[Outgoing], Tally]:
    """What the batch gives to send; its changes are in the state, its outbox counts as sent."""
    made = Batch(state, decide, NOON_MS)
    made.absorb(records)
    state.apply(made.changes)
    state.sent()
    return made.changes.outbox, made.tally


def test_a_conversion_joins_the_click_that_came_in_an_earlier_batch(state: Partition):
    assert absorbed(state, [record(click())])[0] == []
    sent, _ = absorbed(state, [record(postback())])
    (case,) = cases(sent)
    assert case.version == version(2)
    assert [each.status for each in case.conversions] == ["approved"]
    assert case.visits == (click(),)
    assert sent[0] == Outgoing("conversions", b"t1:0", sent[0].value, state.number)
    assert [each.topic for each in sent] == ["conversions", "notices"]
    assert sent[1].partition is None


def test_a_click_that_came_late_changes_the_case_that_waited_for_it(state: Partition):
    (waiting,) = cases(absorbed(state, [record(postback())])[0])
    (credited,) = cases(absorbed(state, [record(click())])[0])
    assert (waiting.version, credited.version) == (version(1), version(2))
    assert (waiting.conversions[0].status, credited.conversions[0].status) == ("pending", "approved")


def test_clicks_alone_are_not_even_decided(state: Partition):
    def never(_: object):
        raise AssertionError

    assert absorbed(state, [record(click(sequence=each)) for each in range(1, 9)], never)[0] == []
    assert (len(state.facts("t1")), state.headers([T1])) == (8, [Header()])


def test_the_rules_make_no_case_of_clicks_alone_which_is_what_lets_us_not_ask_them():
    assert decide_transaction([click(), click(sequence=2)], known := History()) == Decision(
        {}, {}, [], {}, known
    )


def test_a_case_is_not_sent_where_its_content_did_not_change(state: Partition):
    absorbed(state, [record(postback(goal_id=1)), record(click())])
    sent, _ = absorbed(state, [record(postback(sequence=3, goal_id=2))])
    assert [(case.goal_id, case.version) for case in cases(sent)] == [(2, version(3))]


def test_a_case_that_lost_its_conversions_is_sent_empty(state: Partition):
    absorbed(state, [record(postback())])
    (case,) = cases(absorbed(state, [record(postback(sequence=3, status="never"))])[0])
    assert (case.conversions, case.version) == ((), version(2))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_fact_seen_again_changes_no_state_and_sends_its_case_again_as_it_is(
    state: Partition, *, at_once: bool
):
    facts_once = [record(click()), record(postback())]
    first, _ = absorbed(state, facts_once)
    before = state.headers([T1]), state.cases(T1), state.facts("t1")
    again, tally = absorbed(state, facts_once) if at_once else absorbed(state, facts_once[:1])
    assert again == first
    assert (tally.facts, tally.again) == (0, 2 if at_once else 1)
    assert (state.headers([T1]), state.cases(T1), state.facts("t1")) == before


def test_a_fact_twice_in_one_batch_counts_once(state: Partition):
    sent, tally = absorbed(state, [record(postback()), record(postback())])
    assert (tally.facts, tally.again, state.headers([T1])[0].facts) == (1, 1, 1)
    assert [case.version for case in cases(sent)] == [version(1)]


def test_new_facts_and_known_ones_of_one_transaction_send_each_case_once(state: Partition):
    absorbed(state, [record(postback(goal_id=1))])
    sent, _ = absorbed(state, [record(postback(goal_id=1)), record(postback(sequence=3, goal_id=2))])
    assert sorted((case.goal_id, case.version) for case in cases(sent)) == [(1, version(1)), (2, version(2))]


def test_the_same_fact_spelled_otherwise_is_the_same_fact(state: Partition):
    absorbed(state, [record(postback())])
    spelled = json.dumps(dict(reversed(json.loads(facts.encode(postback())).items()))).encode()
    _, tally = absorbed(state, [record(postback())._replace(value=spelled)])
    assert (tally.again, tally.quarantined) == (1, 0)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_receipt_with_other_content_goes_to_quarantine_with_an_alarm(state: Partition, *, at_once: bool):
    one, other = record(postback()), record(postback(sale_amount=Decimal(99)), offset=7)
    if at_once:
        sent, tally = absorbed(state, [one, other])
    else:
        absorbed(state, [one])
        sent, tally = absorbed(state, [other])
    (kept,) = quarantines(sent)
    assert (kept.reason, kept.offset, kept.identity) == (Reason.CONFLICTING_VALUES, 7, postback().receipt_id)
    assert tally.contradicting == 1
    assert state.cases(T1)[T1, 0].version == version(1)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b"{}",
        b"[" * 100_000,
        b'{"a":' + b"[" * 9_999 + b"]" * 9_999 + b"}",
        facts.encode(click("a\x00b")),
    ],
)
def test_a_record_that_is_no_fact_goes_to_quarantine_whole_and_the_others_go_on(
    state: Partition, value: bytes
):
    poison = Record("clicks", 0, 5, NOON_MS, b"\xffkey", value)
    sent, tally = absorbed(state, [poison, record(postback())])
    (kept,) = quarantines(sent)
    assert base64.b64decode(kept.value) == value
    assert (kept.reason, kept.reader, kept.topic, kept.offset) == (
        Reason.MALFORMED_EVENT,
        "joiner",
        "clicks",
        5,
    )
    assert len(cases(sent)) == tally.facts == tally.quarantined == 1


def test_a_quarantined_record_keeps_the_receipt_that_can_still_be_read(state: Partition):
    broken = json.loads(facts.encode(click())) | {"occurred_at": "yesterday"}
    sent, _ = absorbed(state, [record(click())._replace(value=json.dumps(broken).encode())])
    (kept,) = quarantines(sent)
    assert kept.identity == kept.receipt_id == click().receipt_id


def test_what_one_transaction_can_make_us_read_is_bounded(state: Partition, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lateness, "MAX_STATEMENTS", 3)
    records = [record(postback(sequence=each)) for each in range(1, 6)]
    sent, tally = absorbed(state, records)
    assert [each.reason for each in quarantines(sent)] == [Reason.TOO_MANY_OBSERVATIONS] * 2
    assert (tally.facts, state.headers([T1])[0].facts) == (3, 3)
    assert cases(sent)[0].conversions[0].observations == 3


def test_a_transaction_without_its_catalog_waits_and_the_others_go_on(state: Partition):
    sent, _ = absorbed(state, [record(postback("t1", catalog_version=2)), record(postback("t2", 3))])
    assert [case.transaction_id for case in cases(sent)] == ["t2"]
    assert waiting(state) == [T1]

    still = Batch(state, decide, NOON_MS)
    still.resume([T1])
    state.apply(still.changes)
    assert waiting(state) == [T1]

    there = Batch(state, partial(decide, newest_catalog=2), NOON_MS)
    there.resume([T1])
    state.apply(there.changes)
    assert [(case.transaction_id, case.version) for case in cases(there.changes.outbox)] == [
        ("t1", version(1))
    ]
    assert waiting(state) == []


def test_a_new_fact_lets_a_waiting_transaction_go_on_once_the_catalog_is_there(state: Partition):
    absorbed(state, [record(postback(catalog_version=2))])
    sent, _ = absorbed(state, [record(click())], partial(decide, newest_catalog=2))
    assert [case.version for case in cases(sent)] == [version(2)]
    assert waiting(state) == []


def broken_for_t1(known: Sequence[AnyFact]) -> Verdict:
    if known[0].transaction_id == "t1":
        raise ZeroDivisionError
    return decide(known)


def test_a_transaction_that_the_rules_fail_on_is_set_aside_and_the_others_go_on(state: Partition):
    """Shown in quarantine, kept in the state, named once; and decided from all its facts once they do not."""
    first = Batch(state, broken_for_t1, NOON_MS)
    first.absorb([record(postback("t1")), record(postback("t2", 3))])
    state.apply(first.changes)
    (alarm,) = first.alarms
    assert alarm.startswith("transaction t1 cannot be decided: ZeroDivisionError() at test_worker_batch.py:")
    assert [case.transaction_id for case in cases(first.changes.outbox)] == ["t2"]
    (kept,) = quarantines(first.changes.outbox)
    assert (kept.reason, kept.receipt_id) == (Reason.UNDECIDED, postback("t1").receipt_id)
    assert alarm in kept.detail

    again = Batch(state, broken_for_t1, NOON_MS)
    again.resume([T1])
    again.absorb([record(click("t1", 4))])
    state.apply(again.changes)
    assert (again.alarms, again.tally.undecided, again.tally.cases) == ([], 0, 0)
    assert waiting(state) == [T1]

    mended = Batch(state, decide, NOON_MS)
    mended.resume([T1])
    state.apply(mended.changes)
    (case,) = cases(mended.changes.outbox)
    assert (case.version, case.conversions[0].status) == (version(2), "approved")
    assert waiting(state) == []


def test_a_stored_case_that_cannot_be_read_is_the_state_s_damage_and_no_bug(state: Partition):
    absorbed(state, [record(postback())])
    state.apply(Changes(cases={(T1, 0): Emitted(1, b"", b"{")}))
    with pytest.raises(Problem, match=f"state {state.path} is damaged"):
        absorbed(state, [record(click())])


def test_without_memory_no_transaction_is_to_blame(state: Partition):
    def starved(_: object):
        raise MemoryError

    with pytest.raises(MemoryError):
        absorbed(state, [record(postback())], starved)
    assert state.seen([layout.seen_key("postbacks", postback())]) == [None]


def test_a_fact_under_another_key_than_its_transaction_goes_to_quarantine(state: Partition):
    """Another worker may have the other facts of either: neither may be decided here."""
    sent, tally = absorbed(state, [record(postback())._replace(key=b"t2"), record(click())])
    (kept,) = quarantines(sent)
    assert (kept.reason, kept.detail) == (Reason.MALFORMED_EVENT, "its key is not its transaction_id")
    assert (kept.key, tally.facts, tally.quarantined) == ("t2", 1, 1)


GIVEN = [
    *(click(name, 10 * index + 1) for index, name in enumerate("ab")),
    *(
        postback(name, 10 * index + 2 + goal, goal_id=goal, sale_amount=Decimal(goal + 1))
        for index, name in enumerate("ab")
        for goal in range(3)
    ),
    postback("a", 9, goal_id=1, sale_amount=Decimal(50)),
]


@settings(max_examples=tries(60), deadline=None, suppress_health_check=FIXTURE)
@given(data=st.data())
def test_order_repetition_and_splitting_change_no_final_case(
    fresh: Callable[[], Partition], data: st.DataObject
):
    expected = {
        key: content(case) for key, case in last_cases(absorbed(fresh(), [*map(record, GIVEN)])[0]).items()
    }
    order = data.draw(st.permutations(GIVEN + data.draw(st.lists(st.sampled_from(GIVEN), max_size=6))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=5)))
    state, sent = fresh(), []
    for start, end in itertools.pairwise([0, *cuts, len(order)]):
        sent += absorbed(state, [*map(record, order[start:end])])[0]
    assert {key: content(case) for key, case in last_cases(sent).items()} == expected
    state.close()
