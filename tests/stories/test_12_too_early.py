"""Story 12: the postback is there before its click, which comes later from an edge that could not ship."""

import secrets
import time
from decimal import Decimal

import pytest

from schemas import facts, transaction_id
from service.kafka import Producer
from service.keys import keyring
from tests.stories.conftest import BLOG, PAYOUT, World, approved

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]


async def test_a_conversion_awaits_its_click_and_is_credited_when_it_comes(world: World) -> None:
    keys = keyring(world.stack.settings.keys_path)
    early = transaction_id.make(keys, int(time.time() * 1000), secrets.token_bytes(7))
    await post_back(world, early)

    (waiting,) = await world.conversions(early, lambda rows: len(rows) == 1)
    assert (waiting["status"], waiting["reason"]) == ("pending", 200)
    assert (waiting["affiliate_id"], waiting["payout"], waiting["revenue"]) == (0, 0, 0)

    await ship_late(world, early)

    (credited,) = await world.conversions(early, approved(1))
    assert (credited["affiliate_id"], credited["payout"], credited["reason"]) == (BLOG, Decimal(PAYOUT), 0)
    assert credited["conversion_id"] == waiting["conversion_id"]
    assert credited["version"] > waiting["version"]


async def post_back(world: World, transaction: str) -> None:
    url = f"{world.stack.addresses.collector}/postback"
    async with world.http.get(url, params={"transaction_id": transaction, "amount": "100.00"}) as answer:
        verdict = await answer.json()
        assert (answer.status, verdict["outcome"]) == (200, "accepted"), verdict


async def ship_late(world: World, transaction: str) -> None:
    """What another edge, cut off until now, ships: its click, as that edge accepted it."""
    click = facts.Click(
        receipt_id=f"{'0' * 22}{secrets.choice('123456789')}-1",
        transaction_id=transaction,
        received_at=(now := time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 60))),
        occurred_at=now,
        edge="cut-off",
        catalog_version=1,
        offer_id=7,
        affiliate_id=BLOG,
        advertiser_id=1,
    )
    producer = Producer(world.stack.settings)
    await producer.send("clicks", transaction.encode(), facts.encode(click))
    await producer.close()
