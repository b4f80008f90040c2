"""Pixels, iframes, postbacks: with an ID always a fact, without anything to belong to refused."""

from decimal import Decimal

import msgspec
import pytest

from ingest.cookies import Entry
from ingest.gate import Asked
from schemas import shared_id, transaction_id
from schemas.facts import GOAL_UNRESOLVED, UNVERIFIED, Pixel, Postback
from schemas.reasons import Reason
from tests.ingest.fakes import CHROME, NEWER, Bench, get, new_id

ID = new_id()


def cookie(*entries: Entry) -> str:
    return "rt=" + "~".join(f"{each.kind}{each.offer_id}.{each.transaction_id}" for each in entries)


def post(target: str, body: bytes, kind: str) -> Asked:
    return msgspec.structs.replace(get(target, Content_Type=kind), method="POST", body=body)


async def stated(query: str, path: str = "/postback") -> tuple[Bench, dict[str, object]]:
    bench = Bench()
    found = await bench.edge.answer(get(f"{path}?{query}"))
    return bench, {"status": found.status} | (msgspec.json.decode(found.body) if path == "/postback" else {})


async def test_a_postback_is_a_fact_and_its_verdict_names_the_receipt() -> None:
    bench, verdict = await stated(
        f"transaction_id={ID.upper()}&offer_id=7&goal=purchase&sum=10,50&currency=eur&status=ok&order_id=A-1"
        "&adv1=one&adv_unique5=u&promo_code=P&datetime=2026-11-23+10:00:00&conv_ip=203.0.113.9&user_agent=Their/1"
        "&test=1&aff_id=42&us_privacy=1YYN&more=x&security_token=s3cret&email=a@b.example"
    )
    (fact,) = bench.facts()
    assert verdict == {
        "status": 200,
        "outcome": "accepted",
        "reason": 0,
        "receipt": fact.receipt_id,
        "problems": [],
    }
    assert fact == Postback(
        kind="postback",
        receipt_id=fact.receipt_id,
        transaction_id=ID,
        received_at="2026-11-23T12:00:00.000Z",
        occurred_at="2026-11-23T09:00:00.000Z",
        edge="edge-1",
        catalog_version=5,
        offer_id=7,
        affiliate_id=42,
        goal="purchase",
        goal_id=0,
        sale_amount=Decimal("10.50"),
        sale_currency="EUR",
        status="ok",
        conversion_unique_id="A-1",
        adv_sub="one",
        adv_unique5="u",
        promo_code="P",
        ip="198.51.100.7",
        user_agent=CHROME,
        conversion_ip="203.0.113.9",
        conversion_user_agent="Their/1",
        consent="us_privacy=1YYN",
        test=True,
        params={"more": "x"},
    )
    assert bench.records()[0][:2] == ("postbacks", ID.encode())


@pytest.mark.parametrize(
    ("bad", "detail"),
    [
        (f"transaction_id={ID[:-1]}", "the transaction ID is malformed"),
        (f"transaction_id={ID[:-1]}{'0' if ID[-1] != '0' else '1'}", "the transaction ID is forged"),
        ("tid={transaction_id}", "the transaction ID is malformed"),
        ("transaction_id=", "the transaction ID is missing"),
        ("offer_id=7", "the transaction ID is missing"),
        ("transaction_id=" + "u" * 32, "the transaction ID is malformed"),
    ],
)
async def test_what_can_belong_to_nothing_is_refused(bad: str, detail: str) -> None:
    bench, verdict = await stated(bad)
    assert verdict == {
        "status": 400,
        "outcome": "refused",
        "reason": Reason.INVALID_TRANSACTION_ID,
        "sentence": detail,
        "receipt": "",
        "problems": [],
    }
    assert bench.facts() == []
    assert [refusal.detail for refusal in bench.kafka.refusals()] == [detail]


async def test_an_id_of_a_key_that_is_not_here_yet_is_unavailable_for_servers_and_kept_for_browsers() -> None:
    unknown = new_id(keyring=NEWER)
    bench, verdict = await stated(f"transaction_id={unknown}")
    assert (verdict["status"], verdict["outcome"], bench.facts()) == (503, "unavailable", [])
    for path in ("/pixel", "/iframe"):
        bench, found = await stated(f"transaction_id={unknown}", path)
        assert found["status"] == 200
        assert [(fact.transaction_id, fact.problems) for fact in bench.facts()] == [(unknown, (UNVERIFIED,))]


