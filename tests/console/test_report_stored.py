"""Reports on the real ClickHouse, against a second reckoning in Python over the same facts."""

import asyncio
import random
import subprocess
import sys
import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from console import lag, report, reports
from console.report import Asked
from schemas import times
from schemas.decisions import Case, Conversion
from schemas.facts import Click, Impression
from service.clickhouse import ClickHouse
from service.errors import Unreachable
from service.kafka import Admin, Outgoing, Producer
from service.settings import Settings
from tests.console.rows import store
from tests.sinks.examples import CASE, CLICK, CONVERSION, EPOCH, changed
from tests.sinks.fakes import make_topics

pytestmark = pytest.mark.stack

START = datetime(2026, 10, 24, 20, tzinfo=UTC)
STANDS: list[dict[str, Any]] = [
    {"status": "approved"},
    {"status": "approved"},
    {"status": "pending", "reason": 31},
    {"status": "pending", "reason": 200},
    {"status": "rejected", "reason": 12},
]
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]


def wire(at: datetime) -> str:
    return times.from_ms(int(at.timestamp() * 1000))


def world(seed: int) -> tuple[list[Click | Impression], list[Case]]:
    """Visits and conversions of all kinds around a night on which Berlin sets its clocks back."""
    chance = random.Random(seed)
    visits: list[Click | Impression] = []
    cases = []
    for n in range(400):
        at = START + timedelta(milliseconds=chance.randrange(48 * 3_600_000))
        fields = {
            "receipt_id": f"{EPOCH}-{n}",
            "transaction_id": f"t{n}",
            "received_at": wire(at),
            "occurred_at": wire(at - timedelta(hours=chance.randrange(3))),
            "offer_id": chance.choice((7, 8)),
            "affiliate_id": chance.choice((42, 43)),
            "is_unique": chance.random() < 0.7,
            "is_bot": chance.random() < 0.1,
            "source": chance.choice(("", "s' \\ \"%", "ü")),
            "aff_click_id": f"theirs-{n}",
        }
        one = changed(CLICK, **fields)
        if chance.random() < 0.2:
            data = msgspec.structs.asdict(one)
            one = Impression(**{name: data[name] for name in Impression.__struct_fields__})
        visits.append(one)
        for goal in range(chance.choice((0, 0, 1, 2))):
            conversion = changed(
                CONVERSION,
                conversion_id=f"{n:030}{goal:02}",
                **chance.choice(STANDS),
                payout=Decimal(chance.randrange(10**7)) / 10**6,
                payout_currency=chance.choice(("USD", "EUR")),
                revenue=Decimal(chance.randrange(10**9)) / 10**6,
                revenue_currency="USD",
                occurred_at=wire(at + timedelta(minutes=chance.randrange(200))),
                offer_id=one.offer_id,
                affiliate_id=one.affiliate_id,
                source=one.source,
                test=chance.random() < 0.1,
                click_receipt_id=one.receipt_id,
            )
            cases.append(changed(CASE, transaction_id=f"t{n}", goal_id=goal, conversions=(conversion,)))
    return visits, cases


def unreachable(*_: object) -> None:
    raise Unreachable("Kafka at 127.0.0.1:1 cannot be reached")


@pytest.fixture(params=[1, 2])
def told(
    stored: Settings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Settings, list[Any], list[Case]]:
    monkeypatch.setattr(lag, "measure", unreachable)  # there is no Kafka here, and it need not be waited for
    visits, cases = world(request.param)
    store(stored, [*visits, *cases])
    store(stored, [*visits[::3], *cases[::2]])  # replayed
    return msgspec.structs.replace(stored, kafka="127.0.0.1:1"), visits, cases


def label(at: str, tz: str, unit: str) -> str:
    local = datetime.fromisoformat(at).astimezone(ZoneInfo(tz))
    if unit == "day":
        return local.date().isoformat()
    offset = f"{local:%z}"
    return f"{local:%Y-%m-%d %H}:00{offset[:3]}:{offset[3:5]}"


