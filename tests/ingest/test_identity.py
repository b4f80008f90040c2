"""IDs of customers and affiliates: the same at the click and at the conversion, whoever asks."""

import json

import pytest
from msgspec.structs import replace

from ingest.cookies import NAME
from schemas import shared_id
from schemas.catalog import Derived
from schemas.reasons import Reason
from schemas.transaction_id import Kind, kind
from tests.ingest.customers import (
    BY_ADDRESS,
    BY_AFFILIATE,
    BY_E_MAIL,
    BY_NAME,
    BY_SUB,
    BY_TWO,
    CUSTOMERS,
    JANE,
    OFFERS,
    RING,
    click,
    knowing,
    stated,
)
from tests.ingest.fakes import KEYRING, Bench, get, new_id

JANES = shared_id.derived(RING.offer_key(BY_E_MAIL), BY_E_MAIL, {"email": "jane.doe@example.com"})
OF_42 = shared_id.affiliate(BY_AFFILIATE, 42)


async def asked(bench: Bench, target: str, status: int = 200, **headers: str) -> str:
    """The transaction ID of the fact that the request came to; empty where it was refused."""
    before = len(bench.facts())
    found = await bench.edge.answer(get(target, **headers))
    assert found.status == status, (target, found.body)
    facts = bench.facts()[before:]
    return facts[0].transaction_id if facts else ""


async def test_a_customer_has_one_id_on_click_impression_and_every_kind_of_conversion() -> None:
    bench = Bench(CUSTOMERS)
    typed = [" jane.doe@example.com", "JANE.DOE@EXAMPLE.COM", "jane.doe@ example.com"]
    assert await asked(bench, click(BY_E_MAIL, email=JANE), 302) == JANES
    assert await asked(bench, stated("/impression", offer_id=BY_E_MAIL, aff_id=43, email=JANE)) == JANES
    for path, email in zip(("/pixel", "/iframe", "/postback"), typed, strict=True):
        assert await asked(bench, stated(path, offer_id=BY_E_MAIL, email=email)) == JANES
    assert {key for _, key, _ in bench.records()} == {JANES.encode()}


async def test_the_id_in_the_offer_s_url_is_the_customer_s_and_comes_back_like_any_other() -> None:
    bench = Bench(CUSTOMERS)
    found = await bench.edge.answer(get(click(BY_E_MAIL, email=JANE)))
    assert f"t={JANES}&" in found.headers["Location"]
    assert await asked(bench, f"/postback?tid={JANES.upper()}") == JANES  # without the offer


async def test_another_customer_and_another_offer_have_another_id() -> None:
    bench = Bench(knowing(*OFFERS, replace(OFFERS[0], id=99)))
    other = await asked(bench, click(BY_E_MAIL, email="joe@example.com"), 302)
    elsewhere = await asked(bench, click(99, email=JANE), 302)
    assert len({JANES, other, elsewhere}) == 3


@pytest.mark.parametrize(
    ("offer_id", "at_click", "at_sale"),
    [
        (BY_NAME, {"user_name": " Jane  DOE"}, {"user_name": "jane doe"}),
        (BY_SUB, {"aff_sub": "Customer-17"}, {"aff_sub": "customer-17 "}),
        (BY_ADDRESS, {}, {"ip": "::ffff:198.51.100.7"}),
        (BY_TWO, {"email": JANE}, {"ip": "198.51.100.7", "email": JANE}),
    ],
)
async def test_any_variable_makes_an_id(
    offer_id: int, at_click: dict[str, str], at_sale: dict[str, str]
) -> None:
    bench = Bench(CUSTOMERS)
    clicked = await asked(bench, click(offer_id, **at_click), 302)
    sold = await asked(bench, stated("/postback", offer_id=offer_id, **at_sale))
    assert (kind(clicked), sold) == (Kind.DERIVED, clicked)


@pytest.mark.parametrize("email", ["", "null", "{email}"])
async def test_a_click_without_the_variable_has_an_id_of_its_own(email: str) -> None:
    bench = Bench(CUSTOMERS)
    one = await asked(bench, click(BY_E_MAIL, email=email), 302)
    other = await asked(bench, click(BY_TWO), 302)
    assert kind(one) is kind(other) is Kind.RANDOM


async def test_a_conversion_that_lacks_a_variable_is_told_which() -> None:
    bench = Bench(CUSTOMERS)
    found = await bench.edge.answer(get(stated("/postback", offer_id=BY_TWO, email=JANE)))
    said = json.loads(found.body)
    assert (found.status, said["reason"]) == (400, int(Reason.INVALID_TRANSACTION_ID))
    assert said["sentence"].endswith(f"what stands for it at offer {BY_TWO}: ip")


async def test_a_stated_id_comes_before_the_variables_and_a_wrong_one_is_refused() -> None:
    bench = Bench(CUSTOMERS)
    own = new_id()
    assert await asked(bench, stated("/postback", offer_id=BY_E_MAIL, email=JANE, tid=own)) == own
    wrong = JANES[:-1] + ("0" if JANES[-1] != "0" else "1")
    assert await asked(bench, stated("/postback", offer_id=BY_E_MAIL, email=JANE, tid=wrong), 400) == ""