@pytest.mark.parametrize(
    ("query", "field", "kept", "problem"),
    [
        ("amount=abc", "sale_amount", None, "amount: no amount: 'abc'"),
        ("amount=-1", "sale_amount", None, "amount: negative amount '-1'"),
        ("amount=NaN", "sale_amount", None, "amount: no amount: 'NaN'"),
        ("currency=EURO", "sale_currency", "", "currency: not an ISO 4217 code: 'EURO'"),
        ("ip=none", "conversion_ip", "", "ip: no IP address"),
        ("offer_id=seven", "offer_id", 0, "offer_id: no ID: 'seven'"),
        ("datetime=soon", "occurred_at", "2026-11-23T12:00:00.000Z", "datetime: neither"),
        (
            f"order_id={'x' * 501}",
            "conversion_unique_id",
            "x" * 500,
            "conversion_unique_id: cut at 500 characters",
        ),
    ],
)
async def test_what_will_not_count_as_sent_is_named_and_the_rest_is_a_fact(
    query: str, field: str, kept: object, problem: str
) -> None:
    bench, verdict = await stated(f"transaction_id={ID}&{query}")
    (fact,) = bench.facts()
    assert (verdict["status"], verdict["outcome"]) == (200, "accepted")
    assert isinstance(verdict["problems"], list)
    assert [each.startswith(problem) for each in verdict["problems"]] == [True]
    assert list(fact.problems) == verdict["problems"]
    assert getattr(fact, field) == kept


@pytest.mark.parametrize(
    ("query", "goal", "goal_id"),
    [
        ("", "", 0),
        ("goal_id=0", "0", 0),
        ("goal_id=12", "12", 12),
        ("goal_id=77", "77", 77),
        ("goal=lead&offer_id=7", "lead", 12),
        ("goal=lead", "lead", GOAL_UNRESOLVED),
        ("goal=lead&offer_id=99", "lead", GOAL_UNRESOLVED),
        ("event_id=other&offer_id=7", "other", GOAL_UNRESOLVED),
        ("goal_id=99999999999", "99999999999", GOAL_UNRESOLVED),
    ],
)
async def test_an_unknown_goal_is_never_goal_0(query: str, goal: str, goal_id: int) -> None:
    bench, _ = await stated(f"transaction_id={ID}&{query}")
    assert [(fact.goal, fact.goal_id) for fact in bench.facts()] == [(goal, goal_id)]


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("offer_id=99", ("offer_id: no such offer: 99",)),
        ("offer_id=7&goal=other", ("goal_id: offer 7 has no goal 'other': it will be rejected",)),
        ("offer_id=7&goal_id=77", ("goal_id: offer 7 has no goal '77': it will be rejected",)),
        ("offer_id=7&goal=LEAD", ()),
        ("goal=other", ()),
        ("offer_id=7&status=fine", ("status: 'fine' is no word of advertiser 1: it will be pending",)),
        ("advertiser_id=1&status=fine", ("status: 'fine' is no word of advertiser 1: it will be pending",)),
        ("offer_id=7&status=Approved", ()),
        ("status=fine", ()),
    ],
)
async def test_a_name_that_the_catalog_does_not_have_is_named_where_the_offer_is(
    query: str, problems: tuple[str, ...]
) -> None:
    """Without `offer_id` a random ID's offer is the click's, which only the joiner knows."""
    bench, verdict = await stated(f"transaction_id={ID}&{query}")
    assert verdict["problems"] == list(problems)
    assert [fact.problems for fact in bench.facts()] == [problems]


async def test_a_shared_id_names_its_offer_itself() -> None:
    bench, _ = await stated(f"transaction_id={shared_id.affiliate(7, 42)}&goal=other")
    assert [fact.problems for fact in bench.facts()] == [
        ("goal_id: offer 7 has no goal 'other': it will be rejected",)
    ]


async def test_an_amount_in_a_currency_that_nobody_knows_does_not_count() -> None:
    """In the payout's currency, as one without a currency, 10000 "YEN" would be 10000 dollars."""
    bench, verdict = await stated(f"transaction_id={ID}&amount=10000&currency=YEN")
    (fact,) = bench.facts()
    assert (fact.sale_amount, fact.sale_currency) == (None, "")
    assert verdict["problems"] == ["currency: not an ISO 4217 code: 'YEN', so the amount does not count"]


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("", ("datetime: without a zone or an offer: read in UTC",)),
        ("&offer_id=7", ()),
        ("&advertiser_id=1", ()),
        ("Z", ()),
        ("%2B01:00", ()),
    ],
)
async def test_a_time_whose_zone_is_guessed_is_named(query: str, problems: tuple[str, ...]) -> None:
    """The edge does not know the click's advertiser, whose zone may be another than the network's."""
    bench, _ = await stated(f"transaction_id={ID}&datetime=2026-11-23T10:00:00{query}")
    assert [fact.problems for fact in bench.facts()] == [problems]