def reckoned(
    visits: list[Any], cases: list[Case], tz: str, unit: str
) -> dict[tuple[str, int], dict[str, Any]]:
    found: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    money: dict[tuple[str, int], dict[str, Counter[str]]] = defaultdict(
        lambda: {"payout": Counter(), "revenue": Counter()}
    )
    for one in visits:
        row = found[label(one.received_at, tz, unit), one.offer_id]
        if isinstance(one, Impression):
            row["impressions"] += 1
            continue
        row["clicks"] += 1
        row["unique_clicks"] += one.is_unique
        row["bots"] += one.is_bot
    for each in cases:
        (conversion,) = each.conversions
        if conversion.test:
            continue
        key = (label(conversion.occurred_at, tz, unit), conversion.offer_id)
        row = found[key]
        counts = conversion.status != "rejected" and conversion.reason != 200
        row["conversions"] += counts
        row["approved"] += conversion.status == "approved"
        row["pending"] += conversion.status == "pending" and conversion.reason != 200
        row["rejected"] += conversion.status == "rejected"
        if conversion.status == "approved":
            money[key]["payout"][conversion.payout_currency] += conversion.payout  # type: ignore[assignment]
            money[key]["revenue"][conversion.revenue_currency] += conversion.revenue  # type: ignore[assignment]
    return {
        key: {**dict.fromkeys(("bots", *report._MEASURES), 0), **row, **money[key]}
        for key, row in found.items()
    }


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("unit", ["hour", "day"])
def test_any_zone_gives_exactly_what_the_raw_facts_give(
    told: tuple[Settings, list[Any], list[Case]], tz: str, unit: str
) -> None:
    settings, visits, cases = told
    rows = rows_of(
        settings, Asked(name="offers", by=(unit, "offer"), tz=tz, start="2026-10-23", end="2026-10-29")
    )
    got = {(row[unit], row["offer_id"]): row for row in rows}
    expected = reckoned(visits, cases, tz, unit)
    assert set(got) == set(expected)
    for key, row in expected.items():
        people = row["clicks"] - row["bots"]
        assert got[key]["cr"] == (ratio(Decimal(row["conversions"]), people) if people else None)
        counts = {name: got[key][name] for name in report._MEASURES}
        assert counts == {name: row[name] for name in report._MEASURES}
        for name in ("payout", "revenue"):
            assert got[key][name] == {currency: amount for currency, amount in row[name].items() if amount}


def ratio(amount: Decimal, count: int) -> Decimal:
    return (amount / count).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def rows_of(settings: Settings, asked: Asked) -> list[dict[str, Any]]:
    client = ClickHouse(settings)
    found = report.answer(asked, settings, client)
    client.close()
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


FIRST, LAST = "2026-10-20", "2026-10-30"


def of_the_week(name: str, *where: str, limit: int = 1_000) -> Asked:
    return Asked(name=name, where=where, start=FIRST, end=LAST, limit=limit)


def test_epc_is_approved_payout_by_clicks_of_people(told: tuple[Settings, list[Any], list[Case]]) -> None:
    settings, _, _ = told
    for row in rows_of(settings, of_the_week("affiliates")):
        assert row["epc"].keys() == row["payout"].keys() == {"EUR", "USD"}
        bots = sum(
            one.is_bot
            for one in told[1]
            if isinstance(one, Click) and one.affiliate_id == row["affiliate_id"]
        )
        assert row["epc"] == {each: ratio(sum_, row["clicks"] - bots) for each, sum_ in row["payout"].items()}


def test_where_takes_any_text_as_it_is(told: tuple[Settings, list[Any], list[Case]]) -> None:
    settings, visits, _ = told
    clicks = [one for one in visits if isinstance(one, Click)]
    for source in ("", "s' \\ \"%", "ü", "x') OR 1=1 --"):
        rows = rows_of(settings, of_the_week("days", f"source={source}", "offer=7"))
        assert sum(row["clicks"] for row in rows) == sum(
            one.source == source and one.offer_id == 7 for one in clicks
        )


def test_the_affiliates_own_list_is_equal_line_by_line(told: tuple[Settings, list[Any], list[Case]]) -> None:
    settings, visits, cases = told
    rows = rows_of(settings, of_the_week("clicks", "affiliate=42"))
    by_click: dict[str, list[str | None]] = defaultdict(list)
    for each in cases:
        if not each.conversions[0].test:
            by_click[each.conversions[0].click_receipt_id].append(each.conversions[0].status)
    expected = [
        (one.aff_click_id, status)
        for one in visits
        if isinstance(one, Click) and one.affiliate_id == 42
        for status in by_click.get(one.receipt_id) or [None]
    ]
    assert Counter((row["aff_click_id"], row["status"]) for row in rows) == Counter(expected)


