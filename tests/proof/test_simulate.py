"""The command: a plan of a seed, played at once or at a rate, with its truth and an honest summary."""

import io
import json
import time
from pathlib import Path

import pytest

from proof import play, simulate, truth
from proof.scenario import CLASSES, Plan
from proof.simulate import Wanted
from schemas.catalog import Catalog
from service.errors import No
from tests.proof.conftest import FakeEdge


def wanted(edge: FakeEdge, catalog: Catalog, tmp_path: Path, **more: object) -> Wanted:
    stated = {"clicks": 300, "seed": 1, "rate": 0.0, "to": edge.url, "truth": tmp_path / "truth.jsonl"}
    return Wanted(**{**stated, "catalogs": {1: catalog}, **more})


async def test_the_counts_are_what_the_edge_accepted(
    edge: FakeEdge, catalog: Catalog, tmp_path: Path
) -> None:
    found = await simulate.played(wanted(edge, catalog, tmp_path), quiet=True)
    assert found.surprises == []
    for kind, count in found.sent.facts.items():
        assert count == truth.Count(accepted=edge.count(f"/{kind}"))
    assert edge.count("/click") == 300
    assert len(truth.read(tmp_path / "truth.jsonl")) == found.conversions
    assert truth.read_sent(tmp_path / "truth.jsonl") == found.sent


async def test_it_plays_on_through_refused_connections_and_lost_answers(
    edge: FakeEdge, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "DOUBTFUL_S", 600.0)  # a no that came late from a busy machine is a no here
    edge.unavailable, edge.silent = 40, 20
    found = await simulate.played(wanted(edge, catalog, tmp_path), quiet=True)
    assert found.surprises == []
    assert found.sent_again >= 60
    assert found.sent.facts["click"].holds(edge.count("/click"))
    assert not found.sent.facts["click"].holds(edge.count("/click") + 21)


async def test_a_rate_is_kept(edge: FakeEdge, catalog: Catalog, tmp_path: Path) -> None:
    began = time.monotonic()
    await simulate.played(wanted(edge, catalog, tmp_path, clicks=20, rate=50.0), quiet=True)
    assert time.monotonic() - began >= 19 / 50


async def test_surprises_are_told_and_end_with_one(edge: FakeEdge, catalog: Catalog, tmp_path: Path) -> None:
    edge.forgetful = True
    found = await simulate.played(wanted(edge, catalog, tmp_path), quiet=True)
    out = io.StringIO()
    assert simulate.report(found, out) == 1
    assert "400, expected 200" in out.getvalue()


async def test_a_truth_line_has_the_names_of_the_contract(
    edge: FakeEdge, catalog: Catalog, tmp_path: Path
) -> None:
    await simulate.played(wanted(edge, catalog, tmp_path), quiet=True)
    line = json.loads((tmp_path / "truth.jsonl").read_text("utf-8").splitlines()[0])
    assert {
        *("transaction_id", "goal_id", "conversion_unique_id", "status", "reason", "affiliate_id"),
        *("payout", "revenue", "payout_currency", "revenue_currency", "observations", "kinds"),
    } <= set(line)


async def test_a_catalog_without_a_place_is_said_so(edge: FakeEdge, tmp_path: Path) -> None:
    with pytest.raises(No, match="no active offer"):
        await simulate.played(wanted(edge, Catalog(), tmp_path), quiet=True)


def test_the_same_seed_and_catalog_give_the_same_plan(catalog: Catalog) -> None:
    one, two, other = Plan(catalog, 1), Plan(catalog, 1), Plan(catalog, 2)
    assert [one.journey(n) for n in range(200)] == [two.journey(n) for n in range(200)]
    assert [one.journey(n) for n in range(200)] != [other.journey(n) for n in range(200)]


def test_shares_are_a_whole(catalog: Catalog) -> None:
    assert sum(row.share for row in CLASSES if not row.ad_only) == 10_000
    assert Plan(catalog, 1).left_out == []
