"""What a batch does with cases of others, a lost state, what is too late, and many late clicks."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import pytest

from schemas import decisions, times
from schemas.decisions import Case, Notice
from schemas.facts import AnyFact, Statement
from schemas.reasons import Reason
from schemas.topics import DAY_MS
from service.kafka import Outgoing, Record
from streams.batch import reading, touching
from streams.batch.attempt import Decide
from streams.batch.batch import Batch
from streams.batch.tally import Tally
from streams.state import layout
from streams.state.bundles import Bundle, bundle_of
from streams.state.layout import Header, Position
from streams.state.partition import Partition
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
BLOG = "a" + "0" * 31


def done(
    state: Partition,
    work: Callable[[Batch], None],
    decide: Decide = decide,
    time_ms: int = 0,
    *,
    silent: bool = False,
) -> tuple[list[Outgoing], Tally]:
    """What the batch gives to send; its changes are in the state, its outbox counts as sent."""
    made = Batch(state, decide, NOON_MS, time_ms, silent=silent)
    work(made)
    state.apply(made.changes)
    state.sent()
    return made.changes.outbox, made.tally


def absorbed(
    state: Partition, *given: AnyFact, time_ms: int = 0, silent: bool = False
) -> tuple[list[Outgoing], Tally]:
    return done(state, lambda batch: batch.absorb([*map(record, given)]), time_ms=time_ms, silent=silent)


def taken(
    state: Partition, sent: Sequence[Outgoing], *, silent: bool = False, stored_ms: int = NOON_MS
) -> tuple[list[Outgoing], Tally]:
    """What comes of reading these in `conversions`."""
    read = [Record("conversions", 0, 0, stored_ms, each.key, each.value) for each in sent]
    return done(state, lambda batch: batch.take_cases(read), silent=silent)


def resumed(state: Partition, decide: Decide = decide) -> list[Outgoing]:
    return done(state, lambda batch: batch.resume(waiting(state)), decide)[0]


def waiting(state: Partition) -> list[Bundle]:
    return [bundle for _, bundle in state.waiting(b"\x00", 1_000)]


def others(sent: Outgoing, higher: int = 0, **changed: object) -> Outgoing:
    """The case as another worker might have sent it."""
    case = msgspec.json.decode(sent.value, type=Case)
    case = msgspec.structs.replace(case, **{"version": case.version + higher, **changed})
    key = decisions.case_key(case.transaction_id, case.goal_id, case.number)
    return sent._replace(key=key, value=decisions.encode(case))


def only_cases(sent: Sequence[Outgoing]) -> list[Outgoing]:
    return [each for each in sent if each.topic == "conversions"]


def test_own_cases_come_back_and_change_nothing(state: Partition):
    first, _ = absorbed(state, postback())
    second, _ = absorbed(state, click())
    sent, tally = taken(state, only_cases([*first, *second]))
    assert (sent, tally.foreign, waiting(state)) == ([], 0, [])
    assert [case.version for case in state.cases(T1).values()] == [version(2)]


def test_of_more_visits_under_a_random_id_than_are_read_the_first_count(
    state: Partition, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "MAX_VISITS", 2)
    absorbed(state, *(click(sequence=each) for each in (1, 2, 3)))
    (case,) = cases(absorbed(state, postback(sequence=5))[0])
    assert case.conversions[0].click_receipt_id == click(sequence=2).receipt_id


def test_one_that_only_another_time_was_decided_at_is_ours(state: Partition):
    (right,) = only_cases(absorbed(state, postback())[0])
    sent, tally = taken(state, [others(right, decided_at="2026-11-24T00:00:00.000Z")])
    assert (sent, tally.foreign, waiting(state)) == ([], 0, [])


def test_what_others_sent_of_an_unknown_transaction_tells_when_it_was_born(fresh: Callable[[], Partition]):
    """By the first of its conversions, and by the first case that tells of it."""
    knows, lacks = fresh(), fresh()
    sent = only_cases(absorbed(knows, postback(), postback(sequence=9, goal_id=3))[0])
    (both, later_one) = sent
    joined = cases(sent)[0].conversions + cases(sent)[1].conversions
    taken(lacks, [others(both, conversions=joined)])
    taken(lacks, [later_one])
    assert lacks.headers([T1])[0].born_ms == NOON_MS + 2_000


@pytest.mark.parametrize("higher", [0, 3])
def test_what_another_sent_is_taken_back_where_the_facts_say_otherwise(state: Partition, higher: int):
    (right,) = only_cases(absorbed(state, click(), postback())[0])
    phantom = others(right, higher, conversions=())
    sent, tally = taken(state, [phantom])
    assert (sent, tally.foreign, waiting(state)) == ([], 1, [T1])
    (corrected,) = cases(resumed(state))
    assert corrected.version == version(2) + higher + 1
    assert content(corrected) == content(cases([right])[0])
    assert (waiting(state), resumed(state)) == ([], [])


def test_what_another_sent_is_the_floor_also_of_what_the_same_batch_brings(state: Partition):
    (right,) = only_cases(absorbed(state, click(), postback())[0])
    phantom = others(right, 5, conversions=())._replace(partition=0)
    read = Record("conversions", 0, 0, NOON_MS, phantom.key, phantom.value)
    more = record(postback(sequence=3, sale_amount=50))
    sent, _ = done(state, lambda batch: (batch.take_cases([read]), batch.absorb([more])))
    assert [case.version for case in cases(sent)] == [version(2) + 6]


def test_an_older_one_of_another_changes_nothing(state: Partition):
    absorbed(state, postback())
    (right,) = only_cases(absorbed(state, click())[0])
    assert taken(state, [others(right, -1, conversions=())])[1].foreign == 0
    assert waiting(state) == []


def test_a_case_that_the_facts_do_not_give_is_sent_empty(state: Partition):
    (right,) = only_cases(absorbed(state, postback())[0])
    taken(state, [others(right, goal_id=7)])
    (empty,) = cases(resumed(state))
    assert (empty.goal_id, empty.version, empty.conversions) == (7, version(2), ())


def test_of_an_unknown_transaction_what_another_sent_is_the_floor_and_brings_its_visits(
    fresh: Callable[[], Partition],
):
    (right,) = only_cases(absorbed(fresh(), click(), postback())[0])
    state = fresh()
    assert taken(state, [others(right, 5)])[0] == []
    assert (waiting(state), state.headers([T1])[0].statements) == ([], 0)
    assert state.born(NOON_MS + DAY_MS, 9) == [(NOON_MS + 2_000, T1)]
    sent, _ = absorbed(state, postback(), postback(sequence=3, sale_amount=50))
    (case,) = cases(sent)
    assert (case.version, case.visits) == (version(2) + 6, (click(),))
    (told,) = [msgspec.json.decode(each.value, type=Notice) for each in sent if each.topic == "notices"]
    assert told.version == case.version, "a partner that knows of a greater one would not listen"


def test_a_case_whose_statements_are_gone_stays_until_they_come_again(fresh: Callable[[], Partition]):
    """Made of the rest, it would be another conversion: of 50, without what was stated first."""
    (right,) = only_cases(absorbed(fresh(), click(), postback(sale_amount=60))[0])
    state = fresh()
    taken(state, [others(right, 5)])
    sent, tally = absorbed(state, postback(sequence=3, sale_amount=50))
    assert (sent, tally.lacking, tally.facts) == ([], 1, 1)
    assert resumed(state) == []
    assert state.headers([T1])[0].awaits == layout.LACKING
    (case,) = cases(absorbed(state, postback(sale_amount=60))[0])
    assert (case.conversions[0].sale_amount, case.conversions[0].observations) == (60, 2)
    assert (case.visits, state.headers([T1])[0].awaits) == ((click(),), 0)
    assert state.waiting(b"\x00", 9) == []


def test_what_another_worker_read_further_on_is_waited_for(fresh: Callable[[], Partition]):
    """One that is presumed dead, or died before it committed: what it knew is yet to come here."""
    ahead = only_cases(absorbed(fresh(), click(), postback(), postback(sequence=3, goal_id=2))[0])
    state = fresh()
    absorbed(state, click(), postback())
    taken(state, ahead)
    assert resumed(state) == []
    assert cases(absorbed(state, postback(sequence=3, goal_id=2))[0]) == []


def test_an_older_case_behind_ours_is_covered_by_ours(fresh: Callable[[], Partition]):
    """Kafka's compaction keeps the last record of a case, not that with the greatest version."""
    (old,) = only_cases(absorbed(fresh(), postback())[0])
    state = fresh()
    (ours,) = only_cases(absorbed(state, click(), postback())[0])
    assert taken(state, [old])[0] == [], "of our own records an older one was stored before we decided ours"
    assert taken(state, [old], stored_ms=NOON_MS + 1)[0] == [ours]


