"""`catalog check`: every fault has its place and reason, and nothing passes that has one."""

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog_check import check
from schemas.catalog_shape import shaped
from tests.schemas.catalogs import CONTRACT, GOOD

GOAL = '[[offers.goals]]\nid = 0\nname = "sale"'
PERCENT = 'payout = { percent = "8" }'


def complaints(old: str = "", new: str = "", level: str = "error"):
    """(place, reason) of what is wrong with the good catalog after one change."""
    assert old in GOOD
    catalog, found = check(GOOD.replace(old, new, 1) if old else new)
    assert (catalog is None) == any(complaint.level == "error" for complaint in found)
    return [(complaint.place, complaint.reason) for complaint in found if complaint.level == level]


def test_the_good_catalog_has_nothing_to_complain_about():
    catalog, found = check(GOOD)
    assert (catalog is not None, found) == (True, [])


def test_the_contracts_example_is_valid_with_warnings():
    catalog, found = check(CONTRACT)
    assert catalog is not None
    assert [(complaint.level, complaint.place) for complaint in found] == [
        ("warning", "advertisers[0].postback.token"),
        ("warning", "offers[0].goals[0].terms[0].affiliate[0]"),
    ]


def test_what_is_no_toml_says_where():
    catalog, [complaint] = check("[network\n")
    assert (catalog, str(complaint).startswith("error: no TOML: ")) == (None, True)
    assert "line 1" in complaint.reason


def test_a_complaint_names_line_place_and_entry():
    _, [complaint] = check(GOOD.replace(PERCENT, "payout = { percent = 8.5 }"))
    assert (complaint.line, complaint.place, complaint.about) == (
        1 + GOOD[: GOOD.index(PERCENT)].count("\n"),
        "offers[0].goals[0].payout.percent",
        "offer 7",
    )
    assert str(complaint) == (
        "error: offers[0].goals[0].payout.percent (offer 7): "
        'a float is not exact: write the number in quotes, such as "8" or "2.50"'
    )


def test_the_line_is_that_of_the_right_entry_of_many():
    text = GOOD + '\n[[affiliates]]\nid = 1\nname = "one"\n\n[[affiliates]]\nid = 1\nname = "two"\n'
    _, [complaint] = check(text)
    assert (complaint.place, complaint.line) == ("affiliates[2].id", text.rstrip().count("\n"))


def test_every_fault_is_named_at_once_in_the_files_order():
    text = GOOD.replace("tier =", "teir =", 1).replace("id = 3", "id = 0").replace('"random"', '"randon"')
    assert [complaint.place for complaint in check(text)[1]] == [
        "affiliates[0].teir",
        "offers[0].landing_pages[0].id",
        "offers[0].identifier",
    ]


SHAPE = [
    ('ref = "SH-1"', 'reff = "SH-1"', "advertisers[0].reff", "unknown key `reff`: did you mean `ref`?"),
    ("[network]", "[netwerk]", "netwerk", "unknown key `netwerk`: did you mean `network`?"),
    ('name = "Shoes"\n', "", "offers[0]", "`name` is missing"),
    ("id = 7\n", 'id = "7"\n', "offers[0].id", "expected int, got str"),
    ("id = 7\n", "id = 0\n", "offers[0].id", "expected int >= 1"),
    ("id = 7\n", "id = 2147483648\n", "offers[0].id", "expected int <= 2147483647"),
    ("id = 7\n", "id = true\n", "offers[0].id", "expected int, got bool"),
    ("id = 0\n", "id = -1\n", "offers[0].goals[0].id", "expected int >= 0"),
    ('hosts = ["shop.example"]', 'hosts = "shop.example"', "offers[0].hosts", "expected array, got str"),
    ('{ percent = "8" }', '"8"', "offers[0].goals[0].payout", "a table is expected, not a text"),
    (
        'percent = "8"',
        "percent = 8",
        "offers[0].goals[0].payout.percent",
        "a decimal is expected, not a number",
    ),
    ('percent = "8"', 'percent = "8%"', "offers[0].goals[0].payout.percent", "not a decimal number"),
    ('percent = "8"', 'percent = "-8"', "offers[0].goals[0].payout.percent", "not a decimal number"),
    ('rate = "1.10"', "rate = 1.1", "network.rates[0].rate", "a float is not exact"),
    (
        'since = "2026-11-01"',
        'since = "2026-13-01"',
        "network.rates[0].since",
        "Invalid RFC3339 encoded date",
    ),
    (
        '"random"',
        '"randon"',
        "offers[0].identifier",
        "one of random, affiliate is expected, not 'randon': did you mean `random`?",
    ),
    ('"random"', "{ derived = [] }", "offers[0].identifier.derived", "expected array of length >= 1"),
    ('"random"', '{ derived = ["mail"] }', "offers[0].identifier.derived[0]", "one of email"),
    (
        '"random"',
        '{ derived = ["email"], key = "the secret" }',
        "offers[0].identifier.key",
        "must not stand in the catalog",
    ),
    ('"all"', '"everyone"', "offers[0].affiliates", "one of all is expected"),
    ('["postback", "iframe", "pixel"]', "[]", "offers[0].tracking", "expected array of length >= 1"),
    ('["postback", "iframe", "pixel"]', '["gif"]', "offers[0].tracking[0]", "one of postback, iframe, pixel"),
    ('proof = "token"', 'proof = "tokens"', "offers[0].proof", "did you mean `token`?"),
    ('repeat = "once"', 'repeat = "twice"', "offers[0].goals[0].repeat", "one of once, many is expected"),
    ('ok = "approved"', 'ok = "fine"', "advertisers[0].status_words", "Invalid enum value"),
    ('on = ["approved"]', 'on = ["paid"]', "affiliates[0].postbacks[0].on[0]", "one of approved, pending"),
    ('path = "/ABC123/2CTPL"', 'path = "/"', "links[0].path", "expected str of length >= 2"),
]

