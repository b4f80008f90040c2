"""`/adjust`: who may, what is taken, and that each adjustment has its own verdict."""

import json
from decimal import Decimal
from typing import Any

import pytest

from ingest.answers import Answer
from ingest.credential import Credential
from ingest.gate import Asked
from schemas.adjustments import MOST
from schemas.facts import GOAL_UNRESOLVED
from schemas.reasons import Reason
from tests.ingest.fakes import ADJUST_TOKEN, NEWER, Bench, headers, new_id

ID = new_id()
OTHER = new_id(seed=2)
GOOD = {"transaction_id": ID, "status": "rejected", "by": "Anna"}
BEARER = f"Bearer {ADJUST_TOKEN}"


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def sent(bench: Bench, content: Any, **more: Any) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    shown = {"Authorization": BEARER, **more.pop("shown", {})}
    asked = {"method": "POST", "target": "/adjust", "body": body, **more}
    return await bench.edge.answer(
        Asked(headers=headers(**shown), header_bytes=300, peer="198.51.100.7", secure=False, **asked)
    )


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


async def test_an_adjustment_is_a_fact_as_it_was_stated(bench: Bench) -> None:
    everything = {
        "transaction_id": ID.upper(),
        "goal_id": "12",
        "conversion_unique_id": "A-1",
        "offer_id": 7,
        "status": "Approved",
        "amount": "49.90",
        "currency": "eur",
        "payout": 2.50,
        "revenue": "3",
        "by": "Anna",
        "why": "by telephone",
        "key": "k1",
        "by_file": True,
    }
    answer = await sent(bench, everything)
    (fact,) = bench.facts()
    assert (answer.status, said(answer)["receipt"]) == (200, fact.receipt_id)
    assert (fact.transaction_id, fact.goal_id, fact.conversion_unique_id, fact.offer_id) == (ID, 12, "A-1", 7)
    assert (fact.action, fact.status, fact.stated_by, fact.why) == (
        "state",
        "approved",
        "Anna",
        "by telephone",
    )
    assert (fact.sale_amount, fact.sale_currency) == (Decimal("49.90"), "EUR")
    assert (fact.payout, fact.revenue, fact.key, fact.by_file) == (Decimal("2.5"), Decimal(3), "k1", True)
    assert (fact.edge, fact.catalog_version, fact.ip) == ("edge-1", 5, "198.51.100.7")
    assert bench.records()[0][:2] == ("adjustments", ID.encode())


async def test_nobody_gets_in_without_the_token(bench: Bench) -> None:
    for shown in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": ADJUST_TOKEN}):
        answer = await sent(bench, GOOD, shown=shown)
        assert (answer.status, said(answer)["reason"]) == (401, Reason.INVALID_TOKEN)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="adjust"'
    assert bench.facts() == []
    assert bench.count("roundtrip_refusals_total", reason="19") == 3


async def test_without_a_credential_adjustments_are_off_and_say_so() -> None:
    off = Credential("")
    for shown in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
        objection = off.objection(shown)
        assert objection is not None
        assert "ROUNDTRIP_ADJUST_TOKEN" in objection.detail


async def test_the_token_is_written_nowhere(bench: Bench) -> None:
    await sent(bench, GOOD, shown={"Authorization": BEARER + "x"}, target=f"/adjust?token={ADJUST_TOKEN}")
    await sent(bench, {**GOOD, "status": "no such"}, target=f"/adjust?token={ADJUST_TOKEN}")
    assert len(bench.kafka.refusals()) == 2
    assert ADJUST_TOKEN not in repr(bench.records()) + repr(vars(Credential(ADJUST_TOKEN)))


async def test_each_of_many_has_its_own_verdict_in_order(bench: Bench) -> None:
    answer = await sent(bench, [GOOD, {**GOOD, "status": "aproved"}, {**GOOD, "transaction_id": OTHER}])
    first, wrong, last = said(answer)["verdicts"]
    assert (answer.status, said(answer)["outcome"]) == (200, "refused")
    assert [fact.receipt_id for fact in bench.facts()] == [first["receipt"], last["receipt"]]
    assert (wrong["outcome"], wrong["receipt"]) == ("refused", "")
    assert wrong["sentence"] == "status 'aproved': write approved, pending, rejected"
    assert bench.count("roundtrip_refusals_total", reason=str(int(Reason.MALFORMED_EVENT))) == 1


@pytest.mark.parametrize("action", [{"status": "rejected"}, {"action": "release"}, {"action": "create"}])
async def test_of_an_affiliates_orders_none_is_meant_without_its_number(
    bench: Bench, action: dict[str, str]
) -> None:
    of_an_affiliate = {"transaction_id": "a" + "0" * 31, "by": "Anna", **action}
    answer = await sent(bench, of_an_affiliate)
    assert (answer.status, said(answer)["reason"]) == (400, Reason.ORDER_NUMBER_MISSING)
    assert "name the order number" in said(answer)["sentence"]
    assert bench.facts() == []


