"""What people query: the names and types that the outside relies on, and figures that are the rows' own."""

from typing import Final

import pytest

from schemas import facts
from service.clickhouse import ClickHouse
from service.settings import Settings
from tests.sinks.examples import CASE, CLICK, CONVERSION, EPOCH, POSTBACK, case, changed, record
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
    conversion_id version transaction_id goal_id case_number conversion_unique_id offer_id affiliate_id
    advertiser_id status reason duplicate_of payout payout_currency revenue revenue_currency payout_nominal
    revenue_nominal payout_rule sale_amount sale_currency credited_by click_receipt_id clicked_at occurred_at
    received_at observations
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
    "tails": "edge epoch last at",
    "contradicting_receipts": "receipt_id events transactions kinds first_received_at last_received_at",
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


def tail(last: int, minute: int, epoch: str = EPOCH) -> bytes:
    return facts.encode(facts.Tail(edge="e", epoch=epoch, last=last, at=f"2026-11-23T10:{minute:02}:00.000Z"))


@pytest.mark.parametrize("order", [1, -1])
async def test_of_an_epoch_s_tails_the_greatest_number_wins_then_the_latest_word(
    stored: Settings, order: int
) -> None:
    """In any order and batches: a clock that is set back, or a topic read again, changes nothing."""
    words = [tail(3, 0), tail(9, 5), tail(9, 7), tail(4, 9), tail(1, 1, epoch="1" * 23)]
    for n in range(len(words))[::order]:
        assert await store(stored, [record("tails", n, words[n])]) == []
    asked = "SELECT edge, epoch, last, toString(at) FROM tails ORDER BY epoch"
    both = [("e", EPOCH, 9, "2026-11-23 10:07:00.000"), ("e", "1" * 23, 1, "2026-11-23 10:01:00.000")]
    assert ask(stored, asked) == both
    client = ClickHouse(stored)
    client.command("OPTIMIZE TABLE tail_facts FINAL")
    client.close()
    assert ask(stored, asked) == both


@pytest.mark.parametrize(
    "value",
    [
        b'{"edge":"e","epoch":"short","last":1,"at":"2026-11-23T10:00:00.000Z"}',
        b'{"edge":"e","epoch":"0123456789abcdefghjkmnp","last":0,"at":"2026-11-23T10:00:00.000Z"}',
        b'{"edge":"e","epoch":"0123456789abcdefghjkmnp","last":1,"at":"2026-13-23T10:00:00.000Z"}',
        b'{"edge":"e","epoch":"0123456789abcdefghjkmnp","last":1}',
    ],
)
async def test_what_is_no_tail_is_bad_and_the_others_are_stored(stored: Settings, value: bytes) -> None:
    records = [record("tails", 0, tail(1, 0)), record("tails", 1, value)]
    assert [each.record.offset for each in await store(stored, records)] == [1]
    assert ask(stored, "SELECT count() FROM tails") == [(1,)]


async def test_two_events_of_one_receipt_are_both_there_and_shown(stored: Settings) -> None:
    """Guard: a fact's key ends in its time and transaction, else one would silently replace the other.

    Same hour, offer and affiliate: what the rest of the key says of both is the same.
    """
    other = changed(CLICK, transaction_id="t2")
    later = changed(CLICK, received_at="2026-11-23T10:00:00.001Z")
    sale = changed(POSTBACK, receipt_id=CLICK.receipt_id, received_at="2026-11-23T12:00:00.000Z")
    fine = changed(CLICK, receipt_id=f"{EPOCH}-9")
    visits = [record("clicks", n, facts.encode(one)) for n, one in enumerate((CLICK, other, later, fine))]
    for _ in range(2):  # shipped again it is the same event
        assert await store(stored, [*visits, record("postbacks", 0, facts.encode(sale))], token=False) == []
    client = ClickHouse(stored)
    client.command("OPTIMIZE TABLE click_facts FINAL")
    client.close()
    assert ask(stored, "SELECT count() FROM clicks") == [(4,)]
    asked = """
        SELECT receipt_id, events, arraySort(transactions), arraySort(kinds),
            toString(first_received_at), toString(last_received_at)
        FROM contradicting_receipts
    """
    assert ask(stored, asked) == [
        (
            CLICK.receipt_id,
            4,
            ["t1", "t1", "t1", "t2"],
            ["click", "click", "click", "postback"],
            "2026-11-23 10:00:00.000",
            "2026-11-23 12:00:00.000",
        )
    ]
