"""The clauses that `trace` names are those of the rules' page, and those by which the rules decided."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console import clauses
from schemas.facts import AnyFact
from schemas.reasons import Reason
from tests.streams import facts_of_a_shop as shop

PAGE = (Path(__file__).parents[2] / "docs/rules.md").read_text("utf-8")


def row(*facts: AnyFact, **catalog: Any) -> dict[str, Any]:
    one = shop.conversion(*facts, **catalog)
    return {**msgspec.structs.asdict(one), "transaction_id": facts[0].transaction_id}


def test_every_reason_of_the_ladder_is_told_under_its_clause() -> None:
    told = {
        (clause, int(number))
        for clause, cell in re.findall(r"^\| (7\.\d+) \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE)
        for number in re.findall(r"\d+", cell)
        if number != str(int(Reason.STATED_BY_ADVERTISER)) and clause != clauses.CREATED
    }
    ours = {(clause, int(reason)) for reason, clause in clauses.LADDER.items() if reason}
    assert ours == told


def test_every_clause_that_is_named_is_on_the_page() -> None:
    named = {*clauses.LADDER.values(), *clauses._STATED.values(), *clauses._CREDIT.values(), "5.1", "5.4"}
    named |= {*clauses._SHARED.values(), "5.6", "5.10", "7.18", clauses.CREATED}
    assert named <= set(re.findall(r"^\| (\d\.\d+) \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize(
    ("facts", "status", "credit"),
    [
        ((shop.click(), shop.postback(2)), "7.21", "4.1"),
        ((shop.click(), shop.postback(2, status="cancelled")), "7.11", "4.1"),
        ((shop.click(), shop.postback(2, status="open")), "7.14", "4.1"),
        ((shop.impression(), shop.postback(2)), "7.21", "4.3"),
        ((shop.postback(2),), "7.1", "4.7"),
        ((shop.click(), shop.adjustment(2, action="create")), "7.20", "4.1"),
        ((shop.click(), shop.adjustment(2, action="create", by_file=True)), "7.20", "4.1"),
        ((shop.click(), shop.adjustment(2, action="create", status="approved")), "7.2", "4.1"),
        ((shop.click(), shop.postback(2), shop.adjustment(3, status="approved")), "7.2", "4.1"),
        ((shop.click(redirect_reason=217), shop.postback(2)), "7.4", "4.1"),
        ((shop.click(), shop.pixel(2), shop.postback(3, status="ok")), "7.18", "4.1"),
    ],
)
def test_a_row_tells_by_which_clause_it_stands_and_is_credited(
    facts: tuple[AnyFact, ...], status: str, credit: str
) -> None:
    found = clauses.of(row(*facts))
    assert (found["status"], found["credit"]) == (status, credit)


def test_a_row_tells_by_which_clause_it_is_paid() -> None:
    plain = (shop.click(), shop.postback(2, **shop.amount("50")))
    assert clauses.of(row(*plain))["payout"] == "5.1"
    in_euro = (shop.click(), shop.postback(2, **shop.amount("50", "EUR")))
    assert clauses.of(row(*in_euro))["payout"] == "5.6"
    terms = shop.with_goal(terms=(shop.term(tier=("gold",)),))
    assert clauses.of(row(*plain, catalogs=(terms,)))["payout"] == "5.4"
    stated = shop.adjustment(3, payout=Decimal(1))
    assert clauses.of(row(*plain, stated)) == {
        "status": "7.21",
        "credit": "4.1",
        "payout": "5.10",
        "revenue": "5.1",
    }


def test_of_several_statements_it_is_told_who_spoke_and_who_has_no_say_and_why() -> None:
    catalogs = (shop.with_offer(tracking=("postback",)),)
    facts = (
        shop.click(),
        shop.pixel(2, **shop.amount("5000")),
        shop.postback(3, **shop.amount("50")),
        shop.postback(4, 2 * shop.HOUR, status="ok"),
        shop.adjustment(5, status="rejected"),
        shop.adjustment(6, 2 * shop.DAY, action="release"),
    )
    found = row(*facts, catalogs=catalogs)
    receipts = {n: fact.receipt_id for n, fact in enumerate(facts, 1)}
    assert found["spoke"] == (
        f"status {receipts[4]}",
        f"sale_amount {receipts[3]}",
        f"sale_currency {receipts[3]}",
    )
    assert set(found["unheard"]) == {
        f"{receipts[2]}: offer 7 tracks by postback, this came by pixel",
        f"{receipts[5]}: the network took it back",
        f"{receipts[6]}: takes back what the network stated before",
    }
    assert shop.conversion(shop.click(), shop.postback(2, **shop.amount("50"))).spoke == ()
