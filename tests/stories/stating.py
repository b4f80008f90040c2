"""A click of the blog and what the shop's server says of it, without a browser."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

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
