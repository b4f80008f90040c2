"""Clicks and impressions: where they go, what of them becomes a fact, what of them is refused."""

from urllib.parse import quote

import pytest
from msgspec.structs import replace

from ingest.cookies import Entry, written
from schemas import transaction_id
from schemas.facts import Click, Impression
from schemas.reasons import Reason
from tests.ingest.fakes import CHROME, KEYRING, KNOWN, NOW_MS, Bench, get, new_id

LINK = "/click?offer_id=7&aff_id=42"


async def test_a_click_goes_to_the_offer_with_its_new_id_and_is_a_fact() -> None:
    bench = Bench()
    target = (
        LINK + "&aff_sub=blue+shoes&sub2=b&external_id=c-1&source=news&aff_unique5=u&file_id=f&gdpr=1&x=y"
    )
    found = await bench.edge.answer(get(target, Referer="https://blog.example/", Sec_GPC="0"))
    (click,) = bench.facts()
    new = click.transaction_id
    url = f"https://shop.example/landing?tid={new}&s=blue%20shoes&utm_medium=aff"
    assert (found.status, found.headers["Location"], found.headers["Cache-Control"]) == (302, url, "no-store")
    assert transaction_id.check(KEYRING, new).verdict.value == "genuine"
    assert transaction_id.time_ms(new) == NOW_MS
    assert bench.records()[0][:2] == ("clicks", new.encode())
    assert click == Click(
        receipt_id=click.receipt_id,
        transaction_id=new,
        received_at="2026-11-23T12:00:00.000Z",
        occurred_at="2026-11-23T12:00:00.000Z",
        edge="edge-1",
        catalog_version=5,
        offer_id=7,
        affiliate_id=42,
        advertiser_id=1,
        aff_sub="blue shoes",
        aff_sub2="b",
        aff_click_id="c-1",
        source="news",
        aff_unique5="u",
        creative_id="f",
        host="track.example",
        device_type="desktop",
        device_os="Windows",
        os_version="10",
        browser="Chrome",
        language="de-DE",
        consent="gdpr=1",
        ip="198.51.100.7",
        user_agent=CHROME,
        referer="https://blog.example/",
        is_unique=True,
        params={"x": "y"},
        redirect_url=url,
    )


@pytest.mark.parametrize(
    ("target", "location", "reason"),
    [
        ("/click?offer_id=7&aff_id=43", "https://shop.example/gone?o=7", Reason.AFFILIATE_NOT_APPROVED),
        ("/click?offer_id=7&aff_id=44", "https://shop.example/gone?o=7", Reason.AFFILIATE_NOT_APPROVED),
        ("/click?offer_id=7&aff_id=999", "https://shop.example/gone?o=7", Reason.AFFILIATE_NOT_APPROVED),
        ("/click?offer_id=7", "https://shop.example/gone?o=7", Reason.AFFILIATE_NOT_APPROVED),
        ("/click?offer_id=8&aff_id=42", "https://network.example/?from=8", Reason.OFFER_PAUSED),
    ],
)
async def test_a_click_that_may_not_go_to_the_offer_goes_to_its_fallback_and_is_a_fact(
    target: str, location: str, reason: Reason
) -> None:
    bench = Bench()
    found = await bench.edge.answer(get(target))
    (click,) = bench.facts()
    assert (found.status, found.headers["Location"]) == (302, location)
    assert (click.redirect_url, click.redirect_reason) == (location, reason)


async def test_an_unknown_offer_goes_to_the_network_s_default_page_and_is_no_fact() -> None:
    bench = Bench()
    found = await bench.edge.answer(get("/click?offer_id=99&aff_id=42"))
    assert (found.status, found.headers["Location"]) == (302, "https://network.example/?from=")
    assert "Set-Cookie" not in found.headers
    assert bench.facts() == []
    (refusal,) = bench.kafka.refusals()
    assert (refusal.reason, refusal.offer_id, refusal.affiliate_id) == (Reason.UNKNOWN_OFFER, 99, 42)
    assert bench.count("roundtrip_refusals_total", reason="211") == 1


