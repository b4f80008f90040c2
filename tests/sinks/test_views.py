"""What people query: the names and types that the outside relies on, and figures that are the rows' own."""

from typing import Final

import pytest

from schemas import facts
from service.settings import Settings
from tests.sinks.examples import CASE, CLICK, CONVERSION, EPOCH, case, changed, record
from tests.sinks.test_stored import ask, store

pytestmark = pytest.mark.stack


def numbered(name: str, first: int = 2) -> str:
    return " ".join(f"{name}{n}" for n in range(first, 6))


AFF: Final = (
    f"aff_sub {numbered('aff_sub')} {numbered('aff_unique', 1)} aff_click_id source url_id creative_id"
)
ADV: Final = f"adv_sub {numbered('adv_sub')}"
VISIT: Final = f"""
    receipt_id transaction_id received_at occurred_at offer_id affiliate_id advertiser_id {AFF} host
    redirect_url redirect_reason country_code region city asn device_type device_os os_version device_brand
    browser language
    is_bot is_unique consent ip user_agent referer params edge catalog_version
"""
CONVERSIONS: Final = f"""
    conversion_id version transaction_id goal_id conversion_unique_id offer_id affiliate_id advertiser_id
    status reason duplicate_of payout payout_currency revenue revenue_currency payout_nominal revenue_nominal
    payout_rule sale_amount sale_currency credited_by click_receipt_id clicked_at occurred_at received_at
    observations
    observed_by {AFF} country_code device_os is_bot promo_code {ADV} test catalog_version
"""
VIEWS: Final = {
    "clicks": VISIT,
    "impressions": VISIT,
    "observations": f"""
        receipt_id transaction_id kind proven_by received_at occurred_at offer_id goal_id sale_amount
        sale_currency status conversion_unique_id {ADV} {numbered("adv_unique", 1)} ip user_agent referer
        params test edge
        catalog_version
    """,
    "conversions": CONVERSIONS,
    "conversion_history": f"{CONVERSIONS} decided_at",
    "deliveries": "conversion_id affiliate_id url attempt outcome http_status at",
    "quarantine": "reason at value",
    "refusals": "reason at query",
    "stats": """
        hour offer_id affiliate_id advertiser_id goal_id country_code device_type source clicks unique_clicks
        bot_clicks impressions conversions approved pending rejected sale_amount payout revenue sale_currency
        payout_currency revenue_currency
    """,
}
NUMBERS: Final = ("offer_id", "affiliate_id", "advertiser_id", "goal_id", "url_id", "reason", "observations")
MONEY: Final = ("sale_amount", "payout", "revenue", "payout_nominal", "revenue_nominal")


@pytest.mark.parametrize("view", VIEWS)
def test_the_contract_s_columns_are_there_in_its_types(stored: Settings, view: str) -> None:
    columns = {str(row[0]): str(row[1]) for row in ask(stored, f"DESCRIBE TABLE {view}")}
    assert [name for name in VIEWS[view].split() if name not in columns] == []
    sums = "Decimal(38, 6)"  # eighteen digits hold one amount, not the sum of many
    for name, kind in columns.items():
        bare = kind.removeprefix("Nullable(").removesuffix(")") if kind.startswith("Nullable(") else kind
        if name.endswith("_at") or name in ("at", "hour"):
            assert (name, bare) == (name, "DateTime64(3, 'UTC')")
        elif name in MONEY:
            assert (name, bare) == (name, sums if view == "stats" else "Decimal(18, 6)")
        elif name in NUMBERS:
            assert "Int" in bare, name


async def test_stats_are_what_the_rows_say(stored: Settings) -> None:
    """Each once, however often it was stored; hours by click time and by the conversion's own."""
    again = changed(
        CLICK, receipt_id=f"{EPOCH}-2", is_unique=False, is_bot=True, received_at="2026-11-23T10:59:59.999Z"
    )
    later = changed(CLICK, receipt_id=f"{EPOCH}-3", received_at="2026-11-23T11:00:00.000Z")
    visits = [record("clicks", n, facts.encode(one)) for n, one in enumerate((CLICK, again, later))]
    kinds = (
        ("approved", 0, False),
        ("pending", 31, False),
        ("pending", 200, False),  # awaits its click: no conversion yet
        ("rejected", 12, False),
        ("rejected", 22, True),  # a test
    )
    sales = tuple(
        changed(
            CONVERSION,
            conversion_id=str(n) * 32,
            status=status,
            reason=reason,
            test=test,
            payout="999999999999.99" if status == "approved" else "0",
            payout_currency="USD",
            occurred_at="2026-11-23T09:30:00.000Z",
        )
        for n, (status, reason, test) in enumerate(kinds)
    )
    decided = [case(n, changed(CASE, transaction_id=f"t{n}", conversions=sales)) for n in (1, 2)]
    for _ in range(2):
        assert await store(stored, [*visits, *decided], token=False) == []
    asked = """
        SELECT toString(hour), clicks, unique_clicks, bot_clicks, conversions, approved, pending, rejected,
            toString(payout), payout_currency
        FROM stats ORDER BY hour
    """
    assert ask(stored, asked) == [
        ("2026-11-23 09:00:00.000", 0, 0, 0, 4, 2, 2, 2, "1999999999999.98", "USD"),
        ("2026-11-23 10:00:00.000", 2, 1, 1, 0, 0, 0, 0, "0", ""),
        ("2026-11-23 11:00:00.000", 1, 1, 0, 0, 0, 0, 0, "0", ""),
    ]


async def test_an_hour_of_the_stats_reads_only_its_own_rows(stored: Settings) -> None:
    """Guard: the key is the hour, and the view's own hour must not hide it from the index."""
    assert await store(stored, [record("clicks", 0, facts.encode(CLICK))]) == []
    asked = "EXPLAIN indexes = 1 SELECT sum(clicks) FROM stats WHERE hour >= '2026-11-24 00:00:00'"
    plan = "\n".join(str(line[0]) for line in ask(stored, asked))
    assert "Granules: 0/1" in plan