RULES = [
    ('"Europe/Berlin"\ndefault', '"Europe/Berln"\ndefault', "network.time_zone", "unknown time zone"),
    ('"Europe/Berlin"\ndefault', '"Europe"\ndefault', "network.time_zone", "unknown time zone"),
    ('"Europe/Berlin"\ndefault', '"../etc"\ndefault', "network.time_zone", "unknown time zone"),
    ('"Europe/Berlin"\npostback', '"CE ST"\npostback', "advertisers[0].time_zone", "unknown time zone"),
    ("https://network.example/", "network.example", "network.default_url", "absolute URL"),
    ('from = "EUR"', 'from = "EURO"', "network.rates[0].from", "unknown currency 'EURO'"),
    ('to = "USD"', 'to = "usd"', "network.rates[0].to", "unknown currency 'usd'"),
    ('from = "EUR"', 'from = "USD"', "network.rates[0]", "a rate from USD to itself"),
    ('rate = "1.10"', 'rate = "0.00"', "network.rates[0].rate", "a rate of 0"),
    ('secret = "env:SHOP_KEY"', 'secret = "hunter2"', "advertisers[0].postback.keys[0].secret", "`env:NAME`"),
    ('token = "a', 'token = "env:a', "advertisers[0].postback.token", "names no place of a secret"),
    ("203.0.113.0/24", "203.0.113.1/24", "advertisers[0].postback.allow_from[0]", "has host bits set"),
    ("203.0.113.0/24", "shop.example", "advertisers[0].postback.allow_from[0]", "no network such as"),
    ('ok = "approved"', 'ok = "approved", OK = "pending"', "advertisers[0].status_words.OK", "already at"),
    (
        "{payout}",
        "{pay_out}",
        "affiliates[0].postbacks[0].url",
        "unknown macro {pay_out}: did you mean {payout}?",
    ),
    ('on = ["approved"]', "on = []", "affiliates[0].postbacks[0].on", "name a status"),
    ('on = ["approved"]', "offers = [8]", "affiliates[0].postbacks[0].offers[0]", "there is no offer 8"),
    ('on = ["approved"]', "goals = [9]", "affiliates[0].postbacks[0].goals[0]", "there is no goal 9"),
    (
        "postbacks = [",
        "pixels = [{ url = 'x' }]\npostbacks = [",
        "affiliates[0].pixels[0].url",
        "absolute URL",
    ),
    ("advertiser_id = 1", "advertiser_id = 2", "offers[0].advertiser_id", "there is no advertiser 2"),
    ("&s={aff_sub}", "&s={affsub}", "offers[0].url", "unknown macro {affsub}: did you mean {aff_sub}?"),
    ("https://shop.example/sale", "shop.example/sale", "offers[0].landing_pages[0].url", "absolute URL"),
    ('fallback_url = "https:', 'fallback_url = "ftp:', "offers[0].fallback_url", "absolute URL"),
    ('["shop.example"]', '["https://shop.example/"]', "offers[0].hosts[0]", "no host"),
    ('["shop.example"]', '["Shop.example"]', "offers[0].hosts[0]", "small letters"),
    ('["shop.example"]', '["shop.*"]', "offers[0].hosts[0]", "no host"),
    (
        'affiliates = "all"',
        "affiliates = [{ id = 43 }]",
        "offers[0].affiliates[0].id",
        "there is no affiliate 43",
    ),
    ('click_window = "30d"', 'click_window = "30 days"', "offers[0].click_window", "not a duration"),
    ('view_window = "24h"', 'view_window = "1.5h"', "offers[0].view_window", "not a duration"),
    (
        'click_window = "30d"',
        'click_window = "31d"',
        "offers[0].click_window",
        "longer than 30d",
    ),
    ('view_window = "24h"', 'view_window = "25h"', "offers[0].view_window", "longer than 1d"),
    ('min_time = "0s"', 'min_time = "0"', "offers[0].min_time", "not a duration"),
    ('repeat = "once"', 'dedupe_window = "x"', "offers[0].goals[0].dedupe_window", "not a duration"),
    ('token = "a token of more than sixteen", ', "", "offers[0].proof", "advertiser 1 has no postback.token"),
    ('currency = "USD"', 'currency = "USX"', "offers[0].goals[0].currency", "unknown currency 'USX'"),
    ('currency = "USD"', 'revenue_currency = "USD"', "offers[0].goals[0]", "a payout needs `currency`"),
    ('currency = "USD"', 'payout_currency = "USD"', "offers[0].goals[0]", "a revenue needs `currency`"),
    ('country = ["DE", "AT"]', 'country = "de"', "offers[0].goals[0].terms[1].country[0]", "two capitals"),
    (', payout = { percent = "10" } }', " }", "offers[0].goals[0].terms[1]", "overrides nothing"),
    ("offer_id = 7", "offer_id = 8", "links[0].offer_id", "there is no offer 8"),
    ("affiliate_id = 42", "affiliate_id = 43", "links[0].affiliate_id", "there is no affiliate 43"),
    ("affiliate_id = 42", "affiliate_id = 42\nurl_id = 4", "links[0].url_id", "no landing page 4"),
    ('"/ABC123/2CTPL"', '"/click"', "links[0].path", "the collector's own"),
    ('"/ABC123/2CTPL"', '"/a?b=c"', "links[0].path", "no path"),
    ('"/ABC123/2CTPL"', '"ABC123/2CTPL"', "links[0].path", "no path"),
]