@pytest.mark.parametrize("path", ["/click", "/postback"])
async def test_two_customers_in_one_request_are_a_conflict(path: str) -> None:
    bench = Bench(CUSTOMERS)
    target = stated(path, offer_id=BY_E_MAIL, aff_id=42, email=JANE, Email="joe@example.com")
    found = await bench.edge.answer(get(target))
    assert (found.status, bench.facts()) == (400, [])
    (refusal,) = bench.kafka.refusals()
    assert (refusal.reason, refusal.detail) == (Reason.CONFLICTING_VALUES, "two different values for email")


async def test_one_customer_said_twice_is_none() -> None:
    bench = Bench(CUSTOMERS)
    assert await asked(bench, click(BY_E_MAIL, email=JANE, EMAIL=JANE.lower()), 302) == JANES


async def test_offer_and_affiliate_are_an_id() -> None:
    bench = Bench(CUSTOMERS)
    assert await asked(bench, click(BY_AFFILIATE), 302) == OF_42
    assert await asked(bench, stated("/impression", offer_id=BY_AFFILIATE, pid=42)) == OF_42
    assert await asked(bench, stated("/postback", offer_id=BY_AFFILIATE, aff_id=42, order_id="A")) == OF_42
    assert await asked(bench, stated("/pixel", offer_id=BY_AFFILIATE, affid=42, order_id="A")) == OF_42
    assert await asked(bench, stated("/postback", offer_id=BY_AFFILIATE, aff_id=43)) != OF_42
    assert kind(OF_42) is Kind.AFFILIATE


async def test_without_an_affiliate_a_conversion_is_told_so() -> None:
    found = await Bench(CUSTOMERS).edge.answer(get(stated("/postback", offer_id=BY_AFFILIATE)))
    assert (found.status, b": aff_id" in found.body) == (400, True)


def cookie_of(headers: dict[str, str]) -> str:
    return headers["Set-Cookie"].partition(";")[0]


@pytest.mark.parametrize("target", [click(BY_E_MAIL, email=JANE), click(BY_AFFILIATE)])
async def test_the_cookie_carries_a_shared_id_and_its_time(target: str) -> None:
    bench = Bench(CUSTOMERS)
    cookie = cookie_of((await bench.edge.answer(get(target))).headers)
    (first,) = bench.facts()
    assert cookie == f"{NAME}=c{first.offer_id}.{first.transaction_id}.{bench.now_ms // 1000}"
    pixel = await asked(bench, f"/pixel?offer_id={first.offer_id}", Cookie=cookie)
    assert pixel == first.transaction_id
    await asked(bench, target, 302, Cookie=cookie)
    bench.now_ms += 86_401_000
    await asked(bench, target, 302, Cookie=cookie)
    assert [fact.is_unique for fact in bench.facts() if fact.offer_id and hasattr(fact, "is_unique")] == [
        True,
        False,
        True,
    ]


async def test_what_a_pixel_states_comes_before_the_cookie_and_the_cookie_before_the_address() -> None:
    bench = Bench(CUSTOMERS)
    cookie = cookie_of((await bench.edge.answer(get(click(BY_E_MAIL, email=JANE)))).headers)
    other = await asked(bench, stated("/pixel", offer_id=BY_E_MAIL, email="joe@example.com"), Cookie=cookie)
    assert other != JANES
    moved = cookie_of((await bench.edge.answer(get(click(BY_ADDRESS)))).headers)
    clicked = bench.facts()[-1].transaction_id
    elsewhere = replace(get(f"/pixel?offer_id={BY_ADDRESS}", Cookie=moved), peer="203.0.113.9")
    await bench.edge.answer(elsewhere)
    assert bench.facts()[-1].transaction_id == clicked
    assert await asked(bench, f"/pixel?offer_id={BY_ADDRESS}") == clicked  # no cookie: by its address


async def test_a_postback_s_own_address_is_nobody_s() -> None:
    assert await asked(Bench(CUSTOMERS), f"/postback?offer_id={BY_ADDRESS}", 400) == ""


async def test_without_a_key_a_click_has_an_id_of_its_own_and_a_conversion_is_asked_to_come_again() -> None:
    bench = Bench(knowing(*OFFERS, keyring=KEYRING))
    assert kind(await asked(bench, click(BY_E_MAIL, email=JANE), 302)) is Kind.RANDOM
    assert await asked(bench, stated("/postback", offer_id=BY_E_MAIL, email=JANE), 503) == ""
    assert await asked(bench, stated("/postback", tid=JANES), 503) == ""


async def test_an_offer_s_own_key_makes_other_ids() -> None:
    own = replace(OFFERS[0], identifier=Derived(derived=("email",), key="env:OFFER_KEY"))
    bench = Bench(knowing(own, keyring=RING.with_offers({BY_E_MAIL: b"the offer's own secret"})))
    found = await asked(bench, click(BY_E_MAIL, email=JANE), 302)
    assert (kind(found), found != JANES) == (Kind.DERIVED, True)
    assert await asked(bench, stated("/postback", offer_id=BY_E_MAIL, email=JANE)) == found


async def test_a_cache_buster_differs_from_click_to_click() -> None:
    bench = Bench(CUSTOMERS)
    seen = set()
    for _ in range(2):
        bench.now_ms += 1
        seen.add((await bench.edge.answer(get(click(BY_AFFILIATE)))).headers["Location"].rpartition("r=")[2])
    assert len(seen) == 2


async def test_an_offer_that_is_random_again_takes_no_customer() -> None:
    assert await asked(Bench(CUSTOMERS), stated("/postback", offer_id=7, email=JANE), 400) == ""