@pytest.mark.parametrize(
    ("stated_test", "test", "problems"),
    [
        ("1", True, ()),
        ("TRUE", True, ()),
        ("0", False, ()),
        ("false", False, ()),
        ("", False, ()),
        ("2", False, ("test: neither 1 nor 0: '2'",)),
    ],
)
async def test_a_test_says_so_plainly(stated_test: str, test: bool, problems: tuple[str, ...]) -> None:  # noqa: FBT001  the expected value
    bench, _ = await stated(f"transaction_id={ID}&test={stated_test}")
    assert [(fact.test, fact.problems) for fact in bench.facts()] == [(test, problems)]


async def test_only_a_server_may_say_when_it_happened() -> None:
    bench, _ = await stated(f"transaction_id={ID}&datetime=2026-11-23+10:00:00", "/pixel")
    (fact,) = bench.facts()
    assert (fact.occurred_at, fact.problems) == (fact.received_at, ("datetime: only a server may state it",))


async def test_a_user_id_is_hashed_and_its_own_text_is_nowhere() -> None:
    first, _ = await stated(f"transaction_id={ID}&user_id=alice")
    again, _ = await stated(f"transaction_id={ID}&user_id=alice")
    other, _ = await stated(f"transaction_id={ID}&user_id=bob")
    a, b, c = (bench.facts()[0].user_id for bench in (first, again, other))
    assert a == b != c
    assert len(a) == 36
    assert b"alice" not in first.records()[0][2]


async def test_two_different_values_for_one_field_are_refused() -> None:
    bench, verdict = await stated(f"transaction_id={ID}&amount=1&amount=2")
    assert (verdict["status"], verdict["reason"]) == (400, Reason.CONFLICTING_VALUES)
    assert bench.facts() == []


async def test_a_pixel_is_always_the_gif_and_its_status_tells_the_truth() -> None:
    for query, status in ((f"transaction_id={ID}", 200), ("transaction_id=x", 400), ("offer_id=99", 404)):
        bench = Bench()
        found = await bench.edge.answer(get(f"/pixel?{query}"))
        assert (found.status, found.body[:6], found.headers["Content-Type"]) == (
            status,
            b"GIF89a",
            "image/gif",
        )
        assert [isinstance(fact, Pixel) for fact in bench.facts()] == ([True] if status == 200 else [])


async def test_without_an_id_a_pixel_takes_this_browser_s_last_click_of_the_offer() -> None:
    remembered = cookie(Entry("v", 7, new_id(1, 9)), Entry("c", 9, new_id(2, 8)), Entry("c", 7, ID))
    for query, wanted in (
        ("offer_id=7", ID),
        ("advertiser_id=1", ID),
        ("adv_id=2", new_id(2, 8)),
        ("offer_id=7&transaction_id=", ID),
    ):
        bench = Bench()
        found = await bench.edge.answer(get(f"/iframe?{query}", Cookie=remembered))
        assert found.status == 200
        assert [fact.transaction_id for fact in bench.facts()] == [wanted]


@pytest.mark.parametrize(
    "query", ["", "offer_id=8", "advertiser_id=3", "advertiser_id=0", "transaction_id=x&offer_id=7"]
)
async def test_the_cookie_never_stands_in_for_what_was_not_asked(query: str) -> None:
    bench = Bench()
    found = await bench.edge.answer(get(f"/pixel?{query}", Cookie=cookie(Entry("c", 7, ID))))
    assert (found.status, bench.facts()) == (400, [])