DUPLICATES = [
    (
        '[[advertisers]]\nid = 1\nname = "Other"\npostback = { token = "env:OTHER" }',
        "advertisers[1].id",
        "advertiser 1 is already at advertisers[0].id",
    ),
    (
        '[[affiliates]]\nid = 42\nname = "Other"',
        "affiliates[1].id",
        "affiliate 42 is already at affiliates[0].id",
    ),
    (
        '[[offers]]\nid = 7\nadvertiser_id = 1\nname = "o"\nurl = "https://h/"\nstatus = "paused"',
        "offers[1].id",
        "offer 7 is already at offers[0].id",
    ),
    (
        '[[links]]\npath = "/ABC123/2CTPL"\noffer_id = 7\naffiliate_id = 42',
        "links[1].path",
        "the path /ABC123/2CTPL is already at links[0].path",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "reason"), SHAPE + RULES)
def test_one_fault_is_one_error_with_its_place_and_reason(old: str, new: str, place: str, reason: str):
    [(found_place, found_reason)] = complaints(old, new)
    assert found_place == place
    assert reason in found_reason


@pytest.mark.parametrize(("more", "place", "reason"), DUPLICATES)
def test_an_id_is_given_once(more: str, place: str, reason: str):
    assert complaints(new=f"{GOOD}\n{more}\n") == [(place, reason)]


