"""The joiner's state: one write is whole, survives a crash, and comes back as it was."""

import shutil
from pathlib import Path

import pytest

from schemas import facts, times
from service.errors import Problem
from service.kafka import Outgoing
from streams.state import layout
from streams.state.bundles import Bundle, bundle_of, case_number, is_shared
from streams.state.changes import Changes
from streams.state.layout import Emitted, Header, Position, Stored
from streams.state.partition import Partition
from streams.state.store import Busy, Store
from tests.streams.joining import NOON_MS, TOPICS, click, impression, postback

RESULT = Outgoing("conversions", b"t1:0", b"{}", 3)
OTHER = Outgoing("notices", b"t1", b"[]")
T1 = Bundle("t1")
HOUR_MS = 3_600_000
BLOG = "a" + "0" * 31  # an affiliate identifier
ORDERS = [bundle_of(BLOG, number) for number in ("A", "B")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def stored(*given: facts.AnyFact) -> list[Stored]:
    return [
        layout.stored(topic := TOPICS[type(fact)], fact, facts.encode(fact), layout.seen_key(topic, fact))
        for fact in given
    ]


def after_a_crash(tmp_path: Path, number: int = 0) -> Partition:
    """What another process finds: the files as they are on the disk now, never closed."""
    shutil.copytree(tmp_path / "state" / str(number), tmp_path / "crashed" / str(number))
    return Store(tmp_path / "crashed").open(number)


def test_all_that_one_write_held_is_there_after_a_crash(store: Store, tmp_path: Path):
    state = store.open(0)
    state.apply(
        Changes(
            facts=stored(click(), postback()),
            headers={T1: Header(2, 1)},
            cases={(T1, 0): Emitted(5, b"digest", b"record"), (T1, -1): Emitted(6, b"d", b"r")},
            notices={(T1, "n"): b"told"},
            births=[(NOON_MS, T1)],
            waiting=[(9, T1)],
            positions={"clicks": Position(17, "cluster:topic", 5)},
            outbox=[RESULT, OTHER],
        )
    )
    found = after_a_crash(tmp_path)
    assert found.facts("t1") == [("clicks", facts.encode(click())), ("postbacks", facts.encode(postback()))]
    assert found.headers([T1, Bundle("t2")]) == [Header(2, 1), Header()]
    assert found.cases(T1) == {
        (T1, 0): Emitted(5, b"digest", b"record"),
        (T1, -1): Emitted(6, b"d", b"r"),
    }
    assert found.emitted([(T1, -1), (T1, 1)]) == [Emitted(6, b"d", b"r"), None]
    assert found.notices(T1) == {"n": b"told"}
    assert [bundle for _, bundle in found.waiting(b"\x00", 10)] == [T1]
    assert found.positions == {"clicks": Position(17, "cluster:topic", 5)}
    assert found.unsent() == [RESULT, OTHER]


def test_a_receipt_is_known_by_its_kind_time_and_id(store: Store):
    state = store.open(0)
    state.apply(Changes(facts=stored(click())))
    known, other, stated = state.seen(
        [
            layout.seen_key("clicks", click()),
            layout.seen_key("clicks", click(sequence=2)),
            layout.seen_key("postbacks", postback(sequence=1)),
        ]
    )
    assert known is not None
    assert state.fact(known.fact_key) == ("clicks", facts.encode(click()))
    assert known.digest == layout.digest(facts.encode(click()))
    assert other is stated is None


def test_what_was_sent_is_forgotten_by_the_next_write_and_by_a_close(store: Store, tmp_path: Path):
    state = store.open(0)
    state.apply(Changes(outbox=[RESULT]))
    state.sent()
    assert state.unsent() == []
    state.apply(Changes(outbox=[OTHER]))
    assert after_a_crash(tmp_path).unsent() == [OTHER]
    state.sent()
    state.close()
    assert store.open(0).unsent() == []


def test_what_was_not_sent_outlives_writes_and_closing_in_order(store: Store):
    state = store.open(0)
    state.apply(Changes(outbox=[RESULT]))
    state.apply(Changes(outbox=[OTHER, RESULT]))
    state.close()
    state = store.open(0)
    assert state.unsent() == [RESULT, OTHER, RESULT]
    state.apply(Changes(outbox=[OTHER]))
    assert state.unsent() == [RESULT, OTHER, RESULT, OTHER]


def test_a_transaction_never_reads_its_neighbours(store: Store):
    state = store.open(0)
    ids = ["ab", "abc", "ab\x01", "a"]
    given = [click(name, sequence) for sequence, name in enumerate(ids)]
    state.apply(
        Changes(facts=stored(*given), cases={(Bundle(name), 1): Emitted(1, b"", b"") for name in ids})
    )
    assert state.facts("ab") == [("clicks", facts.encode(given[0]))]
    assert list(state.cases(Bundle("ab"))) == [(Bundle("ab"), 1)]


def test_a_shared_identifier_reads_visits_of_its_own_and_of_the_kind_asked_for(store: Store):
    before, own, after = (f"a{digit}{'0' * 30}" for digit in "123")
    given = click(own, 1), impression(own, 2), click(before, 3), click(after, 4)
    state = store.open(0)
    state.apply(Changes(facts=stored(*given)))
    visits, until = state.visits(), NOON_MS + HOUR_MS
    assert visits.last(own, layout.CLICK, 0, until) == ("clicks", facts.encode(given[0]))
    assert visits.last(own, layout.IMPRESSION, 0, until) == ("impressions", facts.encode(given[1]))
    assert visits.last(before, layout.IMPRESSION, 0, until) is None
    assert visits.last(f"a2{'0' * 29}1", layout.CLICK, 0, until) is None
    for fact, kind in zip(given[:2], (layout.CLICK, layout.IMPRESSION), strict=True):
        assert state.next_visit_ms(own, kind, 0) == times.to_ms(fact.occurred_at)
        assert state.next_visit_ms(own, kind, until) == layout.END_MS


def test_visits_under_shared_identifiers_lie_apart_by_kind(store: Store):
    given = click(BLOG, 1), impression(BLOG, 2), postback(BLOG, 3), click("0" * 32, 4), click("t1", 5)
    state = store.open(0)
    kept = stored(*given)
    state.apply(Changes(facts=kept))
    assert [each.family for each in kept] == ["clicks", "impressions", "facts", "facts", "facts"]
    for each, fact in zip(kept, given, strict=True):
        assert layout.family_of(each.key) == each.family
        assert state.fact(each.key) == (facts.TOPIC_OF[type(fact)], facts.encode(fact))


def test_an_order_under_a_shared_identifier_never_reads_another(store: Store):
    state = store.open(0)
    given = [postback(BLOG, 1, conversion_unique_id=name) for name in "AB"]
    cases = {(order, 0): Emitted(1, b"", name) for order, name in zip(ORDERS, (b"A", b"B"), strict=True)}
    state.apply(Changes(facts=stored(*given), cases=cases, notices={(ORDERS[0], "n"): b"told"}))
    for order, fact, name in zip(ORDERS, given, (b"A", b"B"), strict=True):
        assert state.statements(order) == [("postbacks", facts.encode(fact))]
        assert state.cases(order) == {(order, 0): Emitted(1, b"", name)}
    assert (state.notices(ORDERS[0]), state.notices(ORDERS[1])) == ({"n": b"told"}, {})


def test_without_an_order_number_a_statement_under_an_affiliate_identifier_stands_by_itself():
    bare = [postback(BLOG, sequence) for sequence in (1, 2)]
    numbers = [case_number(fact) for fact in bare]
    assert numbers == [fact.receipt_id for fact in bare]
    assert case_number(postback(BLOG, conversion_unique_id="A")) == "A"
    assert case_number(postback("0" * 32, conversion_unique_id="A")) == ""
    assert case_number(postback("d" + "0" * 31, conversion_unique_id="A")) == ""


def test_facts_of_a_transaction_lie_by_kind_and_time_of_the_event_also_before_1970(store: Store):
    early, late = times.from_ms(-86_400_000), times.from_ms(NOON_MS + 86_400_000)
    given = [postback(sequence=1, occurred_at=early), click(sequence=2, occurred_at=late), click(sequence=3)]
    state = store.open(0)
    state.apply(Changes(facts=stored(*given)))
    found = [facts.decode(*each).receipt_id[-1] for each in state.facts("t1")]
    assert found == ["3", "2", "1"]


def test_the_last_visit_of_a_time_is_found_among_many(store: Store):
    at = [NOON_MS + minute * 60_000 for minute in range(100)]
    state = store.open(0)
    given = [click(BLOG, number, occurred_at=times.from_ms(ms)) for number, ms in enumerate(at)]
    state.apply(Changes(facts=stored(*given)))
    visits = state.visits()
    for until, expected in ((at[7], 7), (at[7] + 59_999, 7), (at[8] - 1, 7), (at[99] + HOUR_MS, 99)):
        assert visits.last(BLOG, layout.CLICK, 0, until) == ("clicks", facts.encode(given[expected]))
    assert visits.last(BLOG, layout.CLICK, at[7] + 1, at[8] - 1) is None
    assert visits.last(BLOG, layout.CLICK, at[7], at[7]) is not None


def test_what_was_stated_in_a_time_is_found_with_its_bundle(store: Store):
    state = store.open(0)
    state.apply(Changes(times=[(10, ORDERS[0]), (20, ORDERS[1]), (30, ORDERS[0]), (20, Bundle("b"))]))
    assert list(state.stated(BLOG, 10, 20)) == [(10, ORDERS[0]), (20, ORDERS[1])]
    assert list(state.stated(BLOG, 31, 99)) == []


def test_waiting_bundles_are_paged_by_catalog_version_and_end_when_resumed(store: Store):
    state = store.open(0)
    a, b, c, due = map(Bundle, ("a", "b", "c", "due"))
    state.apply(Changes(waiting=[(300, c), (2, a), (2, b), (layout.DUE, due)]))
    first = state.waiting(b"\x00", 3)
    assert [bundle for _, bundle in first] == [due, a, b]
    assert [bundle for _, bundle in state.waiting(first[-1][0] + b"\x00", 2)] == [c]
    state.apply(Changes(resumed=[(2, a), (300, c)], waiting=[(300, c)]))
    assert [bundle for _, bundle in state.waiting(b"\x00", 10)] == [due, b, c]


def test_each_kind_of_fact_has_its_old_end(store: Store):
    state = store.open(0)
    given = [click(sequence=1), postback(sequence=2), click(sequence=3), click(sequence=9)]
    state.apply(Changes(facts=stored(*given)))
    old = state.oldest(layout.CLICK, NOON_MS + 9_000, 10)
    assert old == [(each.seen_key, each.key) for each in stored(given[0], given[2])]
    assert state.oldest(layout.CLICK, NOON_MS + 9_000, 1) == old[:1]

    assert state.oldest(layout.CLICK, NOON_MS + 9_000, 10, old[0][0] + b"\x00") == old[1:]

    state.apply(Changes(dropped=[each for key, fact in old for each in (("seen", key), ("facts", fact))]))
    assert state.oldest(layout.CLICK, NOON_MS + HOUR_MS, 10) == [
        (each.seen_key, each.key) for each in stored(given[3])
    ]
    assert len(state.oldest(layout.STATEMENT, NOON_MS + HOUR_MS, 10)) == 1
    assert len(state.facts("t1")) == 2


@pytest.mark.parametrize(
    ("bundle", "other"), [(T1, Bundle("t2")), (Bundle("d" + "0" * 31), Bundle("d" + "1" * 31)), ORDERS]
)
def test_a_bundle_goes_whole_and_nothing_else_with_it(store: Store, bundle: Bundle, other: Bundle):
    state = store.open(0)
    kept = _filled(other, "B")
    state.apply(kept)
    before = list(_everything(state))
    state.apply(_filled(bundle, "A"))
    header = state.headers([bundle])[0]
    state.apply(Changes(dropped=state.all_of(bundle, header)))
    assert [each for each in _everything(state) if each[0] != "seen"] == [
        each for each in before if each[0] != "seen"
    ]
    assert state.seen([_filled(bundle, "A").facts[0].seen_key]) != [None]


def _filled(bundle: Bundle, order: str) -> Changes:
    fact = postback(bundle.transaction_id, ord(order), conversion_unique_id=order)
    shared = is_shared(bundle.transaction_id)
    return Changes(
        facts=stored(fact),
        headers={bundle: Header(1, 1, 7, NOON_MS)},
        cases={(bundle, 0): Emitted(1, b"", b"")},
        notices={(bundle, "n"): b"told"},
        times=[(times.to_ms(fact.occurred_at), bundle)] if shared else [],
        births=[(NOON_MS, bundle)],
        waiting=[(7, bundle)],
    )


def _everything(state: Partition) -> list[tuple[str, bytes, bytes]]:
    return [(name, *pair) for name in state._family for pair in state._family[name].items()]


def test_bundles_are_found_by_when_they_were_born(store: Store):
    state = store.open(0)
    state.apply(Changes(births=[(20, ORDERS[0]), (-5, T1), (30, T1)]))
    assert state.born(30, 10) == [(-5, T1), (20, ORDERS[0])]
    assert state.born(31, 1) == [(-5, T1)]
    state.apply(Changes(unborn=[(-5, T1)], births=[(-6, T1)]))
    assert state.born(31, 10) == [(-6, T1), (20, ORDERS[0]), (30, T1)]


def test_two_processes_or_two_owners_in_one_cannot_have_one_partition(store: Store):
    state = store.open(0)
    with pytest.raises(Busy, match="in use"):
        store.open(0)
    store.open(1).close()
    state.close()
    store.open(0).close()


def test_a_state_of_another_format_is_refused_with_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.open(0).close()
    monkeypatch.setattr("streams.state.layout.FORMAT", b"5")
    with pytest.raises(Problem, match="format 4, this release reads 5; move it away"):
        store.open(0)


def test_a_directory_that_cannot_be_made_is_a_problem_that_names_it(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Problem, match="file/joiner cannot be made: Not a directory; see ROUNDTRIP_DIR"):
        Store(tmp_path / "file" / "joiner")


def test_a_bug_is_told_as_one_and_not_as_damage(store: Store):
    """Else somebody would move a state away that is whole."""
    with pytest.raises(AttributeError):
        store.open(0).headers([None])  # type: ignore[list-item]
