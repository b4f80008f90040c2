"""Canary: values that everybody would recognise are sent in every way there is, and are found nowhere."""

import hashlib
from urllib.parse import quote, urlencode

import pytest
from msgspec.structs import replace

from ingest.gate import Asked
from ingest.traces import Traces, page
from tests.ingest.customers import (
    BY_ADDRESS,
    BY_E_MAIL,
    BY_NAME,
    BY_TWO,
    CUSTOMERS,
    click,
    stated,
)
from tests.ingest.fakes import Bench, get, new_id

E_MAIL, USER_NAME, ADDRESS = "Canary.Bird@nest.example", "Canary Yellowbird", "192.0.2.199"
SECRETS = {"email": E_MAIL, "user_name": USER_NAME}


def spellings(value: str) -> set[bytes]:
    """The value as it may lie somewhere: as sent, folded, encoded, and as a plain hash of either."""
    plain = {value, value.lower(), value.casefold().replace(" ", "")}
    hashes = {digest(text.encode()).hexdigest() for text in plain for digest in (hashlib.sha256, hashlib.md5)}
    return {
        text.lower().encode()
        for text in {
            *plain,
            *map(quote, plain),
            *(quote(quote(p)) for p in plain),
            *(urlencode({"": p})[1:] for p in plain),
            *hashes,
        }
    }


PERSONS = set().union(*map(spellings, (E_MAIL, USER_NAME)))
# An address is kept as any click's is, but where it may be somebody's identifier.
KEEP_ADDRESSES = tuple(f"offer_id={offer}&" for offer in (BY_E_MAIL, BY_NAME, 7))


def found_in(content: bytes, target: str = "") -> list[bytes]:
    kept = any(each in target + "&" for each in KEEP_ADDRESSES) and "Email=" not in target
    canaries = PERSONS if kept else PERSONS | spellings(ADDRESS)
    return [canary for canary in canaries if canary in content.lower()]


def everything(bench: Bench) -> bytes:
    return b"\n".join(b" ".join((topic.encode(), key, value)) for topic, key, value in bench.records())


NESTED = f"https://shop.example/p?email={quote(E_MAIL)}&u={quote(USER_NAME)}&ip={ADDRESS}"
PAGES = [
    f"https://a.example/thanks?mail={E_MAIL}&n={quote(USER_NAME)}&i={ADDRESS}",
    f"https://a.example/{E_MAIL}",
]
FREE = ("aff_sub", "aff_click_id", "source", "creative_id", "gdpr_consent", "whatever")
SAID = (
    "adv_sub",
    "promo_code",
    "conversion_unique_id",
    "status",
    "goal_id",
    "user_agent",
    "currency",
    "what",
)
TARGETS = [
    *(click(offer, **SECRETS) for offer in (BY_E_MAIL, BY_NAME, BY_ADDRESS, BY_TWO, 7)),
    click(BY_TWO, **SECRETS, url=NESTED, **dict.fromkeys(FREE, f"x {E_MAIL} y")),
    click(BY_TWO, **SECRETS, **dict.fromkeys(FREE, USER_NAME)),
    click(BY_TWO, **SECRETS, **dict.fromkeys(FREE, ADDRESS)),
    click(BY_TWO, **{**SECRETS, E_MAIL: "1", USER_NAME: "2"}),
    stated("/impression", offer_id=BY_TWO, aff_id=42, **SECRETS, aff_sub2=quote(quote(E_MAIL))),
    *(
        stated(path, offer_id=offer, ip=ADDRESS, **SECRETS, **dict.fromkeys(SAID, value))
        for path in ("/pixel", "/iframe", "/postback")
        for offer in (BY_E_MAIL, BY_NAME, BY_ADDRESS, BY_TWO)
        for value in (E_MAIL, USER_NAME, ADDRESS)
    ),
    stated("/postback", tid=new_id(), ip=ADDRESS, **SECRETS, adv_sub=E_MAIL),
    stated("/pixel", tid=new_id(), ip=ADDRESS, **SECRETS, adv_sub=USER_NAME),
    # refused
    stated("/postback", tid="0" * 32, ip=ADDRESS, **SECRETS, note=USER_NAME, more=ADDRESS),
    stated("/click", offer_id=999, **SECRETS, url=NESTED, note=quote(USER_NAME)),
    stated("/postback", offer_id=BY_NAME, email=E_MAIL, aff_id=E_MAIL),
    stated("/pixel", offer_id=BY_TWO, tid=E_MAIL),
    click(BY_E_MAIL, **SECRETS) + "&Email=other@nest.example",
    "/pixel?" + urlencode({**SECRETS, E_MAIL: USER_NAME}),
    "/click?" + urlencode(SECRETS) + "&x=" + "y" * 9_000,
    f"/nowhere/{E_MAIL}?" + urlencode(SECRETS),
    f"/of/{quote(E_MAIL)}/?x=" + "y" * 9_000,
]