@pytest.mark.parametrize(
    ("goals", "place", "reason"),
    [
        ([(0, "a", ()), (0, "b", ())], "offers[0].goals[2].id", "the offer's default goal 0 is already at"),
        ([(9, "a", ()), (9, "b", ())], "offers[0].goals[2].id", "goal 9 is already at offers[0].goals[1].id"),
        ([(9, "SALE", ())], "offers[0].goals[1].name", "`sale` names goal 0"),
        ([(9, "a", ("Purchase",))], "offers[0].goals[1].aliases[0]", "`purchase` names goal 0"),
        ([(9, "a", ("0",))], "offers[0].goals[1].aliases[0]", "`0` names goal 0"),
        ([(9, "0", ())], "offers[0].goals[1].name", "`0` names goal 0"),
    ],
)
def test_a_word_names_one_goal_of_an_offer(
    goals: list[tuple[int, str, tuple[str, ...]]], place: str, reason: str
):
    more = "".join(f'[[offers.goals]]\nid = {n}\nname = "{name}"\naliases = {[*a]}\n' for n, name, a in goals)
    assert any(at == place and reason in why for at, why in complaints("[[links]]", f"{more}\n[[links]]"))


def test_a_goal_id_is_unique_over_all_offers_but_for_goal_0():
    offer = '[[offers]]\nid = 8\nadvertiser_id = 1\nname = "o"\nurl = "https://h/"\nproof = "none"\n'
    nine = '[[offers.goals]]\nid = 9\nname = "lead"\n'
    zero = '[[offers.goals]]\nid = 0\nname = "sale"\n'
    text = GOOD.replace("[[links]]", f"{nine}{offer}{zero}{nine}[[links]]")
    assert complaints(new=text) == [("offers[1].goals[1].id", "goal 9 is already at offers[0].goals[1].id")]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("keys = [", 'keys = [{ id = "k1", secret = "env:A" }, ', "keys[1].id"),
        ("landing_pages = [", 'landing_pages = [{ id = 3, url = "https://h/" }, ', "landing_pages[1].id"),
        ('affiliates = "all"', "affiliates = [{ id = 42 }, { id = 42 }]", "affiliates[1].id"),
        ('"random"', '{ derived = ["email", "email"] }', "identifier.derived[1]"),
        ('-01" }]', '-01" }, { from = "EUR", to = "USD", rate = "1", since = 2026-11-01 }]', "rates[1]"),
        ('on = ["approved"] }', 'id = "a" }, { url = "https://t.example/", id = "a" }', "postbacks[1]"),
    ],
)
def test_a_list_has_no_two_of_one_name(old: str, new: str, place: str):
    [(found, reason)] = complaints(old, new)
    assert found.endswith(place)
    assert "is already at" in reason


WARNINGS = [
    ('"a token of more than sixteen"', '"short"', "advertisers[0].postback.token", "can be guessed"),
    (
        "affiliate = 42,",
        "affiliate = 43,",
        "offers[0].goals[0].terms[0].affiliate[0]",
        "there is no affiliate 43",
    ),
    ('{ tier = "gold"', '{ tier = "golden"', "offers[0].goals[0].terms[1].tier", "no affiliate has the tier"),
    ("affiliate = 42, ", "", "offers[0].goals[0].terms[0]", "the terms after it never apply"),
    ('percent = "8"', 'percent = "800"', "offers[0].goals[0].payout.percent", "more than the sale"),
    (
        'currency = "USD"',
        'payout_currency = "EUR"\nrevenue_currency = "USD"',
        "offers[0].goals[0]",
        "a sale in USD has no payout in EUR",
    ),
    ("id = 0\n", "id = 9\n", "offers[0].goals", "has no goal 0"),
    ('name = "sale"', 'name = "sale"\nstatus = "paused"', "offers[0]", "no active goal"),
    ('affiliates = "all"', "affiliates = []", "offers[0].affiliates", "no active affiliate"),
    (
        'affiliates = "all"',
        'affiliates = [{ id = 42, status = "rejected" }]',
        "offers[0].affiliates",
        "no active affiliate",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "reason"), WARNINGS)
def test_what_cannot_work_is_a_warning_and_the_file_stays_valid(old: str, new: str, place: str, reason: str):
    assert any(at == place and reason in why for at, why in complaints(old, new, level="warning"))


def test_a_blocked_affiliate_alone_runs_no_offer():
    found = complaints('status = "active"\ntier', 'status = "blocked"\ntier', level="warning")
    assert ("offers[0].affiliates", "is active but no active affiliate is approved for it") in found
    assert ("links[0]", "affiliate 42 is not approved for offer 7") in found


def test_a_shop_that_is_given_no_id_cannot_post_it_back():
    text = GOOD.replace('["postback", "iframe", "pixel"]', '["postback"]').replace(
        "landing?tid={transaction_id}&", "?"
    )
    assert complaints(new=text, level="warning") == [
        ("offers[0].url", "has no {transaction_id}, so the shop has none to post back")
    ]


