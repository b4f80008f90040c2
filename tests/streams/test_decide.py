"""The decision as a whole: what the worker relies on."""

from decimal import Decimal
from itertools import permutations

import pytest

from schemas import decisions
from schemas.catalog_versions import History
from schemas.decisions import Case
from streams.rules.decide import CatalogMissing, decide_transaction
from tests.streams.facts_of_a_shop import (
    CATALOG,
    DAY,
    HOUR,
    TRANSACTION,
    adjustment,
    amount,
    at,
    click,
    conversion,
    decide,
    history,
    iframe,
    impression,
    pixel,
    postback,
)


def test_a_transaction_without_observations_gives_nothing_and_needs_no_catalog():
    for facts in ((), (click(),), (click(), impression(2)), (click(), adjustment(3, status="approved"))):
        assert decide_transaction(facts, History()).cases == {}


@pytest.mark.parametrize(("clicked", "stated", "missing"), [(1, 2, 2), (2, 1, 2), (3, 2, 3)])
def test_a_version_that_has_not_arrived_is_named(clicked: int, stated: int, missing: int):
    with pytest.raises(CatalogMissing, match=f"version {missing} ") as caught:
        decide_transaction((click(catalog_version=clicked), postback(2, catalog_version=stated)), history())
    assert caught.value.version == missing


def test_a_click_whose_own_version_is_lacking_waits_even_if_a_later_one_is_there():
    only_second = History(version for version in [history(CATALOG, CATALOG).at(2)] if version)
    with pytest.raises(CatalogMissing) as caught:
        decide_transaction((click(), postback(2, catalog_version=2)), only_second)
    assert caught.value.version == 1


def test_an_edge_that_knew_no_catalog_delays_nothing():
    assert conversion(click(), postback(2, catalog_version=0)).status == "approved"
    assert conversion(postback(2, catalog_version=0, offer_id=7)).offer_id == 7


def test_a_repeated_part_of_a_case_shows_its_visit_once():
    decision = decide(click(), *(postback(n, n * DAY, conversion_unique_id=f"A{n}") for n in (2, 3)))
    assert decision.visits == {postback(n, 0).receipt_id: [click()] for n in (2, 3)}


def test_a_case_survives_the_wire():
    decision = decide(
        click(aff_sub="s"), postback(2, **amount("50", "EUR")), pixel(3, DAY, conversion_unique_id="B")
    )
    case = Case(
        transaction_id=TRANSACTION,
        goal_id=0,
        version=1,
        decided_at=at(0),
        conversions=decision.cases[0],
        visits=(click(aff_sub="s"),),
    )
    assert decisions.decode("conversions", decisions.encode(case)) == case


def test_of_two_facts_under_one_receipt_the_first_received_counts_whatever_came_first():
    """As when an edge numbers wrongly: times differ, so neither is known as the other."""
    facts = [
        click(),
        postback(2, HOUR, **amount("10")),
        postback(2, 2 * HOUR, **amount("20")),
        iframe(1, HOUR),
    ]
    known = history()
    decided = [decide_transaction(order, known) for order in permutations(facts)]
    assert all(each == decided[0] for each in decided)
    assert decided[0].cases[0][0].sale_amount == Decimal(10)


def test_nor_does_it_matter_which_came_first_where_both_are_of_one_time():
    facts = [click(), impression(1, aff_sub="seen"), postback(2)]
    known = history()
    assert decide_transaction(facts, known) == decide_transaction(facts[::-1], known)


def test_what_only_the_network_speaks_of_is_no_case():
    word = adjustment(3, goal_id=5, status="approved")
    assert list(decide(click(), postback(2), word).cases) == [0]