def test_an_older_case_behind_the_newest_is_covered_after_a_restore(fresh: Callable[[], Partition]):
    (old,) = only_cases(absorbed(fresh(), postback())[0])
    (right,) = only_cases(absorbed(fresh(), click(), postback())[0])
    state = fresh()
    taken(state, [others(right, 5), old], silent=True)
    absorbed(state, click(), postback(), silent=True)
    (case,) = cases(resumed(state))
    assert (case.version, case.visits) == (version(2) + 6, (click(),))


def test_a_case_of_a_collector_whose_clock_stood_in_1971_is_as_old_as_its_identifier(
    fresh: Callable[[], Partition],
):
    """Else a restored state would take all else that was said of it for too late."""
    in_1971 = times.from_ms(400 * DAY_MS)
    name, long_ago = "06cv" + "0" * 28, {"received_at": in_1971, "occurred_at": in_1971}
    before = fresh()
    sent = absorbed(before, postback(name, 2, **long_ago))[0]
    state = fresh()
    taken(state, sent, silent=True)
    absorbed(state, postback(name, 2, **long_ago), silent=True)
    assert state.headers([Bundle(name)])[0].born_ms == before.headers([Bundle(name)])[0].born_ms > 0


# Notices after a restore


def notices(sent: Sequence[Outgoing]) -> int:
    return sum(each.topic == "notices" for each in sent)


