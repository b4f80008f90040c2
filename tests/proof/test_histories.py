"""Histories of known truth: a function of their seed, of every kind, and read alike by both readings."""

from collections import Counter
from itertools import pairwise

from proof import agreement, histories
from proof.histories import DAY, by_topic
from proof.invented import History
from schemas import facts, times

NOW_MS = times.to_ms("2026-11-23T12:00:00.000Z")
TOLD = histories.histories("1/1", 600, NOW_MS)
CATALOGS = dict(enumerate(histories.catalogs(), 1))


def test_they_are_a_function_of_their_seed() -> None:
    assert histories.histories("1/1", 600, NOW_MS) == TOLD
    assert histories.histories("1/2", 600, NOW_MS) != TOLD


def test_every_kind_of_fact_is_among_them_and_none_has_expired() -> None:
    kinds = Counter(facts.encode(each).partition(b'"kind":"')[2].partition(b'"')[0] for each in TOLD.shipped)
    assert kinds.keys() == {b"click", b"impression", b"pixel", b"iframe", b"postback", b"adjustment"}
    assert {name[0] for name in TOLD.told} >= {"0", "a", "d"}
    assert {each.catalog_version for each in TOLD.shipped} == {1, 2}
    assert min(times.to_ms(each.received_at) for each in TOLD.shipped) > NOW_MS - 35 * DAY
    assert max(times.to_ms(each.received_at) for each in TOLD.shipped) < NOW_MS


def test_some_are_shipped_again_and_some_before_what_they_speak_of() -> None:
    shipped = [each.receipt_id for each in TOLD.shipped]
    assert len(shipped) > len(set(shipped)) == sum(len(each.facts) for each in TOLD.told.values())
    early = [
        name
        for name, told in TOLD.told.items()
        if any(one.received_at > two.received_at for one, two in pairwise(told.facts))
    ]
    assert len(early) > len(TOLD.told) / 10
    assert sum(map(len, by_topic(TOLD.shipped).values())) == len(set(shipped))


def test_each_is_a_record_that_decodes() -> None:
    for fact in TOLD.shipped:
        sent = histories.record(fact)
        assert facts.decode(sent.topic, sent.value) == fact


def test_both_readings_agree_whatever_the_identifier() -> None:
    reasons = set()
    for told in TOLD.told.values():
        history = History(identifier=told.identifier, facts=told.facts, catalogs=CATALOGS)
        assert agreement.disagreement(history) == []
        reasons |= {one.reason for one in agreement.decided(history)}
    assert len(reasons) > 12
