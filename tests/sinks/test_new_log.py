"""When a group's offsets no longer mean what they meant."""

import pytest

from service import outage
from service.settings import Settings
from sinks.new_log import Kept, Watch, beginnings, identity_changes

KEPT = Kept(partition=("clicks", 1), offset=50, identity="c:1", log="c:1", start=0, end=80)


def test_the_same_log_goes_on_at_the_committed_offset() -> None:
    assert beginnings([KEPT]).offsets == {}


@pytest.mark.parametrize(
    ("change", "start"),
    [({"log": "c:2"}, 0), ({"log": "d:1", "start": 4}, 4), ({"end": 49}, 0), ({"start": 60}, 60)],
)
def test_another_log_begins_at_its_earliest_offset_and_says_so(change: dict[str, object], start: int) -> None:
    found = beginnings([KEPT._replace(**change)])  # type: ignore[arg-type]
    assert found.offsets == {("clicks", 1): start}
    assert "clicks/1" in found.lines[0]


def test_offsets_committed_without_an_identity_are_judged_by_the_end_alone() -> None:
    assert beginnings([KEPT._replace(identity="")]).offsets == {}


def test_a_log_at_its_very_end_is_no_new_one() -> None:
    assert beginnings([KEPT._replace(end=50)]).offsets == {}


def test_a_topic_made_anew_is_noticed() -> None:
    assert identity_changes({"a": "c:1", "b": "c:2"}, {"a": "c:1", "b": "c:3"}) == ["b"]


def test_a_lost_kafka_is_told_to_balancers_and_operators() -> None:
    watch = Watch(Settings(kafka="127.0.0.1:7"), "group", ["clicks"])
    assert watch.problem() == "no partitions yet"
    watch.identities = {"clicks": "cluster:topic"}
    assert watch.problem() == ""
    kafka = outage.of("Kafka at 127.0.0.1:7")
    kafka.lost("refused")
    assert watch.problem() == "cannot be reached"
    kafka.found()
    assert watch.problem() == ""
