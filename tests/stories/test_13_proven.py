"""Story 13, what a postback proves: by a key, by a token, by nothing; and how that is stored and said."""

import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from schemas import signature
from tests.stories.conftest import BLOG, CLUB_KEY, World

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

PROVEN, CLUB = 23, 2
TOKEN = "the club's own static token"  # noqa: S105  the world's


async def test_what_a_postback_proves_stands_on_its_row_and_what_is_wrong_in_its_verdict(
    world: World,
) -> None:
    edge = world.stack.addresses.collector
    link = urlencode({"offer_id": PROVEN, "aff_id": BLOG})
    async with world.http.get(f"{edge}/click?{link}", allow_redirects=False) as answer:
        (transaction,) = parse_qs(urlsplit(answer.headers["Location"]).query)["tid"]
    now = int(time.time())
    lacking = f"proof: offer {PROVEN} asks for signature, and the request proves"
    told = {
        "signed": (signed(transaction, now), []),
        "token": ({"security_token": TOKEN}, []),  # the edge does not know the offer; the joiner does
        "named": ({"security_token": TOKEN, "offer_id": PROVEN}, [f"{lacking} token"]),
        "wrong": ({"security_token": "a wrong one"}, ["security_token: wrong token"]),
        "stale": (signed(transaction, now - 900, "stale"), ["sig: signed "]),
        "unknown": ({"sig": f"k9.{now}.00"}, ["sig: unknown key 'k9'"]),
    }
    for name, (shown, problems) in told.items():
        stated = {"transaction_id": transaction, "adv_sub": name, **shown}
        async with world.http.get(f"{edge}/postback?{urlencode(stated)}") as answer:
            said = (await answer.json())["problems"]
            assert (answer.status, len(said)) == (200, len(problems)), (name, said)
            assert all(one.startswith(other) for one, other in zip(said, problems, strict=True)), said
    rows = await world.warehouse.until(
        lambda rows: len(rows) == len(told),
        "SELECT adv_sub, proven_by, proven_for FROM observations WHERE transaction_id = {tid:String}",
        tid=transaction,
    )
    assert {row["adv_sub"]: (row["proven_by"], [*row["proven_for"]]) for row in rows} == {
        "signed": ("signature:k1", [CLUB]),
        "token": ("token", [CLUB]),
        "named": ("token", [CLUB]),
        "wrong": ("", []),
        "stale": ("", []),
        "unknown": ("", []),
    }


def signed(transaction: str, at: int, name: str = "signed") -> dict[str, str]:
    message = signature.canonical([("transaction_id", transaction), ("adv_sub", name)], at)
    return {"sig": f"k1.{at}.{signature.mac(CLUB_KEY.encode(), message)}"}
