"""Proof: what a request shows, whose it is, and what is said where it shows too little."""

import json
from hashlib import sha256
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from ingest import proving
from ingest.proving import Proofs
from ingest.request import Knowledge
from schemas import catalog_secrets, signature
from schemas.catalog import Advertiser, Catalog, Key, PostbackProofs
from schemas.catalog_secrets import published_token
from schemas.facts import Observation
from tests.ingest.fakes import CATALOG, KNOWN, NOW_MS, Bench, get, new_id

TOKEN, FILED = "the shop's own static token", "the token in a file"
NOW_S = NOW_MS // 1000
SECRETS = {"env:K1": b"the shop's first key", "env:K2": b"the shop's second key", "file:/t": FILED.encode()}
SHOP = PostbackProofs(
    keys=tuple(
        Key(id=name, secret=f"env:{where}") for name, where in (("k1", "K1"), ("k.2", "K2"), ("gone", "GONE"))
    ),
    token=published_token(TOKEN),
    allow_from=("203.0.113.0/24", "2001:db8::/32"),
)
BOOKS = PostbackProofs(token="file:/t", allow_from=("203.0.113.64/26",))  # noqa: S106  where it lies


def knowing(*advertisers: Advertiser, proof: str = "") -> Knowledge:
    catalog = replace(
        CATALOG,
        advertisers=advertisers,
        offers=tuple(replace(offer, proof=proof) for offer in CATALOG.offers),
    )
    version = replace(KNOWN.catalog, catalog=catalog)
    return replace(KNOWN, catalog=version, proofs=Proofs(catalog, SECRETS.get))


SHOPS = knowing(Advertiser(id=1, name="Shoes", postback=SHOP), Advertiser(id=2, name="Books", postback=BOOKS))
ELSEWHERE, AT_SHOP, AT_BOTH = "198.51.100.7", "203.0.113.5", "203.0.113.70"


def signed(
    pairs: dict[str, object], key_id: str = "k1", key: bytes = SECRETS["env:K1"], at: int = NOW_S
) -> str:
    stated = [(name, str(value)) for name, value in pairs.items()]
    mac = signature.mac(key, signature.canonical(stated, at))
    return urlencode({**pairs, "sig": f"{key_id}.{at}.{mac}"})


async def shown(
    query: str, ip: str = ELSEWHERE, path: str = "/postback", known: Knowledge = SHOPS
) -> tuple[Observation, list[str]]:
    """The fact of a request, and the problems that its verdict named."""
    bench = Bench(known)
    found = await bench.edge.answer(replace(get(f"{path}?{query}"), peer=ip))
    (fact,) = bench.facts()
    problems = json.loads(found.body)["problems"] if path == "/postback" else [*fact.problems]
    assert (found.status, [*fact.problems]) == (200, problems)
    return fact, problems


async def proven(query: str, **more: object) -> tuple[str, tuple[int, ...]]:
    fact, problems = await shown(query, **more)  # type: ignore[arg-type]
    assert problems == []
    return fact.proven_by, fact.proven_for


OWN = {"tid": new_id()}
NOTHING = ("", ())


@pytest.mark.parametrize("named", [{}, {"offer_id": 7}, {"advertiser_id": 1}])
async def test_a_token_proves_whether_or_not_the_offer_is_named(named: dict[str, int]) -> None:
    known = knowing(*SHOPS.catalog.catalog.advertisers, proof="token")
    assert await proven(urlencode({**OWN, **named, "security_token": TOKEN}), known=known) == ("token", (1,))


@pytest.mark.parametrize("alias", ["secure", "verification_token"])
async def test_a_token_behind_a_reference_is_the_secret_there(alias: str) -> None:
    assert await proven(urlencode({**OWN, alias: FILED})) == ("token", (2,))


async def test_a_token_of_two_advertisers_is_both_s() -> None:
    both = replace(BOOKS, token=published_token(TOKEN))
    known = knowing(SHOPS.catalog.catalog.advertisers[0], Advertiser(id=2, name="B", postback=both))
    assert await proven(urlencode({**OWN, "security_token": TOKEN}), known=known) == ("token", (1, 2))


async def test_another_advertiser_s_token_proves_nothing_for_the_one_that_is_named() -> None:
    fact, problems = await shown(urlencode({**OWN, "offer_id": 7, "security_token": FILED}))
    assert (fact.proven_by, fact.proven_for, problems[0]) == (
        *NOTHING,
        "security_token: wrong token of advertiser 1",
    )


@pytest.mark.parametrize("token", ["wrong", "sha256:" + "0" * 64, "file:/t", published_token(TOKEN), "ü"])
async def test_a_wrong_token_is_a_problem_and_the_fact_is_kept(token: str) -> None:
    fact, problems = await shown(urlencode({**OWN, "security_token": token}))
    assert (fact.proven_by, fact.proven_for, problems) == (*NOTHING, ["security_token: wrong token"])


async def test_a_token_that_nobody_asks_for_is_no_problem() -> None:
    known = knowing(Advertiser(id=1, name="A"))
    assert await proven(urlencode({**OWN, "offer_id": 7, "security_token": "t"}), known=known) == NOTHING