async def test_a_postback_has_no_use_for_a_cookie() -> None:
    bench = Bench()
    found = await bench.edge.answer(get("/postback?offer_id=7", Cookie=cookie(Entry("c", 7, ID))))
    assert found.status == 400


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"tid={ID}&sum=12.10&test=1".encode(), "application/x-www-form-urlencoded"),
        (
            f'{{"tid":"{ID}","sum":12.10,"test":true,"status":null}}'.encode(),
            "application/json; charset=utf-8",
        ),
        (f'{{"tid":"{ID}","sum":"12.10","test":1}}'.encode(), ""),
    ],
)
async def test_a_postback_may_come_as_a_form_or_as_json(body: bytes, kind: str) -> None:
    bench = Bench()
    found = await bench.edge.answer(post("/postback?order_id=A", body, kind))
    assert found.status == 200
    (fact,) = bench.facts()
    assert (fact.sale_amount, fact.test, fact.conversion_unique_id) == (Decimal("12.10"), True, "A")


async def test_two_different_values_for_one_member_of_a_json_object_are_refused() -> None:
    bench = Bench()
    body = f'{{"tid":"{ID}","amount":1,"amount":2}}'.encode()
    found = await bench.edge.answer(post("/postback", body, "application/json"))
    assert (found.status, msgspec.json.decode(found.body)["reason"]) == (400, Reason.CONFLICTING_VALUES)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[1]", "application/json"),
        (b'{"a":NaN}', "application/json"),
        (b'{"a":', "application/json"),
        (b'{"tid":{"a":1}}', "application/json"),
        (b'{"a":"\\ud800"}', "application/json"),
        (b"[" * 5000, "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"x", "multipart/form-data; boundary=x"),
        (b"x", "application/xml"),
    ],
)
async def test_a_body_that_is_no_parameters_is_refused(body: bytes, kind: str) -> None:
    bench = Bench()
    found = await bench.edge.answer(post(f"/postback?transaction_id={ID}", body, kind))
    assert (found.status, msgspec.json.decode(found.body)["reason"]) == (400, Reason.MALFORMED_EVENT)


@pytest.mark.parametrize(
    ("target", "accept", "status", "body"),
    [
        (f"/aff_lsr?transaction_id={ID}", "", 200, b"success=true;\n"),
        ("/aff_lsr?transaction_id=x", "", 400, b"success=false; err_msg=the transaction ID is malformed;\n"),
        (f"/aff_lsr?transaction_id={ID}&format=json", "", 200, b'{"success":true}'),
        (
            "/aff_lsr?transaction_id=x&format=json",
            *("", 400, b'{"success":false,"err_msg":"the transaction ID is malformed"}'),
        ),
        (f"/aff_goal?a=lsr&goal_id=12&transaction_id={ID}", "", 200, b"success=true;\n"),
        (f"/aff_goal?a=l&goal_id=12&transaction_id={ID}", "", 200, b"GIF89a"),
        (f"/aff_goal?goal_id=12&transaction_id={ID}", "", 400, b"success=false; err_msg="),
        (f"/aff_l?transaction_id={ID}", "image/avif,image/*", 200, b"GIF89a"),
        (f"/aff_l?transaction_id={ID}", "text/html,application/xhtml+xml", 200, b"<!doctype html>"),
    ],
)
async def test_hasoffers_paths_answer_as_hasoffers_does(
    target: str, accept: str, status: int, body: bytes
) -> None:
    bench = Bench()
    found = await bench.edge.answer(get(target, Accept=accept))
    assert (found.status, found.body[: len(body)]) == (status, body)
    for fact in bench.facts():
        assert fact.params == {}
        assert fact.goal_id == (12 if "goal_id" in target else 0)
    kinds = [fact.kind for fact in bench.facts()]
    assert kinds == (
        [] if status != 200 else ["iframe" if b"html" in body else "postback" if b"succ" in body else "pixel"]
    )


async def test_aff_l_in_an_iframe_is_an_iframe() -> None:
    bench = Bench()
    await bench.edge.answer(get(f"/aff_l?transaction_id={ID}", Sec_Fetch_Dest="iframe", Accept="*/*"))
    await bench.edge.answer(get(f"/aff_l?transaction_id={ID}", Sec_Fetch_Dest="image", Accept="text/html"))
    assert [fact.kind for fact in bench.facts()] == ["iframe", "pixel"]


@pytest.mark.parametrize("name", ["transaction_id", "tid"])
async def test_an_id_that_nothing_contradicts_is_verified_once(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each look at it is an HMAC, a tenth of what a postback costs."""
    looks: list[str] = []
    check = transaction_id.check
    monkeypatch.setattr(transaction_id, "check", lambda ring, text: looks.append(text) or check(ring, text))
    _, verdict = await stated(f"{name}={ID}&amount=5&order_id=A")
    assert (verdict["outcome"], looks) == ("accepted", [ID])