def ways(target: str) -> list[Asked]:
    """The request by GET, from pages that tell too much; by POST where it may have a body."""
    cookies = f"u={quote(USER_NAME)}; m={E_MAIL}; rt=c{BY_TWO}.{E_MAIL}"
    asked = [get(target, Referer=referer, Cookie=cookies) for referer in PAGES]
    if target.startswith("/postback"):
        path, _, query = target.partition("?")
        form = get(path, Content_Type="application/x-www-form-urlencoded")
        asked.append(replace(form, method="POST", body=query.encode()))
    return [replace(each, peer=ADDRESS) for each in asked if not target.startswith("/postback")] or asked


@pytest.mark.parametrize("target", TARGETS, ids=range(len(TARGETS)))
async def test_what_is_personal_lies_in_no_journal_and_no_topic(target: str) -> None:
    bench = Bench(CUSTOMERS)
    for asked in ways(target):
        await bench.edge.answer(asked)
    assert found_in(everything(bench), target) == []
    if not target.startswith("/nowhere"):
        assert bench.records(), "nothing was written: the test looked at nothing"


async def test_the_canary_is_found_where_it_may_lie() -> None:
    """The search itself works: a random offer keeps the address, and an affiliate's own words as sent."""
    bench = Bench(replace(CUSTOMERS, catalog=CUSTOMERS.catalog))
    await bench.edge.answer(replace(get(click(7, aff_sub=E_MAIL)), peer=ADDRESS))
    assert len(found_in(everything(bench))) >= 2
    assert bench.facts()[0].aff_sub == E_MAIL


async def test_a_text_that_is_not_kept_still_groups_and_tells_orders_apart() -> None:
    bench = Bench(CUSTOMERS)
    for order in (f"{E_MAIL}-1", f"{E_MAIL}-1", f"{E_MAIL}-2"):
        found = await bench.edge.answer(
            get(stated("/postback", offer_id=BY_E_MAIL, email=E_MAIL, order_id=order, adv_sub="blue"))
        )
        assert b"conversion_unique_id: kept as a pseudonym" in found.body
    numbers = [fact.conversion_unique_id for fact in bench.facts()]
    assert (numbers[0] == numbers[1] != numbers[2], {fact.adv_sub for fact in bench.facts()}) == (
        True,
        {"blue"},
    )


async def test_the_person_goes_where_the_link_says_whatever_is_kept_of_it() -> None:
    bench = Bench(CUSTOMERS)
    found = await bench.edge.answer(get(click(BY_E_MAIL, email=E_MAIL, url=NESTED)))
    (fact,) = bench.facts()
    assert found.headers["Location"].startswith(NESTED.partition("&u=")[0])
    assert fact.redirect_url == "https://shop.example/p"


async def test_an_address_is_kept_where_it_is_nobody_s_identifier() -> None:
    bench = Bench(CUSTOMERS)
    await bench.edge.answer(replace(get(click(BY_E_MAIL, email=E_MAIL)), peer=ADDRESS))
    await bench.edge.answer(get(stated("/postback", offer_id=BY_E_MAIL, email=E_MAIL, ip=ADDRESS)))
    clicked, sold = bench.facts()
    assert (clicked.ip, sold.ip, sold.conversion_ip) == (ADDRESS, "198.51.100.7", ADDRESS)


def test_a_name_is_found_as_a_word_and_not_within_one() -> None:
    traces = Traces(["Ann"])
    assert all(map(traces.in_, ("ann", "x=ANN&y", "to%20ann", "ann.html")))
    assert not any(map(traces.in_, ("channel", "annual", "hann")))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a.example/p?x=1", "https://a.example/p?x=1"),
        ("https://a.example/p?m=a@b.example#f", "https://a.example/p"),
        ("https://a.example/p?m=a%40b.example", "https://a.example/p"),
        ("https://a.example/p?r=http%3A%2F%2Fm%3Da%2540b.example", "https://a.example/p"),
        ("https://a.example/p?user_name=ann", "https://a.example/p"),
        ("https://a.example/@shop?x=1", "https://a.example/@shop"),
    ],
)
def test_of_a_page_s_address_the_query_goes_where_it_may_tell_who(url: str, kept: str) -> None:
    assert page(url) == kept


def test_where_the_path_tells_too_the_host_is_left() -> None:
    assert page("https://a.example/ann/p?x=1", Traces(["ann"])) == "https://a.example"
    assert page("https://ann@a.example/", Traces(["ann"])) == ""
