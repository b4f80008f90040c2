"""The traffic keeps account of every request: what was answered, and from when its time counts."""

import asyncio
import time
from collections.abc import Callable

from proof.ledger import Sending
from proof.traffic import Pace, Traffic, said
from proof.wire import Answer
from tests.proof.conftest import FakeEdge

DEADLINE_S = 60.0


async def played(edge: FakeEdge, until: Callable[[Traffic], bool], rate: float = 800.0) -> list[Sending]:
    """What was sent until then, with everything that had to be sent again."""

    def play() -> list[Sending]:
        limit = time.monotonic() + DEADLINE_S
        with Traffic(edge.url, "run", Pace(rate=rate, connections=4, again_s=(0.01, 0.02))) as traffic:
            while not until(traffic):
                assert time.monotonic() < limit
                time.sleep(0.005)  # between two looks at what was sent
            traffic.finish()
        return traffic.sendings

    return await asyncio.to_thread(play)


def enough(traffic: Traffic) -> bool:
    return len(traffic.sendings) >= 60


def keys(edge: FakeEdge) -> list[str]:
    return sorted(stated.get("aff_click_id") or stated["adv_unique1"] for _, stated in edge.accepted)


async def test_every_request_is_in_the_ledger_once_with_its_answer(edge: FakeEdge) -> None:
    sent = await played(edge, enough)
    assert {sending.said for sending in sent} == {"yes"}
    assert sorted(sending.key for sending in sent) == keys(edge)
    assert {sending.kind for sending in sent} == {"click", "impression", "pixel", "postback"}
    assert all(sending.transaction_id for sending in sent)
    assert all(sending.receipt for sending in sent if sending.kind == "postback")


async def test_a_statement_without_a_yes_is_sent_again_with_its_order_and_a_key_of_its_own(
    edge: FakeEdge,
) -> None:
    edge.unavailable = 30
    sent = await played(edge, enough)
    refused = [sending for sending in sent if sending.said == "no" and sending.order]
    for sending in refused:
        same = [each for each in sent if (each.order, each.kind) == (sending.order, sending.kind)]
        assert [each.said for each in same].count("yes") == 1
        assert len({each.key for each in same}) == len(same)


async def test_a_lost_answer_is_neither_yes_nor_no(edge: FakeEdge) -> None:
    edge.silent = 3
    sent = await played(edge, enough)
    assert [sending.said for sending in sent].count("unknown") == 3
    assert keys(edge) == sorted(sending.key for sending in sent)  # this edge had taken them


async def test_what_finds_no_listener_was_never_sent(edge: FakeEdge) -> None:
    home, edge.url = edge.url, "http://127.0.0.1:9"

    def until(traffic: Traffic) -> bool:
        traffic.url = home if enough(traffic) else traffic.url
        return len(traffic.sendings) > 120 and traffic.sendings[-1].said == "yes"

    sent = await played(edge, until)
    assert {sending.said for sending in sent} == {"unsent", "yes"}
    assert sorted(sending.key for sending in sent if sending.said == "yes") == keys(edge)


async def test_an_answers_time_counts_from_when_its_request_was_due(edge: FakeEdge) -> None:
    edge.unavailable, edge.delay_s = 8, 0.05  # four connections stand still twice
    sent = await played(edge, enough)
    waited = [sending for sending in sent if sending.said == "yes" and sending.took_s > 0.025]
    assert len(waited) > 20  # those behind them in the queue, which were answered at once when sent


def test_a_redirect_without_its_cookie_is_no_yes() -> None:
    place = {"location": "https://shop.example/"}
    assert said("click", Answer(302, place, b"")) == "no"
    assert said("click", Answer(302, {**place, "set-cookie": "rt=c7"}, b"")) == "yes"
    assert said("pixel", Answer(503, {}, b"GIF89a")) == "no"