async def test_without_a_default_page_an_unknown_offer_is_404() -> None:
    bare = replace(KNOWN.catalog.catalog, network=replace(KNOWN.catalog.catalog.network, default_url=""))
    bench = Bench(replace(KNOWN, catalog=replace(KNOWN.catalog, catalog=bare)))
    assert (await bench.edge.answer(get("/click?offer_id=99&aff_id=42"))).status == 404
    paused = await bench.edge.answer(get("/click?offer_id=8&aff_id=42"))
    assert paused.status == 404
    assert [click.redirect_reason for click in bench.facts()] == [Reason.OFFER_PAUSED]


async def test_two_values_for_one_field_are_refused() -> None:
    bench = Bench()
    found = await bench.edge.answer(get("/click?offer_id=7&offer_id=9&aff_id=42"))
    assert (found.status, found.body) == (400, b"two different values for offer_id\n")
    assert bench.facts() == []


@pytest.mark.parametrize(
    ("wish", "location"),
    [
        ("url_id=3&aff_sub=a/b", "https://shop.example/sale/a%2Fb?tid={id}"),
        ("url_id=4", "https://shop.example/landing?tid={id}&s=&utm_medium=aff"),
        ("url=https%3A%2F%2Fshop.example%2Fp%3Fq%3D1%23top", "https://shop.example/p?q=1&tid={id}&s=#top"),
        (
            "url=https%3A%2F%2Fwww.shop.example%2F%C3%BC%20x",
            "https://www.shop.example/%C3%BC%20x?tid={id}&s=",
        ),
        (
            "url=https%3A%2F%2Fshop.example%2F%3Fmine%3D%7Btransaction_id%7D",
            "https://shop.example/?mine={id}",
        ),
        ("url=https%3A%2F%2Fshop.example%2F%7Bwhat%7D", "https://shop.example/%7Bwhat%7D?tid={id}&s="),
    ],
)
async def test_a_click_may_name_a_landing_page_or_a_deep_link(wish: str, location: str) -> None:
    bench = Bench()
    found = await bench.edge.answer(get(f"{LINK}&{wish}"))
    (click,) = bench.facts()
    assert found.headers["Location"] == location.replace("{id}", click.transaction_id)
    assert click.url_id == (3 if "url_id=3" in wish else 0)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://evil.example\\@shop.example/",
        "https:\\\\evil.example/",
        "//evil.example/",
        "javascript:alert(1)",
        "https://{aff_sub}.shop.example/",
        "https://shop.example\r\nSet-Cookie:a=b",
        "https://notshop.example/",
        "x" * 3000,
    ],
)
async def test_a_deep_link_elsewhere_leads_to_the_offer(url: str) -> None:
    bench = Bench()
    found = await bench.edge.answer(get(f"{LINK}&aff_sub=evil&url={quote(url, safe='')}"))
    assert found.headers["Location"].startswith("https://shop.example/landing?tid=")


async def test_another_platform_s_link_is_a_click_of_what_its_path_says() -> None:
    bench = Bench()
    found = await bench.edge.answer(get("/ABC123/2CTPL?sub1=s&offer_id=9"))
    (click,) = bench.facts()
    assert found.headers["Location"] == f"https://shop.example/sale/s?tid={click.transaction_id}"
    assert (click.offer_id, click.affiliate_id, click.url_id) == (7, 42, 3)


async def test_a_browser_s_second_click_within_a_day_is_not_unique() -> None:
    bench = Bench()
    for age_ms, seed in ((60_000, 1), (86_400_000 + 1, 2)):
        cookie = written([], Entry("c", 7, new_id(age_ms, seed)), secure=False).partition(";")[0]
        await bench.edge.answer(get(LINK, Cookie=cookie))
    await bench.edge.answer(get("/click?offer_id=9&aff_id=42", Cookie=cookie))
    assert [click.is_unique for click in bench.facts()] == [False, True, True]