async def test_a_token_that_this_edge_lacks_is_said_to_be_missing_here() -> None:
    lost = replace(BOOKS, token="env:GONE")  # noqa: S106  where it would lie
    known = knowing(Advertiser(id=1, name="B", postback=lost))
    _, problems = await shown(urlencode({**OWN, "advertiser_id": 1, "security_token": "t"}), known=known)
    assert problems == ["security_token: the token of advertiser 1 is not at hand on this edge"]


@pytest.mark.parametrize("named", [{}, {"offer_id": 7}])
async def test_a_signature_proves_and_names_its_key(named: dict[str, int]) -> None:
    assert await proven(signed({**OWN, **named, "amount": "9,90", "x": "ü &"})) == ("signature:k1", (1,))
    assert await proven(signed({**OWN, **named}, "k.2", SECRETS["env:K2"])) == ("signature:k.2", (1,))


async def test_a_signed_request_may_be_encoded_anew_and_its_parameters_reordered() -> None:
    parts = signed({**OWN, "adv_sub": "a b"}).split("&")
    assert (await proven("&".join(reversed(parts)).replace("a+b", "a%20%62")))[0] == "signature:k1"


async def test_a_signature_covers_a_body_and_hasoffers_own_parameters_are_none() -> None:
    bench = Bench(SHOPS)
    query = signed({**OWN, "amount": 5})
    form = get("/aff_lsr?format=json", Content_Type="application/x-www-form-urlencoded")
    await bench.edge.answer(replace(form, method="POST", body=query.encode()))
    assert bench.facts()[0].proven_by == "signature:k1"


@pytest.mark.parametrize("changed", ["&amount=6", "&y=1", "&offer_id=7"])
async def test_a_signed_request_that_was_changed_proves_nothing(changed: str) -> None:
    fact, problems = await shown(signed({**OWN, "x": 1}) + changed)
    assert (fact.proven_by, problems[0]) == ("", "sig: wrong signature")


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        (NOW_S - 301, "sig: signed 301 s ago, and 300 s is what may be"),
        (NOW_S + 301, "sig: signed 301 s ahead, and 300 s is what may be"),
    ],
)
async def test_outside_the_replay_window_a_signature_is_stale(at: int, problem: str) -> None:
    fact, problems = await shown(signed(OWN, at=at))
    assert (fact.proven_by, problems) == ("", [problem])


@pytest.mark.parametrize("at", [NOW_S - 300, NOW_S + 300])
async def test_at_the_edge_of_the_window_it_counts(at: int) -> None:
    assert (await proven(signed(OWN, at=at)))[0] == "signature:k1"


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (signed(OWN, "k9"), "sig: unknown key 'k9'"),
        (signed({**OWN, "offer_id": 9}), "sig: unknown key 'k1' of advertiser 2"),
        (signed(OWN, "gone"), "sig: the key 'gone' is not at hand on this edge"),
        (signed(OWN, key=SECRETS["env:K2"]), "sig: wrong signature"),
        (urlencode({**OWN, "sig": "00ff"}), "sig: not of the form KEY.TIMESTAMP.MAC"),
    ],
)
async def test_each_fault_of_a_signature_has_its_own_words(query: str, problem: str) -> None:
    fact, problems = await shown(query)
    assert (fact.proven_by, fact.proven_for, problems[0]) == (*NOTHING, problem)


async def test_a_key_s_name_that_many_have_needs_the_advertiser() -> None:
    many = [Advertiser(id=n, name=f"A{n}", postback=SHOP) for n in range(1, proving.MAX_KEYS + 2)]
    known = knowing(*many)
    fact, problems = await shown(signed(OWN), known=known)
    assert (fact.proven_by, problems[0].partition(":")[0]) == ("", "sig")
    assert await proven(signed({**OWN, "advertiser_id": 3}), known=known) == ("signature:k1", (3,))


async def test_of_several_proofs_the_strongest_counts() -> None:
    assert (await proven(signed({**OWN, "security_token": TOKEN}), ip=AT_SHOP))[0] == "signature:k1"
    assert await proven(urlencode({**OWN, "security_token": TOKEN}), ip=AT_SHOP) == ("token", (1,))


async def test_beside_a_stale_signature_a_good_token_still_proves() -> None:
    fact, problems = await shown(signed({**OWN, "security_token": TOKEN}, at=1))
    assert (fact.proven_by, len(problems)) == ("token", 1)


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        (AT_SHOP, ("allow_from", (1,))),
        (AT_BOTH, ("allow_from", (1, 2))),
        ("2001:db8::1", ("allow_from", (1,))),
        ("::ffff:203.0.113.5", ("allow_from", (1,))),
        (ELSEWHERE, NOTHING),
        ("", NOTHING),
    ],
)
async def test_an_address_proves_for_whoever_has_it_on_the_list(
    ip: str, expected: tuple[str, tuple[int, ...]]
) -> None:
    assert await proven(urlencode(OWN), ip=ip) == expected


