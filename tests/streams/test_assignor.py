"""Partition numbers are dealt evenly, stay where they were, and go where their state is."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import FACTS
from streams.kafka.assignor import Assignor
from streams.kafka.dealing import Member, deal, pack, unpack
from streams.state import reach
from streams.state.changes import Changes
from streams.state.layout import Position
from streams.state.store import Store

TOPICS = (*FACTS, "conversions")
COUNTS = st.sampled_from([1, 4, 7, 64])


def numbers_of(count: int) -> st.SearchStrategy[Any]:
    return st.sets(st.integers(0, count - 1))


@st.composite
def claims(draw: st.DrawFn) -> tuple[int, dict[str, Member]]:
    """Any number of partitions and members that say anything: also what cannot be."""
    count = draw(COUNTS)
    on_disk = st.dictionaries(st.integers(0, count - 1), st.integers(1, 1000).map(float), max_size=10)
    member = st.builds(
        Member, round=st.integers(0, 9), owned=numbers_of(count).map(frozenset), on_disk=on_disk
    )
    return count, draw(st.dictionaries(st.sampled_from("abcdefgh"), member, min_size=1))


def dealt_again(
    dealt: Mapping[str, set[int]], joining: Mapping[str, Member], leaving: set[str]
) -> dict[str, Member]:
    """Members that remember what they were dealt, some new, without those that left."""
    staying = {name: Member(1, frozenset(got)) for name, got in dealt.items() if name not in leaving}
    return {**staying, **joining}


@given(claims())
def test_each_number_goes_to_one_member_and_their_shares_differ_by_at_most_one(
    given: tuple[int, dict[str, Member]],
) -> None:
    count, members = given
    dealt = deal(range(count), members)
    assert dealt.keys() == members.keys()
    assert sorted(number for got in dealt.values() for number in got) == list(range(count))
    sizes = [len(got) for got in dealt.values()]
    assert max(sizes) - min(sizes) <= 1


@given(claims())
def test_the_order_in_which_members_are_listed_changes_nothing(given: tuple[int, dict[str, Member]]) -> None:
    count, members = given
    assert deal(range(count), members) == deal(range(count), dict(reversed(members.items())))


@given(COUNTS, st.integers(1, 6), st.integers(0, 3), numbers_of(6))
def test_nothing_moves_without_need_when_workers_join_or_leave(
    count: int, before: int, joining: int, leaving: set[int]
) -> None:
    dealt = deal(range(count), {f"m{n}": Member() for n in range(before)})
    new = {f"n{n}": Member() for n in range(joining)}
    members = dealt_again(dealt, new, {f"m{n}" for n in leaving})
    if not members:
        return
    again = deal(range(count), members)
    moved = sum(len(each.owned - again[name]) for name, each in members.items())
    least, over = divmod(count, len(members))
    sizes = sorted((len(each.owned) for each in members.values()), reverse=True)
    needed = sum(max(0, size - least - (place < over)) for place, size in enumerate(sizes))
    assert moved == needed


def test_the_owner_keeps_what_it_has_also_against_fuller_disks() -> None:
    members = {"a": Member(3, frozenset({0, 1}), {0: 1.0, 1: 1.0}), "b": Member(0, frozenset(), {0: 9.0})}
    assert deal(range(4), members)["a"] == {0, 1}


def test_who_comes_back_gets_what_it_has_most_of_on_disk() -> None:
    here = Member(3, frozenset(range(4)), dict.fromkeys(range(4), 100.0))
    back = Member(0, frozenset(), {1: 40.0, 2: 90.0, 3: 95.0})
    assert deal(range(4), {"a": here, "b": back})["b"] == {2, 3}


def test_what_nobody_owns_goes_to_the_freshest_state_on_disk() -> None:
    members = {"a": Member(on_disk={0: 50.0, 1: 80.0}), "b": Member(on_disk={0: 60.0, 1: 70.0})}
    assert deal(range(2), members) == {"a": {1}, "b": {0}}


def test_a_worker_that_was_away_does_not_take_back_what_others_have_had_since() -> None:
    for away, since in ("ab", "ba"):
        owners = {away: Member(3, frozenset({0, 1})), since: Member(4, frozenset({0, 2}))}
        assert deal(range(3), owners) == {away: {1}, since: {0, 2}}


def test_workers_that_share_a_directory_keep_what_they_own() -> None:
    same = dict.fromkeys(range(8), 5.0)
    members = {"a": Member(1, frozenset({1, 3, 5, 7}), same), "b": Member(1, frozenset({0, 2, 4, 6}), same)}
    assert deal(range(8), members) == {name: set(each.owned) for name, each in members.items()}
    third = deal(range(8), {**members, "c": Member(0, frozenset(), same)})
    assert sum(len(each.owned - third[name]) for name, each in members.items()) == 2


@given(claims())
def test_what_a_member_says_is_read_back(given: tuple[int, dict[str, Member]]) -> None:
    for member in given[1].values():
        read = unpack(pack(member))
        assert (read.round, read.owned, read.on_disk.keys()) == (
            member.round,
            member.owned,
            member.on_disk.keys(),
        )
        assert all(known * 127 / 128 <= read.on_disk[n] <= known for n, known in member.on_disk.items())


@given(st.binary(max_size=60))
def test_what_another_release_says_is_taken_for_nothing_or_for_what_it_says(said: bytes) -> None:
    deal(range(4), {"a": unpack(said), "b": Member(1, frozenset({0, 1}))})


def test_it_is_short() -> None:
    def size(count: int) -> int:
        return len(pack(Member(9, frozenset(range(count)), dict.fromkeys(range(count), 1e9))))

    assert (size(64), size(1024)) == (143, 2183)


class Group:
    """Assignors of several consumers, as a broker and aiokafka drive them."""

    def __init__(self, partitions: int = 8) -> None:
        self.partitions = partitions
        self.members: dict[str, Assignor] = {}
        self.older: set[str] = set()
        self.disks: dict[str, dict[int, float]] = {}

    def join(self, name: str, on_disk: Mapping[int, float] | None = None) -> "Group":
        self.disks[name] = dict(on_disk or {})
        self.members[name] = Assignor(lambda: self.disks[name])
        return self

    def rebalance(self) -> dict[str, dict[str, list[int]]]:
        cluster = ClusterMetadata()
        cluster.partitions_for_topic = lambda _: set(range(self.partitions))  # type: ignore[method-assign]
        said = {
            name: RangePartitionAssignor.metadata(FACTS)
            if name in self.older
            else ConsumerProtocolMemberMetadata.decode(each.metadata(TOPICS).encode())
            for name, each in self.members.items()
        }
        dealt = self.members[min(self.members.keys() - self.older)].assign(cluster, said)
        for name, each in self.members.items():
            if name not in self.older:
                each.on_assignment(ConsumerProtocolMemberAssignment.decode(dealt[name].encode()))
        return {name: dict(each.assignment) for name, each in dealt.items()}


def test_all_topics_of_a_number_meet_in_one_worker() -> None:
    group = Group(7).join("a").join("b").join("c")
    for dealt in group.rebalance().values():
        assert dealt.keys() == set(TOPICS)
        assert len({tuple(numbers) for numbers in dealt.values()}) == 1


def test_a_worker_that_joins_and_leaves_moves_only_what_it_gets() -> None:
    group = Group(64).join("a").join("b")
    before = group.rebalance()
    dealt = group.join("c").rebalance()
    moved = sum(len(set(before[name]["clicks"]) - set(dealt[name]["clicks"])) for name in before)
    assert moved == len(dealt["c"]["clicks"]) == 21
    del group.members["c"]
    after = group.rebalance()
    assert all(set(dealt[name]["clicks"]) <= set(after[name]["clicks"]) for name in after)


@pytest.mark.parametrize(("away", "since"), ["ab", "ba"])
def test_who_was_away_for_a_round_has_lost_its_claim(away: str, since: str) -> None:
    group = Group(4).join("a").join("b")
    group.rebalance()
    gone = group.members.pop(away)
    group.disks[away], group.disks[since] = dict.fromkeys(range(4), 10.0), dict.fromkeys(range(4), 20.0)
    group.rebalance()
    group.members[away] = gone
    group.join("c")
    dealt = group.rebalance()
    assert Counter(len(each["clicks"]) for each in dealt.values()) == {1: 2, 2: 1}
    assert len(dealt[since]["clicks"]) == 2


@pytest.mark.parametrize(("away", "since"), ["ab", "ba"])
def test_who_returns_takes_nothing_back_that_others_have_filled_since(away: str, since: str) -> None:
    group = Group(4).join("a").join("b")
    owned = group.rebalance()[away]["clicks"]
    gone = group.members.pop(away)
    group.disks[since] = {number: 20.0 if number in owned else 1.0 for number in range(4)}
    group.rebalance()
    group.members[away] = gone
    assert group.rebalance()[since]["clicks"] == owned


def test_what_a_worker_has_on_disk_travels_with_its_joining() -> None:
    group = Group(4).join("a", dict.fromkeys(range(4), 10.0))
    group.rebalance()
    assert group.join("b", {1: 9.0, 2: 9.5}).rebalance()["b"]["clicks"] == [1, 2]


def test_a_member_of_an_older_release_gets_its_share_of_what_it_reads() -> None:
    group = Group(4).join("a").join("b")
    before = group.rebalance()
    group.join("old")
    group.older.add("old")
    dealt = group.rebalance()
    assert dealt["old"].keys() == set(FACTS)
    assert sum(len(each["clicks"]) for each in dealt.values()) == 4
    assert sum(len(set(before[name]["clicks"]) - set(dealt[name]["clicks"])) for name in before) == 1


def test_a_topic_that_is_not_known_yet_keeps_nobody_waiting(caplog: Any) -> None:
    cluster = ClusterMetadata()
    member = Assignor(dict)
    dealt = member.assign(cluster, {"a": member.metadata(TOPICS)})
    assert dict(dealt["a"].assignment) == {topic: [] for topic in TOPICS}
    assert "nothing is known of topic" in caplog.text


def test_a_state_says_how_far_it_has_come_with_each_write(tmp_path: Path) -> None:
    state = Store(tmp_path).open(3)
    state.apply(Changes(positions={"clicks": Position(7, "log")}))
    state.apply(Changes(positions={"pixels": Position(5, "log")}))
    assert reach.read(tmp_path, 8) == {3: 12.0}
    state.close()


def test_how_far_a_state_has_come_is_read_without_opening_it(tmp_path: Path) -> None:
    assert reach.read(tmp_path / "none", 8) == {}
    for name in ("0", "3", "7", "LOG"):
        (tmp_path / name).mkdir()
    (tmp_path / "4").write_text("no state")
    reach.note(tmp_path / "0", [5, 7])
    (tmp_path / "7" / reach.NAME).write_text("")  # a crash came between
    assert reach.read(tmp_path, 8) == {0: 12.0, 3: 1.0, 7: 1.0}


def test_what_else_lies_beside_the_states_keeps_nobody_from_joining(tmp_path: Path) -> None:
    """As a damaged one that was moved away and named by its day."""
    for name in ("3", "20261123", "٣", "003"):
        (tmp_path / name).mkdir()
    assert reach.read(tmp_path, 8) == {3: 1.0}
    assert pack(Member(on_disk=reach.read(tmp_path, 8)))


@given(st.one_of(st.binary(max_size=60), st.integers().map(lambda said: str(said).encode())))
def test_whatever_stands_in_a_file_can_be_said(tmp_path_factory: pytest.TempPathFactory, said: bytes) -> None:
    directory = tmp_path_factory.getbasetemp() / "reaches"
    (directory / "0").mkdir(parents=True, exist_ok=True)
    (directory / "0" / reach.NAME).write_bytes(said)
    assert unpack(pack(Member(on_disk=reach.read(directory, 1)))).on_disk[0] >= 1.0


@given(st.dictionaries(st.sampled_from("abc"), st.binary(max_size=40), min_size=1), st.data())
def test_whatever_members_say_everybody_gets_its_share(said: dict[str, bytes], data: st.DataObject) -> None:
    """Random bytes, what we say cut short, and what we say with some bytes changed."""
    cluster = ClusterMetadata()
    cluster.partitions_for_topic = lambda _: set(range(4))  # type: ignore[method-assign]
    real = pack(Member(7, frozenset({0, 2}), {0: 5.0, 3: 9.0}))
    for name in said:
        way = data.draw(st.sampled_from(["random", "cut", "changed"]))
        if way == "cut":
            said[name] = real[: data.draw(st.integers(0, len(real)))]
        elif way == "changed":
            at = data.draw(st.integers(0, len(real) - 1))
            said[name] = real[:at] + data.draw(st.binary(min_size=1, max_size=4)) + real[at + 1 :]
    members = {name: ConsumerProtocolMemberMetadata(0, list(TOPICS), each) for name, each in said.items()}
    dealt = Assignor(dict).assign(cluster, members)
    for each in dealt.values():
        Assignor(dict).on_assignment(ConsumerProtocolMemberAssignment.decode(each.encode()))
    given = sorted(number for each in dealt.values() for number in dict(each.assignment)["clicks"])
    assert given == list(range(4))
