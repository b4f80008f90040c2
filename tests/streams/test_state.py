"""The joiner's state: one write is whole, survives a crash, and comes back as it was."""

import shutil
from pathlib import Path

import pytest

from schemas import facts, times
from service.errors import Problem
from service.kafka import Outgoing
from streams.layout import Emitted, Header, Position
from streams.state import Busy, Changes, Partition, Store
from tests.streams.joining import NOON_MS, click, postback

RESULT = Outgoing("conversions", b"t1:0", b"{}", 3)
OTHER = Outgoing("notices", b"t1", b"[]")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def stored(*given: facts.AnyFact) -> list[tuple[str, facts.AnyFact, bytes]]:
    topics = {"Click": "clicks", "Postback": "postbacks"}
    return [(topics[type(fact).__name__], fact, facts.encode(fact)) for fact in given]


def after_a_crash(tmp_path: Path, number: int = 0) -> Partition:
    """What another process finds: the files as they are on the disk now, never closed."""
    shutil.copytree(tmp_path / "state" / str(number), tmp_path / "crashed" / str(number))
    return Store(tmp_path / "crashed").open(number)


def test_all_that_one_write_held_is_there_after_a_crash(store: Store, tmp_path: Path):
    state = store.open(0)
    state.apply(
        Changes(
            facts=stored(click(), postback()),
            headers={"t1": Header(2, 1)},
            cases={("t1", 0): Emitted(5, b"digest", b"record"), ("t1", -1): Emitted(6, b"d", b"r")},
            waiting=[(9, "t1")],
            positions={"clicks": Position(17, "cluster:topic")},
            outbox=[RESULT, OTHER],
        )
    )
    found = after_a_crash(tmp_path)
    assert found.facts("t1") == [("clicks", facts.encode(click())), ("postbacks", facts.encode(postback()))]
    assert found.headers(["t1", "t2"]) == [Header(2, 1), Header()]
    assert found.cases("t1") == {0: Emitted(5, b"digest", b"record"), -1: Emitted(6, b"d", b"r")}
    assert [name for _, name in found.waiting(b"", 10)] == ["t1"]
    assert found.positions == {"clicks": Position(17, "cluster:topic")}
    assert found.unsent() == [RESULT, OTHER]


def test_a_receipt_is_known_by_its_time_and_id(store: Store):
    state = store.open(0)
    state.apply(Changes(facts=stored(click())))
    known, other = state.seen([click(), click(sequence=2)])
    assert known is not None
    assert state.fact(known.fact_key) == ("clicks", facts.encode(click()))
    assert other is None


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
    state.apply(Changes(facts=stored(*given), cases={(name, 1): Emitted(1, b"", b"") for name in ids}))
    assert state.facts("ab") == [("clicks", facts.encode(given[0]))]
    assert list(state.cases("ab")) == [1]


def test_facts_of_a_transaction_lie_by_kind_and_time_of_the_event_also_before_1970(store: Store):
    early, late = times.from_ms(-86_400_000), times.from_ms(NOON_MS + 86_400_000)
    given = [postback(sequence=1, occurred_at=early), click(sequence=2, occurred_at=late), click(sequence=3)]
    state = store.open(0)
    state.apply(Changes(facts=stored(*given)))
    found = [facts.decode(*each).receipt_id[-1] for each in state.facts("t1")]
    assert found == ["3", "2", "1"]


def test_waiting_transactions_are_paged_by_catalog_version_and_end_when_resumed(store: Store):
    state = store.open(0)
    state.apply(Changes(waiting=[(300, "c"), (2, "a"), (2, "b")]))
    first = state.waiting(b"", 2)
    assert [name for _, name in first] == ["a", "b"]
    assert [name for _, name in state.waiting(first[-1][0] + b"\x00", 2)] == ["c"]
    state.apply(Changes(resumed=[(2, "a"), (300, "c")], waiting=[(300, "c")]))
    assert [name for _, name in state.waiting(b"", 10)] == ["b", "c"]


def test_two_processes_or_two_owners_in_one_cannot_have_one_partition(store: Store):
    state = store.open(0)
    with pytest.raises(Busy, match="in use"):
        store.open(0)
    store.open(1).close()
    state.close()
    store.open(0).close()


def test_a_state_of_another_format_is_refused_with_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.open(0).close()
    monkeypatch.setattr("streams.layout.FORMAT", b"2")
    with pytest.raises(Problem, match="format 1, this release reads 2; move it away"):
        store.open(0)


def test_a_directory_that_cannot_be_made_is_a_problem_that_names_it(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Problem, match="file/joiner cannot be made: Not a directory; see ROUNDTRIP_DIR"):
        Store(tmp_path / "file" / "joiner")