async def test_an_address_proves_for_the_named_one_alone() -> None:
    assert await proven(urlencode({**OWN, "advertiser_id": 2}), ip=AT_BOTH) == ("allow_from", (2,))
    assert await proven(urlencode({**OWN, "advertiser_id": 2}), ip=AT_SHOP) == NOTHING


async def test_a_forwarded_address_proves_only_where_a_proxy_of_ours_says_so() -> None:
    for proxies, expected in (((), ""), ((f"{ELSEWHERE}/32",), "allow_from")):
        bench = Bench(SHOPS, proxies=proxies)
        await bench.edge.answer(get(f"/postback?{urlencode(OWN)}", X_Forwarded_For=AT_SHOP))
        assert bench.facts()[0].proven_by == expected


@pytest.mark.parametrize("path", ["/pixel", "/iframe"])
async def test_a_browser_proves_by_token_and_by_its_address_only_for_whom_it_names(path: str) -> None:
    assert await proven(urlencode({**OWN, "security_token": TOKEN}), path=path) == ("token", (1,))
    assert await proven(urlencode(OWN), path=path, ip=AT_SHOP) == NOTHING


@pytest.mark.parametrize(
    ("proof", "query", "lacks"),
    [
        ("", OWN, "signature"),
        ("token", OWN, "token"),
        ("allow_from", OWN, "allow_from"),
        ("none", OWN, ""),
        ("token", {**OWN, "security_token": TOKEN}, ""),
        ("signature", {**OWN, "security_token": TOKEN}, "signature"),
        ("allow_from", {**OWN, "security_token": TOKEN}, ""),
    ],
)
async def test_a_postback_that_proves_too_little_for_its_offer_is_told_so(
    proof: str, query: dict[str, object], lacks: str
) -> None:
    known = knowing(*SHOPS.catalog.catalog.advertisers, proof=proof)
    fact, problems = await shown(urlencode({**query, "offer_id": 7}), known=known)
    shows = fact.proven_by or "nothing"
    assert problems == ([f"proof: offer 7 asks for {lacks}, and the request proves {shows}"] if lacks else [])
    assert await shown(urlencode({**query, "offer_id": 7}), path="/pixel", known=known)


async def test_neither_token_nor_signature_lie_in_the_journal() -> None:
    bench = Bench(SHOPS)
    query = signed({**OWN, "Security_Token": TOKEN, "security_token": TOKEN})
    await bench.edge.answer(get(f"/postback?{query}"))
    await bench.edge.answer(get(f"/postback?{query.replace('tid', 'tid=' + '0' * 32 + '&no')}"))
    written = b"".join(value for _, _, value in bench.records())
    assert TOKEN.encode() not in written
    assert query.rpartition(".")[2].encode() not in written


CLAIM = proving.Claim([], {}, None, "", NOW_MS, is_server=True)


def salted(advertiser_id: int) -> str:
    """The token as earlier catalogs published it."""
    return (
        "sha256:"
        + sha256(b"roundtrip token of advertiser %d:%b" % (advertiser_id, TOKEN.encode())).hexdigest()
    )


def test_a_made_up_token_is_held_against_no_advertiser_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs does not grow with the advertisers: else a flood of them would."""
    held: list[int] = []
    compared = catalog_secrets.matches_token
    monkeypatch.setattr(
        catalog_secrets, "matches_token", lambda *given: held.append(given[0]) or compared(*given)
    )
    many = [
        Advertiser(id=n, name="A", postback=PostbackProofs(token=published_token(f"the token of {n}")))
        for n in range(1, 101)
    ]
    proofs = Proofs(Catalog(advertisers=(*many, replace(many[0], id=101, postback=BOOKS))), SECRETS.get)
    for made_up in ("made up", published_token("the token of 1"), "file:/t", "", "\ud800"):
        assert proofs.of(CLAIM._replace(values={"security_token": made_up}), []).proven_by == ""
    assert held == []
    for token, owner in (("the token of 70", 70), (FILED, 101)):
        assert proofs.of(CLAIM._replace(values={"security_token": token}), []).proven_for == (owner,)
    assert held == [70, 101], "who is found is held against the token itself, in constant time"


def test_a_token_that_an_earlier_catalog_published_proves_beside_one_of_today() -> None:
    def of(n: int, token: str) -> Advertiser:
        return Advertiser(id=n, name="A", postback=PostbackProofs(token=token))

    advertisers = (of(1, published_token(TOKEN)), of(2, salted(2)), of(3, salted(4)))
    proofs = Proofs(Catalog(advertisers=advertisers), SECRETS.get)
    for _ in range(2):
        assert proofs.of(CLAIM._replace(values={"security_token": TOKEN}), []).proven_for == (1, 2)


def test_a_flood_of_made_up_tokens_does_not_grow_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_REMEMBERED", 10)
    shop = Advertiser(id=1, name="A", postback=PostbackProofs(token=salted(1)))
    proofs = Proofs(Catalog(advertisers=(shop,)), SECRETS.get)
    for n in range(100):
        proofs.of(CLAIM._replace(values={"security_token": f"made up {n}"}), [])
    assert len(proofs._owners) <= 10
    assert proofs.of(CLAIM._replace(values={"security_token": TOKEN}), []).proven_for == (1,)