def restored(state: Partition, sent: Sequence[Outgoing], *known: AnyFact) -> Partition:
    taken(state, only_cases(sent), silent=True)
    absorbed(state, *known, silent=True)
    return state


def test_nobody_is_told_twice_though_the_state_was_lost(fresh: Callable[[], Partition]):
    sent, _ = absorbed(fresh(), click(), postback())
    assert notices(sent) == 1
    state = restored(fresh(), sent, click(), postback())
    sent, _ = absorbed(state, postback(sequence=3, sale_amount=50))
    assert (len(cases(sent)), notices(sent)) == (1, 0)
    assert len(state.notices(T1)) == 1
    assert state.headers([T1])[0].told == layout.SINCE
    assert notices(absorbed(state, postback(sequence=4, sale_amount=60))[0]) == 0


def test_who_was_not_told_before_the_state_was_lost_is_told(fresh: Callable[[], Partition]):
    """The click came after what was committed: nothing says that its notice was sent."""
    all_of_it, _ = absorbed(fresh(), click(), postback())
    for sent in (only_cases(absorbed(fresh(), postback())[0]), all_of_it):
        state = restored(fresh(), sent, postback())
        assert notices(absorbed(state, click())[0]) == 1


def while_pending(known: Sequence[AnyFact]) -> Verdict:
    """As `decide`, but nobody is told where a statement says so."""
    verdict = decide(known)
    if any(isinstance(fact, Statement) and fact.status == "pending" for fact in known):
        verdict.notices.clear()
    return verdict


