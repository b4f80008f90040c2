"""Story 13: too late, wrong, forged: each rejected for its own reason, no money unless the network says."""

import secrets
import time
from decimal import Decimal
from typing import Any

import pytest

from schemas import transaction_id
from schemas.facts import Click
from schemas.transaction_id import RANDOM_BYTES, Keyring
from tests.stories.conftest import OFFER, PAYOUT, REVENUE, World
from tests.stories.stating import clicked, command, shipped, stated, verdict

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

OTHER, BY_TOKEN, PAUSED, BY_POSTBACK = "19", "25", "26", "28"
SALE = {"amount": "100.00"}
OUTCOMES = {200: "accepted", 400: "refused", 503: "unavailable"}


async def too_late(world: World) -> str:
    transaction = await shipped(world, Click, 31 * 86_400 + 2 * 3_600 + 30)
    await stated(world, transaction, **SALE)
    return transaction


async def of_another_offer(world: World) -> str:
    transaction = await clicked(world)
    await stated(world, transaction, **SALE, offer_id=OTHER)
    return transaction


async def with_a_bad_token(world: World) -> str:
    transaction = await clicked(world, offer_id=BY_TOKEN)
    said = await asked(world, "/postback", 200, transaction, security_token="the token of somebody else")  # noqa: S106  wrong
    assert said["problems"] == ["security_token: wrong token"]
    return transaction


async def by_a_kind_that_is_not_tracked(world: World) -> str:
    transaction = await clicked(world, offer_id=BY_POSTBACK)
    await asked(world, "/pixel", 200, transaction)
    return transaction


@pytest.mark.parametrize(
    ("make", "reason", "told", "rule"),
    [
        (too_late, 207, "after the click window: 31 d 2 h, allowed 30 d", "7.6"),
        (of_another_offer, 214, f"the request names offer {OTHER}, the click was for {OFFER}", "7.3"),
        (with_a_bad_token, 19, "", "7.3"),
        (by_a_kind_that_is_not_tracked, 15, "", "7.3"),
    ],
)
async def test_what_is_wrong_is_rejected_with_its_own_reason_and_the_network_may_approve_it(
    world: World, capsys: pytest.CaptureFixture[str], make: Any, reason: int, told: str, rule: str
) -> None:
    transaction = await make(world)
    row = await verdict(world, transaction, "rejected", reason)
    assert told in row["reason_detail"]
    await no_money_until_the_network_approves(world, capsys, row, rule)


async def test_after_a_pause_earlier_clicks_count_and_later_ones_do_not(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await clicked(world, offer_id=PAUSED)
    await paused(world)
    after = await clicked(world, offer_id=PAUSED)
    for transaction in (before, after):
        await stated(world, transaction, **SALE)

    counts = await verdict(world, before, "approved", 0)
    assert (counts["payout"], counts["revenue"]) == (Decimal(PAYOUT), Decimal(REVENUE))
    row = await verdict(world, after, "rejected", 212)
    await no_money_until_the_network_approves(world, capsys, row, "7.4")


@pytest.mark.parametrize("path", ["/postback", "/pixel", "/iframe"])
async def test_what_is_made_up_cut_or_mistyped_is_refused_at_the_edge(world: World, path: str) -> None:
    genuine = await clicked(world)
    other = "0" if genuine[15] != "0" else "1"
    wrong = {
        "nothing-like-ours": "order-4711",
        "made-up": f"{genuine[:5]}{'7' * 13}{genuine[18:]}",
        "cut": genuine[:-1],
        "mistyped": f"{genuine[:15]}{other}{genuine[16:]}",
    }
    for name, transaction in wrong.items():
        await asked(world, path, 400, transaction, adv_sub=f"{name}{path}")
    for name, transaction in wrong.items():
        (row,) = await world.warehouse.until(
            bool,
            "SELECT * FROM refusals WHERE path = {path:String} AND query LIKE {sub:String}",
            path=path,
            sub=f"%{name}{path.replace('/', '%')}%",
        )
        assert (row["outcome"], row["reason"]) == ("refused", 210)
        assert await world.conversions(transaction, lambda _: True) == []
    assert await world.conversions(genuine, lambda _: True) == []


async def test_what_a_key_signed_that_no_edge_has_is_never_money(world: World) -> None:
    """No edge can tell it from one of a newer key: a server is asked to come again, a browser cannot be."""
    stranger = Keyring({200: secrets.token_bytes(32)}, 200)
    made_up = transaction_id.make(stranger, int(time.time() * 1_000), secrets.token_bytes(RANDOM_BYTES))
    await asked(world, "/postback", 503, made_up)
    await asked(world, "/pixel", 200, made_up)
    row = await verdict(world, made_up, "pending", 200)
    assert (row["affiliate_id"], row["payout"], row["revenue"], row["credited_by"]) == (0, 0, 0, "")


async def no_money_until_the_network_approves(
    world: World, capsys: pytest.CaptureFixture[str], row: dict[str, Any], rule: str
) -> None:
    """It is no money, `trace` tells why, and `adjust` makes it one of the network's own."""
    transaction = row["transaction_id"]
    assert (row["payout"], row["revenue"]) == (0, 0)
    assert row["reason_detail"], "a reason with its numbers"
    capsys.readouterr()
    assert await command(world, "trace", transaction) == 0
    assert f"rejected ({row['reason']}: {row['reason_detail']}) [rule {rule}]" in capsys.readouterr().out

    words = ("--status", "approved", "--by", "Anna", "--why", "as a courtesy")
    assert await command(world, "adjust", "--transaction", transaction, *words) == 0
    now = await verdict(world, transaction, "approved", 52)
    assert (now["payout"], now["revenue"]) == (Decimal(PAYOUT), Decimal(REVENUE))
    assert (now["adjusted_by"], now["adjusted_why"]) == ("Anna", "as a courtesy")
    capsys.readouterr()
    assert await command(world, "trace", transaction) == 0
    told = capsys.readouterr().out
    assert "adjusted by Anna, " in told
    assert ": as a courtesy" in told


async def asked(world: World, path: str, status: int, transaction: str, **more: str) -> dict[str, Any]:
    """The answer to a sale that is told there; of a postback what it says."""
    url, stating = f"{world.stack.addresses.collector}{path}", {"transaction_id": transaction, **SALE, **more}
    async with world.http.get(url, params=stating) as answer:
        assert answer.status == status
        said: dict[str, Any] = await answer.json() if path == "/postback" else {}
    assert said.get("outcome", OUTCOMES[status]) == OUTCOMES[status]
    return said


async def paused(world: World) -> None:
    """The offer is paused, and the edge knows it."""
    file = world.catalog.with_name("paused.toml")
    name = 'name = "To be paused"\nstatus = '
    text = world.catalog.read_text("utf-8")
    assert f'{name}"active"' in text
    file.write_text(text.replace(f'{name}"active"', f'{name}"paused"'), "utf-8")
    assert await command(world, "catalog", "apply", file, "--yes") == 0
    url, link = f"{world.stack.addresses.collector}/click", {"offer_id": PAUSED, "aff_id": "42"}
    for _ in range(600):
        async with world.http.get(url, params=link, allow_redirects=False) as answer:
            if "paused=1" in answer.headers["Location"]:
                return
    raise AssertionError("the edge does not know of the pause")
