"""Story 9: the customer's e-mail address is the transaction ID, and lies nowhere in the whole stack."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from playwright.async_api import Page

from schemas.topics import TOPICS
from schemas.transaction_id import Kind, kind
from service.clickhouse import ClickHouse
from service.kafka import Admin, read_range
from tests.stories.conftest import BLOG, PAYOUT, World, approved, follow

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

BY_E_MAIL, BY_NAME_AND_ADDRESS = 20, 21
E_MAIL, NAME, ADDRESS = "Story.Nine@canary.example", "Canary Ninefeather", "192.0.2.199"


@pytest.mark.browser
async def test_an_address_typed_twice_is_one_customer_and_lies_nowhere(world: World, person: Page) -> None:
    link = world.link(offer_id=str(BY_E_MAIL), email=f" {E_MAIL.upper()}", aff_sub="nine")
    await follow(person, world, link)
    await said(world, "/postback", offer_id=BY_E_MAIL, email=E_MAIL.lower(), amount="100.00")
    (row,) = await world.warehouse.until(
        approved(1), "SELECT * FROM conversions WHERE offer_id = {offer:UInt32}", offer=BY_E_MAIL
    )
    assert kind(row["transaction_id"]) is Kind.DERIVED
    assert (row["affiliate_id"], row["aff_sub"], str(row["payout"])) == (BLOG, "nine", PAYOUT + "0000")


async def test_a_customer_is_known_by_user_name_and_address_too(world: World) -> None:
    known = {"user_name": f"  {NAME.upper()} ", "offer_id": BY_NAME_AND_ADDRESS}
    at_home = {"X-Forwarded-For": ADDRESS}  # by the proxy before the collector
    assert await said(world, "/click", at_home, **known, aff_id=BLOG, aff_sub="nine too") == 302
    sold = {**known, "user_name": NAME.lower(), "ip": ADDRESS, "order_id": "NINE-2"}
    assert await said(world, "/postback", **sold, amount="100.00") == 200
    (row,) = await world.warehouse.until(
        approved(1), "SELECT * FROM conversions WHERE conversion_unique_id = 'NINE-2'"
    )
    assert kind(row["transaction_id"]) is Kind.DERIVED
    assert (row["affiliate_id"], row["aff_sub"], str(row["payout"])) == (BLOG, "nine too", PAYOUT + "0000")


async def test_what_is_personal_is_found_nowhere_in_the_stack(world: World) -> None:
    control = await flooded(world)
    await world.warehouse.until(
        lambda rows: rows[0]["n"] >= 1,
        "SELECT count() AS n FROM clicks WHERE aff_sub = {control:String}",
        control=control,
    )
    await world.warehouse.until(
        lambda rows: rows[0]["n"] >= 2, "SELECT count() AS n FROM refusals WHERE query LIKE '%canary=***%'"
    )
    canaries = {canary for value in (E_MAIL, NAME, ADDRESS) for canary in spellings(value)}
    found = await asyncio.to_thread(lambda: [*searched(world, [*canaries, control.lower().encode()])])
    seen = {place for place, canary in found if canary == control.encode()}
    assert {"topic clicks", "table click_facts", "a file"} <= seen, "the search itself finds nothing"
    assert [each for each in found if each[1] != control.encode()] == []


async def said(world: World, path: str, more: dict[str, str] | None = None, /, **query: object) -> int:
    """The status of a request as an advertiser's server or page sends it, from a page that tells too much."""
    page = f"https://shop.example/thanks?mail={E_MAIL}&n={quote(NAME)}&i={ADDRESS}"
    url = f"{world.stack.addresses.collector}{path}?{urlencode(query)}"
    headers = {"Referer": page, "Cookie": f"mail={E_MAIL}; name={quote(NAME)}", **(more or {})}
    async with world.http.get(url, headers=headers, allow_redirects=False) as answer:
        return answer.status


async def flooded(world: World) -> str:
    """The canaries, sent in every way there is; and the word that must be found, in the last click of all."""
    secrets = {"email": E_MAIL, "user_name": NAME}
    deep = f"https://shop.localhost/p?email={quote(E_MAIL)}&n={quote(NAME)}&i={ADDRESS}"
    for offer, hidden in ((BY_E_MAIL, {}), (BY_NAME_AND_ADDRESS, {"ip": ADDRESS})):
        for text in (E_MAIL, NAME, quote(E_MAIL)):
            free = {"aff_sub": text, "aff_click_id": f"<{text}>", "more": text, "url": deep}
            await said(world, "/click", offer_id=offer, aff_id=BLOG, **secrets, **free)
            await said(world, "/impression", offer_id=offer, aff_id=BLOG, **secrets, source=text)
        for text in (E_MAIL, NAME, quote(E_MAIL), *hidden.values()):
            told = dict.fromkeys(("order_id", "adv_sub", "goal", "status", "currency", "what"), text)
            for path in ("/postback", "/pixel", "/iframe"):
                await said(world, path, offer_id=offer, **secrets, **told, **hidden)
    assert await said(world, "/postback", tid="made-up", **secrets, ip=ADDRESS, canary=NAME) == 400
    assert await said(world, "/click", offer_id=999, **secrets, canary=E_MAIL, url=deep) == 302
    assert await said(world, "/click", **secrets, x="y" * 9_000) == 414
    assert await said(world, f"/{quote(E_MAIL)}", **secrets) == 404
    control = "the-canary-that-must-be-found"
    await said(world, "/click", offer_id=BY_E_MAIL, aff_id=BLOG, **secrets, aff_sub=control)
    return control


def spellings(value: str) -> set[bytes]:
    """As sent, folded and encoded; and as anybody's plain hash of it."""
    plain = {value, value.lower(), value.casefold().replace(" ", "")}
    hashed = {digest(text.encode()).hexdigest() for text in plain for digest in (hashlib.sha256, hashlib.md5)}
    return {text.lower().encode() for text in {*plain, *map(quote, plain), *hashed}}


def searched(world: World, canaries: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Where what was found: topics, tables, and every file of the stack (journals, logs, state)."""
    for place, content in contents(world):
        folded = content.lower()
        yield from ((place, canary) for canary in canaries if canary in folded)


def contents(world: World) -> Iterator[tuple[str, bytes]]:
    settings = world.stack.settings
    for (topic, partition), end in Admin(settings).end_offsets(TOPICS).items():
        for record in read_range(settings, topic, partition, 0, end) if end else ():
            yield f"topic {topic}", (record.key or b"") + b" " + (record.value or b"")
    clickhouse = ClickHouse(settings)
    for (table,) in clickhouse.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase()"
    ).rows:
        rows = clickhouse.query(f"SELECT formatRow('JSONEachRow', *) FROM `{table}`").rows  # noqa: S608  ours
        yield f"table {table}", "".join(text for (text,) in rows).encode()
    for path in files(world.stack.directory, world.stack.log):
        yield "a file", path.read_bytes()


def files(directory: Path, log: Path) -> Iterator[Path]:
    yield log
    yield from (path for path in directory.rglob("*") if path.is_file())
