"""Macros: known when the catalog is applied, and no value ever leaves its place in the URL."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import macros
from schemas.macros import compile_template, fill

URL = "https://shop.example/l/{aff_sub2}/p?tid={transaction_id}&s={aff_sub}#{aff_sub3}"
# Characters that end one place and begin another, oftener than chance would draw them.
NASTY = st.text(
    st.one_of(st.sampled_from("\r\n&#/%?=+{}.\\;: \0'\"<>@ü"), st.characters(exclude_categories=["Cs"]))
)


def test_values_stand_in_their_places_and_missing_ones_are_empty():
    values = {"transaction_id": "06h0", "aff_sub": "a b", "aff_sub2": "x/y"}
    assert fill(compile_template(URL), values) == "https://shop.example/l/x%2Fy/p?tid=06h0&s=a%20b#"


@given(path=NASTY, query=NASTY, other=NASTY, fragment=NASTY)
@example(path="..", query="&tid=1", other="a\r\nSet-Cookie: x=1", fragment="{payout}")
@example(path=".", query="%26", other="+", fragment="%")
def test_a_value_never_leaves_its_place_and_arrives_as_it_was(
    path: str, query: str, other: str, fragment: str
):
    url = fill(
        compile_template(URL),
        {"aff_sub2": path, "transaction_id": query, "aff_sub": other, "aff_sub3": fragment},
    )
    assert url.isascii()
    assert not set(url) & set('\r\n {}\\"<>')
    parts = urlsplit(url)
    _, _, place, _ = segments = parts.path.split("/")
    assert (parts.scheme, parts.netloc, segments) == ("https", "shop.example", ["", "l", place, "p"])
    assert unquote(place) == (path if path.strip(".") else "")
    assert parse_qsl(parts.query, keep_blank_values=True) == [("tid", query), ("s", other)]
    assert unquote(parts.fragment) == fragment


def test_a_dot_segment_cannot_be_made_of_values():
    template = compile_template("https://shop.example/a/{aff_sub}{aff_sub2}/b")
    assert fill(template, {"aff_sub": ".", "aff_sub2": "."}) == "https://shop.example/a//b"


def test_nothing_is_expanded_twice():
    template = compile_template("https://shop.example/?a={aff_sub}&b={aff_sub2}")
    filled = fill(template, {"aff_sub": "{aff_sub2}", "aff_sub2": "deep"})
    assert filled == "https://shop.example/?a=%7Baff_sub2%7D&b=deep"


def test_what_utf8_cannot_carry_becomes_a_question_mark():
    assert fill(compile_template("https://h/?a={aff_sub}"), {"aff_sub": "\udc80"}) == "https://h/?a=%3F"


def test_an_alias_shows_the_value_of_its_macro():
    template = compile_template("https://h/?{sub1}&{sub5}&{aff_id}&{event_id}")
    assert template.names == ("aff_sub", "aff_sub5", "affiliate_id", "goal_id")
    assert (
        fill(template, {"aff_sub": "1", "aff_sub5": "5", "affiliate_id": "42", "goal_id": "7"})
        == "https://h/?1&5&42&7"
    )


def test_params_are_whole_parameters_and_param_is_one_value():
    template = compile_template("https://h/?a=1&{params}&z={param:z-1}")
    params = {"b": "2&3", "c=d": "", "z-1": "Z"}
    assert fill(template, {}, params) == "https://h/?a=1&b=2%263&c%3Dd=&z-1=Z&z=Z"
    assert fill(template, {}) == "https://h/?a=1&&z="


def test_the_host_of_a_template_is_known_before_it_is_filled():
    assert compile_template("HTTPS://Shop.Example:8443/{aff_sub}").host == "shop.example"


@pytest.mark.parametrize("name", [*macros.NAMES, *macros.ALIASES, "params", "param:x"])
def test_every_macro_of_the_vocabulary_compiles(name: str):
    place = "" if name == "params" else "a="
    assert compile_template(f"https://h/?{place}{{{name}}}").names


def test_the_macros_are_the_vocabularys():
    listed = """
        params param: sub1 sub2 sub3 sub4 sub5 transaction_id offer_id offer_name offer_ref
        affiliate_id aff_id affiliate_name affiliate_ref advertiser_id advertiser_ref source aff_sub
        aff_sub2 aff_sub3 aff_sub4 aff_sub5 aff_click_id aff_unique1 aff_unique2 aff_unique3
        aff_unique4 aff_unique5 goal_id adv_sub adv_sub2 adv_sub3 adv_sub4 adv_sub5 payout
        sale_amount currency status conversion_id goal_name event_id offer_url_id creative_id ip
        session_ip country_code device_os device_brand user_agent date time datetime timestamp ran
    """
    assert {*macros.NAMES, *macros.ALIASES, macros.PARAMS, macros.PARAM} == set(listed.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://h/{affsub}", r"unknown macro \{affsub\}: did you mean \{aff_sub\}"),
        ("https://h/{TRANSACTION_ID}", r"did you mean \{transaction_id\}"),
        ("https://h/{qqqq}", r"unknown macro \{qqqq\}$"),
        ("https://h/{}", "unknown macro"),
        ("https://h/{param:}", "no parameter name"),
        ("https://h/{param:a b}", "no parameter name"),
        ("https://h/{aff_sub", "belongs to no macro"),
        ("https://h/aff_sub}", "belongs to no macro"),
        ("https://h/{{aff_sub}}", "belongs to no macro"),
        ("https://{aff_sub}/", "cannot stand in scheme, host or port"),
        ("https://h{aff_sub}/", "cannot stand in scheme, host or port"),
        ("https://h:{aff_sub}/", "cannot stand in scheme, host or port"),
        ("https://{aff_sub}.h/", "cannot stand in scheme, host or port"),
        ("{aff_sub}", "cannot stand in scheme, host or port"),
        ("javascript:alert(1)//{aff_sub}", "absolute URL"),
        ("//h/", "absolute URL"),
        ("ftp://h/", "absolute URL"),
        ("", "absolute URL"),
        ("https://user@h/", "not a host"),
        ("https://h:x/", "not a host"),
        ("https://h\\@evil/", "percent-encoded"),
        ("https://h/a b", "percent-encoded"),
        ("https://h/\r\nX: y", "percent-encoded"),
        ("https://h/ü", "percent-encoded"),
        ("https://h/%zz", "percent-encoding"),
        ("https://h/%{aff_sub}", "percent-encoding"),
        ("https://h/{params}", "whole parameters"),
        ("https://h/?a={params}", "whole parameters"),
        ("https://h/?{params}a", "whole parameters"),
        ("https://h/" + "a" * 4096, "longer than"),
    ],
)
def test_a_template_that_could_go_wrong_is_refused_when_it_is_compiled(text: str, why: str):
    with pytest.raises(ValueError, match=why):
        compile_template(text)


def test_times_are_utc_in_the_forms_of_the_vocabulary():
    assert macros.time_values(1_795_402_500_123) == {
        "date": "2026-11-23",
        "time": "02:55:00",
        "datetime": "2026-11-23 02:55:00",
        "timestamp": "1795402500",
    }