async def test_many_share_a_sync(bench: Bench) -> None:
    before = bench.count("roundtrip_journal_groups_total")
    answer = await sent(bench, [GOOD] * MOST)
    assert len({each["receipt"] for each in said(answer)["verdicts"]}) == MOST
    assert bench.count("roundtrip_journal_groups_total") == before + 1


async def test_more_than_a_request_may_have_is_refused_whole(bench: Bench) -> None:
    for content in ([GOOD] * (MOST + 1), [], "text", b"{", b"", b"[" * 100_000):
        answer = await sent(bench, content)
        assert (answer.status, said(answer)["outcome"]) == (400, "refused")
    assert bench.facts() == []


async def test_nothing_is_said_that_is_not_durable(bench: Bench) -> None:
    bench.edge.known = None
    assert (await sent(bench, GOOD)).status == 503
    bench = Bench()
    await bench.admission.close()
    for content in (GOOD, [GOOD, {**GOOD, "by": ""}]):
        answer = await sent(bench, content)
        assert (answer.status, said(answer)["outcome"]) == (503, "unavailable")
        assert "Retry-After" in answer.headers
    assert bench.facts() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"transaction_id": ""}, "the transaction ID is missing"),
        ({"transaction_id": ID[:-1]}, "the transaction ID is malformed"),
        ({"transaction_id": ID[:-1] + ("0" if ID[-1] != "0" else "1")}, "the transaction ID is forged"),
        ({"by": " "}, "by: who states it is missing"),
        ({"status": ""}, "it states nothing"),
        ({"action": "delete"}, "action 'delete': write state, create, release"),
        ({"action": "release"}, "a release takes back what was stated"),
        ({"payout": "1e3"}, "payout: not a decimal number"),
        ({"payout": "-1"}, "payout: not a decimal number"),
        ({"amount": "1.0000001"}, "amount: not a decimal number"),
        ({"currency": "EUR"}, "currency is the amount's"),
        ({"amount": "1", "currency": "YEN"}, "currency: not an ISO 4217 code"),
        ({"datetime": "2026-11-22"}, "datetime says when a created conversion happened"),
        ({"action": "create", "datetime": "2026-01-01"}, "datetime: more than 90 days ago"),
        ({"offer_id": "x"}, "offer_id: no ID"),
        ({"why": "x" * 501}, "why: more than 500 characters"),
        ({"why": ["x"]}, "'why': neither text nor number"),
        ({"why": "\ud800"}, "'why': neither text nor number"),
        ({"\ud800": ["x"]}, "'\\ud800': neither text nor number"),
        ({"by_file": "maybe"}, "by_file: neither 1 nor 0"),
        ({"statuss": "approved"}, "unknown field 'statuss'"),
    ],
)
async def test_what_is_wrong_is_named_and_refused(bench: Bench, change: dict[str, Any], told: str) -> None:
    answer = await sent(bench, {**GOOD, **change})
    assert (answer.status, bench.facts()) == (400, [])
    assert said(answer)["sentence"].startswith(told)


async def test_a_field_that_is_stated_twice_is_a_conflict(bench: Bench) -> None:
    for name in ("by", "\\ud800"):
        twice = f'{{"{name}": "1", "{name}": "2"}}'
        answer = await sent(bench, twice.encode())
        assert (answer.status, said(answer)["reason"]) == (400, Reason.CONFLICTING_VALUES)


async def test_an_id_of_a_key_that_the_edge_lacks_is_to_be_sent_again(bench: Bench) -> None:
    assert (await sent(bench, {**GOOD, "transaction_id": new_id(keyring=NEWER)})).status == 503


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_it_takes_only_post(bench: Bench, method: str) -> None:
    answer = await sent(bench, GOOD, method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("stated", "goal_id"), [("0", 0), ("12", 12), ("purchase", 0), ("lead", 12), ("none", GOAL_UNRESOLVED)]
)
async def test_a_goal_may_be_named(bench: Bench, stated: str, goal_id: int) -> None:
    await sent(bench, {**GOOD, "goal_id": stated, "offer_id": "7"})
    (fact,) = bench.facts()
    assert (fact.goal, fact.goal_id) == (stated, goal_id)


async def test_a_created_conversion_may_say_when_it_happened_in_its_advertiser_s_zone(bench: Bench) -> None:
    await sent(bench, {**GOOD, "action": "create", "offer_id": 7, "datetime": "2026-11-22T13:00:00"})
    (fact,) = bench.facts()
    assert (fact.action, fact.occurred_at) == ("create", "2026-11-22T12:00:00.000Z")


async def test_a_release_states_nothing(bench: Bench) -> None:
    await sent(bench, {"transaction_id": ID, "action": "release", "by": "Anna"})
    (fact,) = bench.facts()
    assert (fact.action, fact.status) == ("release", "")