def test_what_was_never_due_is_not_told_where_a_lost_state_stops_short_of_what_the_cases_name(
    fresh: Callable[[], Partition],
):
    """The group's positions were set back: the facts up to there were never all that there was."""
    pending = postback(sequence=3, status="pending")
    whole = [*map(record, (click(), postback(), pending))]
    sent, _ = done(fresh(), lambda batch: batch.absorb(whole), while_pending)
    state = restored(fresh(), sent, click(), postback())
    rest = [*map(record, (postback(), pending))]
    assert notices(done(state, lambda batch: batch.absorb(rest), while_pending)[0]) == 0
    assert notices(absorbed(state, postback(sequence=4, sale_amount=60))[0]) == 1, "now it is due"


def test_nobody_is_told_twice_though_the_click_expired_before_the_state_was_lost(
    fresh: Callable[[], Partition],
):
    old = times.from_ms(NOON_MS - 45 * DAY_MS)
    dated = click(received_at=old), postback(received_at=old)
    sent, _ = absorbed(fresh(), *dated)
    state = restored(fresh(), sent, dated[1])
    sent, _ = absorbed(state, postback(sequence=3, sale_amount=50))
    assert (len(cases(sent)), notices(sent)) == (1, 0)


def test_who_waited_for_a_catalog_when_the_state_was_lost_is_told(fresh: Callable[[], Partition]):
    sent, _ = absorbed(fresh(), postback())
    state = restored(fresh(), sent, postback(), click(catalog_version=2))
    sent = resumed(state, partial(decide, newest_catalog=2))
    assert (len(cases(sent)), notices(sent)) == (1, 1)


@pytest.mark.parametrize("value", [b"", b"null", b'{"transaction_id":"t1"}', b"[" * 100_000])
def test_a_record_of_conversions_that_is_no_case_goes_to_quarantine(state: Partition, value: bytes):
    sent, _ = taken(state, [Outgoing("conversions", b"t1:0", value)])
    (kept,) = quarantines(sent)
    assert (kept.topic, kept.reason) == ("conversions", Reason.MALFORMED_EVENT)


@pytest.mark.parametrize(
    "spoiled",
    [{"receipt_id": "x"}, {"occurred_at": "x"}, {"transaction_id": "a:b"}],
    ids=lambda each: next(iter(each)),
)
def test_a_case_with_a_visit_that_is_no_fact_goes_to_quarantine(state: Partition, spoiled: dict[str, str]):
    (right,) = only_cases(absorbed(state, click(), postback())[0])
    visit = msgspec.structs.replace(click(), **spoiled)
    sent, tally = taken(state, [others(right, 1, visits=(visit,))])
    assert [kept.reason for kept in quarantines(sent)] == [Reason.MALFORMED_EVENT]
    assert tally.foreign == 0


def test_a_lost_state_is_filled_silently_and_goes_on_as_if_it_had_not_been_lost(
    fresh: Callable[[], Partition],
):
    before = fresh()
    sent = absorbed(before, click(), postback())[0] + absorbed(before, postback(sequence=3, goal_id=2))[0]
    state = fresh()
    assert taken(state, only_cases(sent), silent=True)[0] == []
    for fact in (postback(sequence=3, goal_id=2), postback(), click()):
        assert absorbed(state, fact, silent=True)[0] == []
    (header,) = before.headers([T1])
    as_restored = msgspec.structs.replace(header, told=layout.RESTORED)
    assert (waiting(state), state.headers([T1])) == ([], [as_restored])
    assert state.cases(T1) == before.cases(T1)
    assert state.facts("t1") == before.facts("t1")
    again = [absorbed(each, postback(sequence=4))[0] for each in (before, state)]
    assert last_cases(again[0]) == last_cases(again[1])


@pytest.mark.parametrize(
    "read", [record(click())._replace(value=b"{"), record(postback())], ids=["no fact", "a known fact"]
)
def test_while_a_state_is_filled_nothing_is_sent_of_what_was_sent_before(state: Partition, read: Record):
    absorbed(state, click(), postback())
    assert done(state, lambda batch: batch.absorb([read]), silent=True)[0] == []


