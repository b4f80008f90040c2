"""A catalog as large as networks have: each part's figures can be had, its last offer is as good as any."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

import roundtrip
from proof import catalog_costs, large_catalog
from proof.own_stack import OwnStack
from schemas.catalog_check import check
from service.clickhouse import ClickHouse
from tests.conftest import Warehouse


def test_the_file_is_valid_and_has_something_of_everything() -> None:
    catalog, complaints = check(large_catalog.written(30, paused=7))
    assert catalog is not None
    assert complaints == []
    assert (len(catalog.offers), len(catalog.advertisers), len(catalog.affiliates)) == (30, 1_000, 1_000)
    assert [offer.id for offer in catalog.offers if not offer.is_active] == [7]
    assert {goal.repeat for goal in catalog.offers[-1].goals} == {"once", "many"}


@pytest.mark.parametrize("part", ["check", "versions", "edge"])
def test_every_part_has_its_figures(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalog_costs, "REQUESTS", 20)
    monkeypatch.setattr(catalog_costs, "VERSIONS", 5)
    catalog_costs.PARTS[part](60)
    assert len(capsys.readouterr().out.splitlines()) >= 3


LAST = large_catalog.OFFERS
RATE = Decimal("1.028")  # the newest from euro to dollar
GOLD = "2"


@pytest.mark.stack
async def test_the_last_of_ten_thousand_offers_counts_by_its_own_terms_and_versions(
    own_stack: Callable[[Path | None], OwnStack], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(large_catalog.written())
    second.write_text(large_catalog.written(paused=LAST))
    stack = own_stack(first)
    warehouse = Warehouse(ClickHouse(stack.settings))
    token = large_catalog.TOKEN.format(large_catalog.advertiser_of(LAST))
    favourite = str(large_catalog.favourite_of(LAST))
    async with aiohttp.ClientSession(stack.addresses.collector) as http:

        async def sold(affiliate: str, country: str, token: str) -> str:
            click = {"offer_id": str(LAST), "aff_id": affiliate}
            at = {"X-Country-Code": country}
            async with http.get("/click", params=click, headers=at, allow_redirects=False) as answer:
                (transaction,) = parse_qs(urlsplit(answer.headers["Location"]).query)["tid"]
            sale = {"transaction_id": transaction, "amount": "50.00", "currency": "EUR"}
            async with http.get("/postback", params={**sale, "security_token": token}) as answer:
                assert answer.status == 200
            return transaction

        async def row(transaction: str, status: str) -> dict[str, Any]:
            (found,) = await warehouse.until(
                lambda rows: [row["status"] for row in rows] == [status],
                "SELECT * FROM conversions WHERE transaction_id = {tid:String}",
                tid=transaction,
            )
            return found

        own = await row(await sold(favourite, "FR", token), "approved")
        assert (own["offer_id"], own["payout_rule"], own["payout_rate"]) == (LAST, "terms[0]", RATE)
        assert (own["payout"], own["revenue"]) == (Decimal("4.63"), Decimal("5.14"))
        gold = await row(await sold(GOLD, "DE", token), "approved")
        assert (gold["payout_rule"], gold["payout"]) == ("terms[1]", Decimal("5.14"))
        others = large_catalog.TOKEN.format(large_catalog.advertiser_of(LAST - 1))
        assert (await row(await sold(GOLD, "DE", others), "rejected"))["reason"] == 19

        apply = ["catalog", "apply", str(second), "--yes", "--dir", str(stack.directory)]
        assert await asyncio.to_thread(roundtrip.main, apply) == 0
        for _ in range(600):
            paused = await sold(favourite, "FR", token)
            clicks = "SELECT redirect_reason, catalog_version FROM clicks WHERE transaction_id = {tid:String}"
            (clicked,) = await warehouse.until(bool, clicks, tid=paused)
            if clicked["catalog_version"] == 2:
                break
        assert clicked["redirect_reason"] == 212
        stopped = await row(paused, "rejected")
        assert (stopped["reason"], stopped["catalog_version"], stopped["payout"]) == (212, 2, 0)
