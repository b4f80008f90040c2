"""A click of the blog and what the shop's server and the network say of it, without a browser."""

import asyncio
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import roundtrip
from schemas import facts, times, transaction_id
from service.kafka import Producer
from service.keys import keyring
from tests.stories.conftest import BLOG, OFFER, World


async def clicked(world: World, country: str = "", **more: str) -> str:
    """The transaction of a new click; country: where a proxy says that the visitor is."""
    headers = {"X-Country-Code": country} if country else {}
    link = {"offer_id": str(OFFER), "aff_id": str(BLOG), **more}
    url = f"{world.stack.addresses.collector}/click"
    async with world.http.get(url, params=link, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 302
        (transaction,) = parse_qs(urlsplit(answer.headers["Location"]).query)["tid"]
    return transaction


async def stated(world: World, transaction: str, **more: str) -> None:
    """The shop's server says this of the transaction."""
    url = f"{world.stack.addresses.collector}/postback"
    async with world.http.get(url, params={"transaction_id": transaction, **more}) as answer:
        verdict = await answer.json()
        assert (answer.status, verdict["outcome"], verdict["problems"]) == (200, "accepted", [])


async def standing(world: World, transaction: str, observations: int) -> list[dict[str, Any]]:
    """Its conversions, once they hold so many observations; by order number."""
    rows = await world.conversions(
        transaction, lambda rows: sum(row["observations"] for row in rows) == observations
    )
    return sorted(rows, key=lambda row: (row["test"], row["conversion_unique_id"]))


async def shipped(world: World, kind: type[facts.Click] | type[facts.Impression], age_s: int) -> str:
    """The transaction of a visit of so long ago, as the edge that accepted it then ships it now."""
    then_ms = int(time.time() - age_s) * 1000
    transaction = transaction_id.make(
        keyring(world.stack.settings.keys_path), then_ms, secrets.token_bytes(transaction_id.RANDOM_BYTES)
    )
    visit = kind(
        receipt_id=f"{'0' * 15}{secrets.randbelow(10**8):08}-1",
        transaction_id=transaction,
        received_at=times.from_ms(then_ms),
        occurred_at=times.from_ms(then_ms),
        edge="cut-off",
        catalog_version=1,
        offer_id=OFFER,
        affiliate_id=BLOG,
        advertiser_id=1,
    )
    producer = Producer(world.stack.settings)
    topic = "clicks" if kind is facts.Click else "impressions"
    await producer.send(topic, transaction.encode(), facts.encode(visit))
    await producer.close()
    return transaction


async def verdict(world: World, transaction: str, status: str, reason: int) -> dict[str, Any]:
    """Its only conversion, once it has this status for this reason."""
    (row,) = await world.conversions(
        transaction, lambda rows: [(row["status"], row["reason"]) for row in rows] == [(status, reason)]
    )
    found: dict[str, Any] = row
    return found


async def command(world: World, *words: object) -> int:
    """The exit code of a command of the network's staff."""
    given = [*map(str, words), "--dir", str(world.stack.directory)]
    return await asyncio.to_thread(roundtrip.main, given)