def test_a_phantom_in_what_a_stale_state_is_filled_with_is_taken_back(state: Partition):
    """Of a transaction without any later fact; what was decided from all the facts is not looked at again."""
    (right,) = only_cases(absorbed(state, click(), postback())[0])
    assert (taken(state, [others(right, 1)], silent=True)[0], waiting(state)) == ([], [])
    phantom = others(right, 5, conversions=(), visits=())
    assert (taken(state, [phantom], silent=True)[0], waiting(state)) == ([], [T1])
    (corrected,) = cases(resumed(state))
    assert (corrected.version, content(corrected)) == (version(2) + 6, content(cases([right])[0]))


def test_what_waited_for_a_catalog_when_a_state_was_lost_is_decided_after_it_was_filled(
    fresh: Callable[[], Partition],
):
    state = fresh()
    absorbed(state, click(), postback(catalog_version=2), silent=True)
    assert waiting(state) == [T1]
    assert resumed(state) == []
    assert waiting(state) == [T1], "its catalog is still missing"
    (case,) = cases(resumed(state, partial(decide, newest_catalog=2)))
    assert (case.version, waiting(state)) == (version(2), [])


@pytest.mark.parametrize("name", [BLOG, "d" + BLOG[1:]])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_shared_click_that_waited_for_its_catalog_counts_after_the_state_was_filled(
    fresh: Callable[[], Partition], name: str, turn: int
):
    """It is named in no case, and lies before what was committed: nobody else would look at it again."""
    stated = postback(name, conversion_unique_id="A")
    sent, _ = absorbed(fresh(), stated)
    state = fresh()
    taken(state, sent, silent=True)
    for fact in (click(name, catalog_version=2), stated)[::turn]:
        assert absorbed(state, fact, silent=True)[0] == []
    (case,) = [each for each in cases(resumed(state, partial(decide, newest_catalog=2))) if each.conversions]
    assert case.conversions[0].click_receipt_id


def later(days: float, **changed: object) -> dict[str, object]:
    at = times.from_ms(NOON_MS + int(days * DAY_MS))
    return {"received_at": at, "occurred_at": at, **changed}


def test_what_is_stated_after_the_correction_window_changes_no_row_and_says_so(state: Partition):
    absorbed(state, click(), postback())
    before = state.cases(T1), state.facts("t1")
    sent, tally = absorbed(state, postback(sequence=3, **later(120.1, sale_amount=50)))
    (kept,) = quarantines(sent)
    assert (kept.reason, tally.late, only_cases(sent)) == (Reason.TOO_LATE_TO_CORRECT, 1, [])
    assert "120 d" in kept.detail
    assert (state.cases(T1), state.facts("t1")) == before
    assert len(cases(absorbed(state, postback(sequence=4, **later(119, sale_amount=50)))[0])) == 1


def test_in_which_order_they_come_changes_nothing_about_what_is_too_late(fresh: Callable[[], Partition]):
    first, late = postback(), postback(sequence=3, **later(121, sale_amount=50))
    usual, odd = fresh(), fresh()
    finals = [
        last_cases(absorbed(state, one)[0] + absorbed(state, other)[0])
        for state, one, other in ((usual, first, late), (odd, late, first))
    ]
    assert [{key: content(case) for key, case in each.items()} for each in finals] == [
        {key: content(case) for key, case in finals[0].items()}
    ] * 2


def test_an_earlier_statement_that_comes_later_makes_known_ones_too_late_and_shows_them(state: Partition):
    absorbed(state, postback(sequence=3, **later(121)))
    sent, tally = absorbed(state, postback())
    assert [each.receipt_id for each in quarantines(sent)] == [postback(sequence=3).receipt_id]
    assert tally.late == 1
    assert state.born(NOON_MS + DAY_MS, 9) == [(NOON_MS + 2_000, T1)]


def test_a_collector_whose_clock_stands_in_1980_makes_nobody_else_too_late(state: Partition):
    made = "06h0ghqy00" + "0" * 22  # an ID of that noon
    absorbed(state, click(made), postback(made))
    sent, _ = absorbed(state, postback(made, 3, received_at="1980-01-01T00:00:00.000Z"))
    assert quarantines(sent) == []
    (case,) = cases(sent)
    assert case.conversions[0].observations == 2