async def test_sub_ids_are_cut_at_500_characters() -> None:
    bench = Bench()
    await bench.edge.answer(get(f"{LINK}&aff_sub={'ü' * 600}"))
    assert bench.facts()[0].aff_sub == "ü" * 500


async def test_the_cookie_names_the_click_and_a_person_who_opts_out_gets_none() -> None:
    bench = Bench(proxies=("198.51.100.0/24",))
    plain = await bench.edge.answer(get(LINK))
    https = await bench.edge.answer(get(LINK, X_Forwarded_Proto="https"))
    private = await bench.edge.answer(get(LINK, Sec_GPC="1"))
    ids = [click.transaction_id for click in bench.facts()]
    assert plain.headers["Set-Cookie"].startswith(f"rt=c7.{ids[0]}; ")
    assert https.headers["Set-Cookie"].endswith("SameSite=None; Secure")
    assert "Set-Cookie" not in private.headers


async def test_head_shows_where_without_id_cookie_or_fact() -> None:
    bench = Bench()
    found = await bench.edge.answer(replace(get(LINK), method="HEAD"))
    assert (found.status, found.headers["Location"]) == (
        302,
        "https://shop.example/landing?tid=&s=&utm_medium=aff",
    )
    assert "Set-Cookie" not in found.headers
    assert bench.records() == []


@pytest.mark.parametrize(
    "path", [LINK, "/impression?offer_id=7&aff_id=42", "/pixel?offer_id=7", "/iframe?offer_id=7"]
)
@pytest.mark.parametrize(
    ("header", "value"),
    [("Sec_Purpose", "prefetch;prerender"), ("Purpose", "prefetch"), ("X_Moz", "prefetch")],
)
async def test_a_prefetch_is_asked_to_come_as_a_visit(path: str, header: str, value: str) -> None:
    bench = Bench()
    found = await bench.edge.answer(get(path, **{header: value}))
    assert (found.status, found.headers["Cache-Control"]) == (503, "no-store")
    assert bench.records() == []


async def test_an_impression_is_a_gif_a_cookie_and_a_fact() -> None:
    bench = Bench()
    found = await bench.edge.answer(get("/impression?offer_id=7&aff_id=42&aff_sub=a"))
    (seen,) = bench.facts()
    assert isinstance(seen, Impression)
    assert (found.status, found.headers["Content-Type"], found.body[:6]) == (200, "image/gif", b"GIF89a")
    assert found.headers["Set-Cookie"].startswith(f"rt=v7.{seen.transaction_id}; ")
    assert (await bench.edge.answer(get("/impression?offer_id=99"))).status == 404


async def test_macros_name_what_the_click_knows_and_are_never_expanded_twice() -> None:
    url = (
        "https://shop.example/{offer_name}?a={affiliate_name}&r={affiliate_ref}&ar={advertiser_ref}&ip={ip}"
        "&d={date}&ts={timestamp}&os={device_os}&s={aff_sub}&p={payout}&ran={ran}&u={user_agent}&x={param:x}&{params}#{source}"
    )
    catalog = KNOWN.catalog.catalog
    offers = (replace(catalog.offers[0], url=url),)
    bench = Bench(replace(KNOWN, catalog=replace(KNOWN.catalog, catalog=replace(catalog, offers=offers))))
    found = await bench.edge.answer(get(LINK + "&aff_sub=%7Bip%7D%26x&x=1%262&source=a%23b"))
    new = bench.facts()[0].transaction_id
    ua = quote(CHROME, safe="")
    assert found.headers["Location"] == (
        "https://shop.example/Shoes%20%26%20more?a=Running%20Blog&r=rb&ar=SH-1&ip=198.51.100.7&d=2026-11-23"
        f"&ts={NOW_MS // 1000}&os=Windows&s=%7Bip%7D%26x&p=&ran={new[10:20]}&u={ua}&x=1%262&x=1%262#a%23b"
    )
