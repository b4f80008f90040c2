"""Story 17: the network rejects by a CSV of order numbers, and pays another sum; each with who, when, why."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import roundtrip
from tests.stories.conftest import BLOG, PAYOUT, REVENUE, World, approved

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

OWN_ID = "network-17"
BY_HAND = "27"
STAND = ("approved", "rejected", "approved")


async def test_a_file_of_the_network_rejects_and_reprices_once(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    returned, haggled = await sold(world, "N-1"), await sold(world, "N-2")
    before = [(await conversion(world, each, "approved")) for each in (returned, haggled)]
    called = f"conversion {before[0]['conversion_id']}"
    file = tmp_path / "november.csv"
    file.write_text(
        "order_id,status,payout,why\nN-1,rejected,,returned goods\nN-2,,3.50,as agreed\nN-9,rejected,,\n"
    )

    assert adjust(world, file, "--dry-run") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"line 2: {called} of order N-1: approved -> rejected, payout -8 USD, revenue -10 USD",
        f"line 3: conversion {before[1]['conversion_id']} of order N-2: payout -4.5 USD",
        "line 4: not taken: no conversion here has the order number 'N-9'; name its transaction_id",
        "3 adjustments: 1 not sent, 2 changed",
        "approved -> rejected: 1 conversion",
        "payout: -12.5 USD",
        "revenue: -10 USD",
        "nothing was sent",
    ]

    assert adjust(world, file, "--format", "json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [line.get("outcome") for line in told["lines"]] == ["accepted", "accepted", None]
    rejected = await conversion(world, returned, "rejected")
    assert (rejected["reason"], rejected["payout"], rejected["revenue"]) == (101, 0, 0)
    assert (rejected["adjusted_by"], rejected["adjusted_why"]) == ("Anna", "returned goods")
    (repriced,) = await world.conversions(haggled, lambda rows: rows[0]["payout"] == Decimal("3.5"))
    assert (repriced["status"], repriced["payout_rule"], repriced["adjusted_why"]) == (
        *("approved", "adjustment", "as agreed"),
    )
    calls = await world.affiliate.wait_until(lambda _: len(mine(world)) >= 3, 120.0)
    assert calls
    assert [call["status"] for call in mine(world)] == ["approved", "approved", "rejected"]

    assert adjust(world, file) == 1
    said = capsys.readouterr().out
    assert said.count("applied before, ") == 2
    assert "3 adjustments: 1 not sent, 2 nothing to do" in said
    assert (await conversion(world, returned, "rejected"))["version"] == rejected["version"]

    assert roundtrip.main(["trace", returned, "--dir", str(world.stack.directory)]) == 0
    assert "adjusted by Anna, " in capsys.readouterr().out


async def test_a_manual_offer_s_conversions_are_approved_by_their_order_numbers(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = ("H-1", "H-2", "H-3")
    sales = [await sold(world, order, offer=BY_HAND) for order in orders]
    waiting = [await conversion(world, each, "pending") for each in sales]
    assert {(row["reason"], row["payout"], row["revenue"]) for row in waiting} == {(31, 0, 0)}

    checked = tmp_path / "checked.csv"
    checked.write_text("order_id,status,why\n" + "".join(f"{order},approved,paid\n" for order in orders))
    assert adjust(world, checked) == 0
    for each in sales:
        row = await conversion(world, each, "approved")
        assert (row["reason"], row["payout"], row["revenue"]) == (101, Decimal(PAYOUT), Decimal(REVENUE))

    later = tmp_path / "later.csv"
    later.write_text("order_id,status,payout,why\nH-2,rejected,,returned goods\nH-3,,3.50,as agreed\n")
    assert adjust(world, later) == 0
    returned = await conversion(world, sales[1], "rejected")
    (repriced,) = await world.conversions(sales[2], lambda rows: rows[0]["payout"] == Decimal("3.5"))
    assert (returned["payout"], repriced["status"], repriced["revenue"]) == (0, "approved", Decimal(REVENUE))

    capsys.readouterr()
    for file, lines in ((checked, 3), (later, 2)):
        assert adjust(world, file) == 0
        said = capsys.readouterr().out
        assert (said.count("applied before, "), f"{lines} nothing to do" in said) == (lines, True)
    now = [await conversion(world, each, status) for each, status in zip(sales, STAND, strict=True)]
    assert [(row["payout"], row["adjusted_by"], row["adjusted_why"]) for row in now] == [
        (Decimal(PAYOUT), "Anna", "paid"),
        (0, "Anna", "returned goods"),
        (Decimal("3.5"), "Anna", "as agreed"),
    ]
    for each, row in zip(sales, now, strict=True):
        assert roundtrip.main(["trace", each, "--dir", str(world.stack.directory)]) == 0
        at = f"{row['adjusted_at']:%Y-%m-%d %H:%M:%S}"
        told = capsys.readouterr().out
        assert f"adjusted by Anna, {at}" in told.replace("T", " "), told
        assert f": {row['adjusted_why']}" in told


async def test_what_nobody_reported_is_created_and_taken_back_by_hand(world: World) -> None:
    transaction = await clicked(world)
    meant = ("--transaction", transaction, "--order", "N-3")
    assert adjust(world, *meant, "--action", "create", "--status", "approved", "--amount", "50") == 0
    created = await conversion(world, transaction, "approved")
    assert (created["reason"], created["payout"], created["adjusted_by"]) == (52, Decimal("4.00"), "Anna")
    assert adjust(world, *meant, "--action", "release") == 0
    assert await world.conversions(transaction, lambda rows: not rows) == []


def adjust(world: World, *words: object) -> int:
    given = [str(word) for word in words]
    return roundtrip.main(["adjust", *given, "--by", "Anna", "--dir", str(world.stack.directory)])


def mine(world: World) -> list[dict[str, str]]:
    return [call.query for call in world.affiliate.calls if call.query.get("cid") == OWN_ID]


async def clicked(world: World, offer: str = "7") -> str:
    """The transaction of a click of the blog."""
    link = {"offer_id": offer, "aff_id": str(BLOG), "aff_click_id": OWN_ID}
    url = f"{world.stack.addresses.collector}/click"
    async with world.http.get(url, params=link, allow_redirects=False) as answer:
        (transaction,) = parse_qs(urlsplit(answer.headers["Location"]).query)["tid"]
    return transaction


async def sold(world: World, order: str, offer: str = "7") -> str:
    """A click of the blog, and the shop's word that it was a sale."""
    transaction = await clicked(world, offer)
    edge = world.stack.addresses.collector
    stated = {"transaction_id": transaction, "amount": "100.00", "order_id": order}
    async with world.http.get(f"{edge}/postback", params=stated) as answer:
        assert answer.status == 200
    if offer != BY_HAND:
        (row,) = await world.conversions(transaction, approved(1))
        assert row["payout"] == Decimal(PAYOUT)
    return transaction


async def conversion(world: World, transaction: str, status: str) -> dict[str, Any]:
    (row,) = await world.conversions(transaction, lambda rows: [row["status"] for row in rows] == [status])
    found: dict[str, Any] = row
    return found