def test_a_pixel_cannot_fire_for_offers_that_track_without_an_iframe():
    pixel = GOOD.replace("postbacks = [", 'pixels = [{ url = "https://t.example/" }]\npostbacks = [')
    postback_only = pixel.replace('["postback", "iframe", "pixel"]', '["postback"]')
    assert complaints(new=pixel, level="warning") == []
    [(place, reason)] = complaints(new=postback_only, level="warning")
    assert (place, "(offer 7): use a postback" in reason) == ("affiliates[0].pixels[0]", True)


def test_a_goal_cannot_wait_for_postbacks_that_are_not_tracked():
    text = GOOD.replace('["postback", "iframe", "pixel"]', '["pixel"]').replace('"any"', '"postback"')
    [(place, reason)] = complaints(new=text, level="warning")
    assert (place, "does not track" in reason) == ("offers[0].goals[0].confirm", True)


def test_postbacks_that_prove_nothing_are_named_unless_meant():
    start, end = GOOD.index("postback = {"), GOOD.index("status_words")
    bare = GOOD[:start] + GOOD[end:]
    assert complaints(new=bare.replace('proof = "token"', 'proof = "none"'), level="warning") == []
    [(place, reason)] = complaints(new=bare.replace('proof = "token"\n', ""), level="warning")
    assert (place, "anyone's postback counts" in reason) == ("offers[0].proof", True)


def test_a_paused_offer_need_not_work():
    text = GOOD.replace('status = "active"\nurl', 'status = "paused"\nurl').replace('"all"', "[]")
    assert complaints(new=text.replace("[[links]]", "[[x]]").split("[[x]]")[0], level="warning") == []


def test_where_the_address_is_the_identifier_no_url_can_hold_it():
    text = GOOD.replace('"random"', '{ derived = ["ip"] }').replace("/sale?tid=", "/sale?i={session_ip}&tid=")
    [(place, reason)] = complaints(new=text, level="warning")
    assert (place, reason[:17]) == ("offers[0].landing_pages[0].url", "{ip} stays empty:")


def test_one_value_of_a_terms_condition_needs_no_brackets():
    catalog, _ = check(GOOD)
    one, other = catalog.offer(7).goal(0).terms
    assert (one.affiliate, other.tier, other.country) == ((42,), ("gold",), ("DE", "AT"))


def test_a_date_may_stand_without_quotes():
    assert check(GOOD.replace('since = "2026-11-01"', "since = 2026-11-01")) == check(GOOD)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.sampled_from(
    [
        "network",
        "rates",
        "advertisers",
        "postback",
        "keys",
        "affiliates",
        "postbacks",
        "offers",
        "identifier",
        "goals",
        "terms",
        "payout",
        "percent",
        "id",
        "name",
        "url",
    ]
)
TREES = st.recursive(
    SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(KEYS, of, max_size=6), max_leaves=30
)


@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_no_tree_of_values_raises(tree: dict[str, Any]):
    catalog, faults = shaped(tree)
    assert (catalog is None) == bool(faults)


LINES = GOOD.split("\n")


@settings(max_examples=60)
@given(st.sets(st.integers(0, len(LINES) - 1), max_size=4))
def test_whichever_lines_are_missing_every_fault_is_told_and_nothing_raises(missing: set[int]):
    catalog, found = check("\n".join(line for n, line in enumerate(LINES) if n not in missing))
    assert (catalog is None) == any(complaint.level == "error" for complaint in found)


@settings(max_examples=40)
@given(st.sets(st.integers(0, len(LINES) - 1), max_size=4))
def test_what_the_check_lets_through_decodes_from_its_record(missing: set[int]):
    text = "\n".join(line for n, line in enumerate(LINES) if n not in missing)
    catalog, _ = check(text)
    if catalog is not None:
        tomllib.loads(text)
        assert msgspec.json.decode(msgspec.json.encode(catalog), type=type(catalog)) == catalog


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n"])
def test_an_empty_file_is_an_error_since_it_would_stop_the_network(text: str) -> None:
    catalog, (complaint,) = check(text)
    assert catalog is None
    assert (complaint.level, complaint.place) == ("error", "the file")


def test_a_catalog_without_offers_is_warned_of() -> None:
    catalog, complaints = check('[network]\ntime_zone = "UTC"\n')
    assert catalog is not None
    assert [(one.level, one.reason) for one in complaints] == [
        ("warning", "has no offers: every click is refused")
    ]