def test_what_awaits_its_click_says_whether_one_may_still_come(
    stored: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "measure", unreachable)
    now = datetime.now(UTC)
    cases = [
        changed(CASE, transaction_id=f"t{days}", conversions=(_awaits(now, days, reason),))
        for days, reason in ((1, 200), (36, 200), (38, 200), (2, 31))
    ]
    store(stored, cases)
    asked = Asked(name="awaiting", start=f"{now - timedelta(days=50):%Y-%m-%d}")
    rows = rows_of(msgspec.structs.replace(stored, kafka="127.0.0.1:1"), asked)
    found = [(row["transaction_id"], bool(row["may_be_credited"])) for row in rows]
    assert found == [("t38", False), ("t36", True), ("t1", True)]
    assert all(row["credited_until"] - row["received_at"] == timedelta(days=37) for row in rows)


def _awaits(now: datetime, days: int, reason: int) -> Conversion:
    at = wire(now - timedelta(days=days))
    fields = {"conversion_id": f"{days:032}", "status": "pending", "reason": reason, "received_at": at}
    one: Conversion = changed(CONVERSION, **fields, occurred_at=at)
    return one


def test_the_conversions_are_listed_whole_and_cut_where_asked(
    told: tuple[Settings, list[Any], list[Case]],
) -> None:
    settings, _, cases = told
    assert len(rows_of(settings, of_the_week("conversions"))) == len(cases)
    client = ClickHouse(settings)
    found = report.answer(of_the_week("conversions", limit=3), settings, client)
    client.close()
    assert (len(found.rows), found.cut) == (3, True)
    assert "only the first 3 rows" in report.footer(found)[1]


@pytest.mark.parametrize("name", reports.REPORTS)
def test_every_dimension_cuts_every_report_that_takes_it(
    told: tuple[Settings, list[Any], list[Case]], name: str
) -> None:
    settings, _, _ = told
    lists = not reports.REPORTS[name].by
    for each in reports._DIMENSIONS:
        if each.kind != "time" and (lists or not each.listed_only):
            value = "0" if each.kind == "number" else "nothing"
            rows_of(settings, of_the_week(name, f"{each.name}={value}"))
        if not lists and not each.listed_only:
            rows_of(settings, Asked(name=name, by=(each.name,), start=FIRST, end=LAST))


def test_without_kafka_a_report_is_given_and_says_that_its_completeness_is_not_known(
    told: tuple[Settings, list[Any], list[Case]],
) -> None:
    settings, _, _ = told
    client = ClickHouse(settings)
    found = report.answer(of_the_week("days"), settings, client)
    client.close()
    assert found.fresh.complete_to is None
    assert "not known (Kafka" in report.footer(found)[0]


def test_what_waits_in_kafka_bounds_what_a_report_calls_complete(stored: Settings, kafka: str) -> None:
    """Guard: a report says how fresh it is."""
    settings = msgspec.structs.replace(stored, kafka=kafka, topic_prefix=f"{uuid.uuid4().hex[:8]}.")
    make_topics(settings)
    client = ClickHouse(settings)
    asked = Asked(name="offers")
    before = datetime.now(UTC)
    empty = report.answer(asked, settings, client).fresh
    assert empty.complete_to is not None
    assert empty.complete_to >= before

    async def send() -> None:
        producer = Producer(settings)
        await producer.send_all([Outgoing("clicks", b"t1", b"{}")])
        await producer.close()

    asyncio.run(send())
    with Admin(settings) as admin:
        assert sum(admin.end_offsets(["clicks"]).values()) == 1
    waiting = report.answer(asked, settings, client).fresh
    client.close()
    assert waiting.waiting == 2  # the joiner's and the writer's
    assert waiting.complete_to is not None
    assert before - timedelta(seconds=1) < waiting.complete_to < datetime.now(UTC) - timedelta(milliseconds=1)


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_the_command_writes_each_format(told: tuple[Settings, list[Any], list[Case]], form: str) -> None:
    settings, _, _ = told
    environ = {
        "PATH": "/usr/bin",
        "ROUNDTRIP_CLICKHOUSE": settings.clickhouse,
        "ROUNDTRIP_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "ROUNDTRIP_KAFKA": settings.kafka,
    }
    words = ["report", "offers", "--from", FIRST, "--to", LAST, "--format", form]
    done = subprocess.run(
        [sys.executable, "-m", "roundtrip", *words],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    if form == "json":
        assert [row["offer_id"] for row in msgspec.json.decode(done.stdout)["rows"]] == [7, 8]
    else:
        assert done.stdout.splitlines()[0].split("," if form == "csv" else None)[0] == "offer_id"
    assert "quarantined" in done.stdout + done.stderr