def test_a_visit_older_than_what_is_kept_is_only_counted(state: Partition):
    sent, tally = absorbed(state, click(), time_ms=NOON_MS + 45 * DAY_MS)
    assert (sent, tally.expired, tally.facts, state.facts("t1")) == ([], 1, 0, [])
    assert absorbed(state, click(), time_ms=NOON_MS + 36 * DAY_MS)[1].facts == 1


def test_a_memory_of_a_bundle_whose_facts_are_gone_lets_nothing_new_begin_there(state: Partition):
    absorbed(state, postback())
    (header,) = state.headers([T1])
    made = Batch(state, decide, NOON_MS)
    made.changes.dropped += state.all_of(T1, header)
    made.changes.headers[T1] = Header(header.facts, 0, 0, header.born_ms)
    state.apply(made.changes)
    sent, tally = absorbed(state, postback(sequence=3, **later(130)), time_ms=NOON_MS + 131 * DAY_MS)
    assert (tally.late, only_cases(sent), len(quarantines(sent))) == (1, [], 1)


def test_positions_carry_how_far_time_has_come_by_collector_and_broker(state: Partition):
    batch = Batch(state, decide, NOON_MS)
    ahead, behind = click(**later(300)), click(sequence=2, **later(-5))
    batch.absorb([record(each)._replace(timestamp_ms=NOON_MS + 7) for each in (ahead, behind)])
    batch.move({"clicks": Position(2, "log"), "pixels": Position(0, "log")})
    state.apply(batch.changes)
    assert state.positions == {"clicks": Position(2, "log", NOON_MS + 7), "pixels": Position(0, "log")}
    again = Batch(state, decide, NOON_MS)
    again.absorb([record(behind)])
    again.move({"clicks": Position(3, "log")})
    assert again.changes.positions["clicks"] == Position(3, "log", NOON_MS + 7)


def test_many_late_clicks_let_each_conversion_wait_for_its_turn_once(
    state: Partition, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(touching, "AT_ONCE", 2)
    orders = [postback(BLOG, 10 + each, conversion_unique_id=f"{each}") for each in range(3)]
    absorbed(state, *orders)
    for sequence in (2, 3, 4):
        assert absorbed(state, click(BLOG, sequence))[0] == []
    assert sorted(waiting(state)) == sorted(bundle_of(BLOG, f"{each}") for each in range(3))
    assert [case.visits for case in cases(resumed(state))] == [(click(BLOG, 4),)] * 3
    assert (waiting(state), resumed(state)) == ([], [])


def test_a_late_click_touches_only_what_was_stated_before_the_next(state: Partition):
    first, second = click(BLOG, 10), click(BLOG, 30)
    orders = [postback(BLOG, at, conversion_unique_id=f"{at}") for at in (20, 40)]
    absorbed(state, first, second, *orders)
    decided: list[AnyFact] = []

    def listening(known: Sequence[AnyFact]) -> Verdict:
        decided.extend(known)
        return decide(known)

    sent, _ = done(state, lambda batch: batch.absorb([record(click(BLOG, 15))]), listening)
    (case,) = cases(sent)
    assert (case.number, case.visits) == ("20", (click(BLOG, 15),))
    assert orders[1] not in decided


def test_a_click_under_a_shared_identifier_reads_no_other_and_a_conversion_two_facts(state: Partition):
    read: list[int] = []

    def counting(known: Sequence[AnyFact]) -> Verdict:
        read.append(len(known))
        return decide(known)

    absorbed(state, *(click(BLOG, each) for each in range(1, 500)))
    order = record(postback(BLOG, 600, conversion_unique_id="A"))
    done(state, lambda batch: batch.absorb([order]), counting)
    assert read == [2]
    assert state.headers([Bundle(BLOG)]) == [Header()]
