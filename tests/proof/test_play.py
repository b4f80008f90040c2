"""Each class of outcomes, played against an edge, gives the truth that a person works out by hand."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec
import pytest

from proof import play
from proof.people import BROWSERS
from proof.play import Player
from proof.scenario import CLASSES, Journey, Plan, Step
from proof.truth import Count, Sent, Truth
from proof.wire import Wire
from schemas.catalog import Catalog
from schemas.catalog_parties import PostbackProofs
from tests.proof.conftest import FakeEdge

# For each class: status and reason of the conversions that come out, on a goal that counts at once.
OUTCOMES = {
    "no sale": [],
    "postback": [("approved", 0)],
    "postback, no number": [("approved", 0)],
    "pixel": [("approved", 0)],
    "pixel by cookie": [("approved", 0)],
    "iframe": [("approved", 0)],
    "dual tracking": [("approved", 0)],
    "all kinds, repeated": [("approved", 0)],
    "retried postback": [("approved", 0)],
    "approved, then rejected": [("rejected", 221)],
    "pending, then approved": [("approved", 0)],
    "stated pending": [("pending", 221)],
    "unknown word": [("pending", 222)],
    "another amount": [("approved", 0)],
    "several orders": [("approved", 0)] * 3,
    "pairs without number": [("approved", 0)] * 2,
    "second number": [("approved", 0), ("rejected", 12)],
    "foreign currency": [("approved", 0)],
    "no rate": [("pending", 204)],
    "unknown goal": [("rejected", 203)],
    "wrong kind": [("rejected", 15)],
    "other offer stated": [("rejected", 214)],
    "bot": [("pending", 223)],
    "late": [("approved", 0)],
    "before its click": [("approved", 0)],
    "outside the click window": [("rejected", 207)],
    "too soon": [("rejected", 209)],
    "seen, bought by postback": [("approved", 0)],
    "seen, bought by cookie": [("approved", 0)],
    "made-up ID": [],
    "mistyped ID": [],
    "cut ID": [],
}


@pytest.fixture
def player(edge: FakeEdge, catalog: Catalog) -> Player:
    return Player(Wire(edge.url), {1: catalog}, Sent(tag="t", seed=1))


@pytest.fixture(scope="module")
def planned(catalog: Catalog) -> Mapping[str, list[Journey]]:
    """By class the journeys of a plan."""
    plan, found = Plan(catalog, 1), defaultdict(list)
    seen = [plan.view(number) for number in range(4000)]
    for journey in [*(plan.journey(number) for number in range(4000)), *filter(None, seen)]:
        found[journey.outcome].append(journey)
    return found


def first(journeys: list[Journey]) -> list[Journey]:
    """The first of a class on offers whose goals count at once, and pay by percent."""
    plain = [journey for journey in journeys if journey.offer_id not in {9, 10}]
    return (plain or journeys)[:6]


@pytest.mark.parametrize("name", [row.name for row in CLASSES if row.name not in {"test", "wrong kind"}])
async def test_a_class_comes_out_as_its_name_says(
    player: Player, planned: Mapping[str, list[Journey]], name: str
) -> None:
    for journey in first(planned[name]):
        found = await player.play(journey)
        outcomes = sorted((line.status, line.reason) for line in found)
        if name == "no rate" and all(line.reason == 0 for line in found):
            continue  # a fixed price needs no rate
        assert outcomes == sorted(OUTCOMES[name]), journey
    assert player.surprises == []


async def test_a_test_is_rejected_and_the_sale_beside_it_counts(
    player: Player, planned: Mapping[str, list[Journey]]
) -> None:
    for journey in first(planned["test"]):
        found = {line.test: (line.status, line.reason) for line in await player.play(journey)}
        assert found[True] == ("rejected", 22)
        assert found.get(False, ("approved", 0)) == ("approved", 0)


async def test_a_wrong_kind_alone_is_rejected_and_beside_a_right_one_only_seen(
    player: Player, planned: Mapping[str, list[Journey]]
) -> None:
    for journey in first(planned["wrong kind"]):
        (line,) = await player.play(journey)
        if len(journey.steps) == 1:
            assert (line.status, line.reason, line.observations) == ("rejected", 15, 1)
        else:
            assert (line.status, line.reason, line.observations) == ("pending", 31, 2)


def sale(path: Literal["/pixel", "/postback"] = "/postback", times: int = 1) -> Journey:
    return Journey(
        number=1,
        outcome="a sale",
        offer_id=7,
        affiliate_id=43,
        browser=BROWSERS[0],
        visit={"source": "blog"},
        clicks=True,
        sees_ad=False,
        steps=(Step(path=path, stated={"amount": "33.33", "conversion_unique_id": "A1"}, times=times),),
    )


async def test_the_truth_names_who_gets_how_much(player: Player, edge: FakeEdge) -> None:
    (line,) = await player.play(sale())
    sent = edge.accepted[-1][1]
    assert line == Truth(
        transaction_id=sent["transaction_id"],
        goal_id=0,
        conversion_unique_id="A1",
        status="approved",
        reason=0,
        affiliate_id=43,
        payout=Decimal("3.00"),  # 9 % of 33.33
        revenue=Decimal("3.33"),
        payout_currency="USD",
        revenue_currency="USD",
        observations=1,
        kinds=("postback",),
    )
    assert sent["adv_sub5"] == "t"


@pytest.mark.parametrize(("listed", "reason"), [("127.0.0.0/8", 0), ("203.0.113.0/24", 14)])
async def test_a_shop_is_believed_where_its_advertiser_lists_this_machine(
    edge: FakeEdge, catalog: Catalog, listed: str, reason: int
) -> None:
    replace = msgspec.structs.replace
    proofs = PostbackProofs(allow_from=(listed,))
    asked = replace(
        catalog,
        advertisers=tuple(replace(each, postback=proofs) for each in catalog.advertisers),
        offers=tuple(replace(each, proof="allow_from") for each in catalog.offers),
    )
    player = Player(Wire(edge.url), {1: asked}, Sent(tag="t", seed=1))
    assert [line.reason for line in await player.play(sale())] == [reason]


async def test_the_same_request_twice_is_two_observations(player: Player, edge: FakeEdge) -> None:
    (line,) = await player.play(sale(times=2))
    assert (line.observations, line.payout) == (2, Decimal("3.00"))
    assert edge.accepted[-1] == edge.accepted[-2]


async def test_a_request_answered_503_is_sent_again_and_counts_once(player: Player, edge: FakeEdge) -> None:
    edge.unavailable = 3
    (line,) = await player.play(sale())
    assert (player.sent_again, line.observations, line.observations_at_most) == (3, 1, 0)
    assert (edge.count("/click"), edge.count("/postback")) == (1, 1)


async def test_a_503_after_a_wait_may_have_been_accepted_all_the_same(
    player: Player, edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "DOUBTFUL_S", 0.02)
    await player.play(sale())
    edge.unavailable, edge.delay_s = 1, 0.03
    await player.play(sale())
    assert player._sent.facts["click"] == Count(accepted=2, lost=1)


async def test_a_click_that_is_redirected_unrecorded_is_made_again(player: Player, edge: FakeEdge) -> None:
    edge.unrecorded = 1
    (line,) = await player.play(sale())
    assert (edge.count("/click"), player.sent_again, player.surprises) == (1, 1, [])
    assert line.transaction_id == edge.accepted[-1][1]["transaction_id"]


async def test_a_click_whose_answer_is_lost_is_made_again_and_counted_as_perhaps_accepted(
    player: Player, edge: FakeEdge
) -> None:
    edge.silent = 1
    (line,) = await player.play(sale())
    assert player._sent.facts["click"] == Count(accepted=1, lost=1)
    assert (edge.count("/click"), line.observations_at_most) == (2, 0)


async def test_a_lost_answer_leaves_open_how_many_observations_and_nothing_else(
    player: Player, edge: FakeEdge
) -> None:
    edge.silent_after = 1
    (line,) = await player.play(sale())
    assert (line.status, line.observations, line.observations_at_most) == ("approved", 1, 2)
    assert edge.count("/postback") == 2


async def test_a_lost_answer_where_two_truths_are_possible_takes_the_transaction_out(
    player: Player, edge: FakeEdge, planned: Mapping[str, list[Journey]]
) -> None:
    journey = first(planned["pairs without number"])[0]
    edge.silent_after = 2 if journey.sees_ad else 1
    assert await player.play(journey) == []
    assert len(player._sent.uncertain) == 1


async def test_an_answer_that_should_be_another_is_a_surprise_with_its_request(
    player: Player, edge: FakeEdge
) -> None:
    edge.forgetful = True
    assert await player.play(sale()) == []
    assert player.surprised == 1
    assert player.surprises[0].startswith("/postback?amount=33.33")
    assert "400, expected 200" in player.surprises[0]
