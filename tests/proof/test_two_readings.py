"""Two readings of the rules, written apart, say the same of every history: decide and its naive second."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proof import readings
from schemas.catalog import Catalog, Permission, Price, Term
from schemas.facts import GOAL_UNRESOLVED, AnyFact
from streams.decide import decide_transaction
from tests.chance import tries
from tests.streams import facts_of_a_shop as shop

KINDS = {"pixel": shop.pixel, "iframe": shop.iframe, "postback": shop.postback}
NEAR_MS = (0, 1_000, 60_000, 540_000, 660_000)  # within and beyond the dedupe window of 10 minutes
FAR_MS = (shop.HOUR, 25 * shop.HOUR, 29 * shop.DAY, 31 * shop.DAY, 60 * shop.DAY)

catalogs = st.sampled_from(
    [
        shop.CATALOG,
        shop.with_goal(repeat="many"),
        shop.with_goal(approval="manual"),
        shop.with_goal(confirm="postback"),
        shop.with_goal(status="paused"),
        shop.with_goal(payout=Price(fixed=Decimal("2.00"), percent=Decimal("3.3333")), payout_currency="EUR"),
        shop.with_goal(
            terms=(shop.term(tier=("gold",)), Term(revenue=Price(fixed=Decimal(1)), country=("DE",)))
        ),
        shop.with_offer(tracking=("postback",)),
        shop.with_offer(tracking=("postback", "iframe")),
        shop.with_offer(min_time="1h"),
        shop.with_offer(bots="count"),
        shop.with_offer(status="paused"),
        shop.with_offer(affiliates=(Permission(id=42, status="pending"), Permission(id=43))),
        shop.with_blog(status="blocked"),
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[AnyFact], tuple[Catalog, ...]]:
    """A transaction's facts and the catalog's two versions; the network's statements name an order number."""
    versions = (draw(catalogs), draw(catalogs))
    version = st.integers(1, 2)
    facts: list[AnyFact] = []
    for number in range(draw(st.integers(0, 2))):
        visit = draw(st.sampled_from([shop.click, shop.click, shop.impression]))
        facts.append(
            visit(
                900 + number,
                number * 1_000,
                catalog_version=draw(version),
                country_code=draw(st.sampled_from(["", "DE"])),
                is_bot=draw(st.sampled_from([False, False, True])),
                **({"redirect_reason": draw(st.sampled_from([0, 0, 0, 212]))} if visit is shop.click else {}),
            )
        )
    spoken = draw(st.integers(1, 5))
    return facts + [draw(statements(number, version)) for number in range(1, spoken + 1)], versions


@st.composite
def statements(draw: st.DrawFn, number: int, version: st.SearchStrategy[int]) -> AnyFact:
    moment = draw(st.sampled_from(FAR_MS)) + draw(st.sampled_from(NEAR_MS)) + number
    fields: dict[str, Any] = {
        "catalog_version": draw(version),
        "status": draw(st.sampled_from(["", "", "", "approved", "rejected", "cancelled", "open", "what?"])),
        "conversion_unique_id": draw(st.sampled_from(["", "", "A", "B", "C"])),
    }
    if draw(st.booleans()):
        amount = draw(st.sampled_from(["0", "49.90", "100.00", "33.333333"]))
        fields |= shop.amount(amount, draw(st.sampled_from(["", "USD", "EUR", "GBP"])))
    if draw(st.integers(0, 9)) == 0:
        fields |= {"status": draw(OWN), "conversion_unique_id": draw(st.sampled_from("ABC"))}
        payout = draw(st.sampled_from([None, Decimal("3.00")]))
        key = draw(st.sampled_from(["", "k", "k"]))
        return shop.adjustment(number, 61 * shop.DAY + moment, payout=payout, key=key, **fields)
    fields["offer_id"] = draw(st.sampled_from([0, 0, 0, 7, 8]))
    fields["test"] = draw(st.sampled_from([False, False, False, False, True]))
    goal = draw(st.sampled_from(["", "", "", "purchase", "lead", "5", "77", "nonsense"]))
    fields |= {"goal": goal, "goal_id": int(goal or 0) if not goal or goal.isdigit() else GOAL_UNRESOLVED}
    return KINDS[draw(st.sampled_from(sorted(KINDS)))](number, moment, **fields)


OWN = st.sampled_from(["", "approved", "rejected", "pending"])


@settings(max_examples=tries(1_000), deadline=None)
@given(histories())
def test_decide_and_the_naive_reading_agree(history: tuple[list[AnyFact], tuple[Catalog, ...]]) -> None:
    facts, versions = history
    decision = decide_transaction(facts, shop.history(*versions))
    decided = [readings.summed_up(goal, each) for goal, found in decision.cases.items() for each in found]
    naive = readings.read(facts, dict(enumerate(versions, start=1)))
    assert sorted(decided, key=repr) == sorted(naive, key=repr)
