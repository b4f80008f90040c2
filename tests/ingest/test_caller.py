"""The caller: an address is believed only from trusted proxies, and read from the right."""

import pytest

from ingest import device
from ingest.caller import Proxies, address, consent
from tests.ingest.fakes import CHROME, WEBKIT, headers

TRUSTED = ("10.0.0.0/8", "::1/128")


def ip(peer: str, forwarded: str | None, proxies: tuple[str, ...] = TRUSTED) -> str:
    more = {} if forwarded is None else {"X_Forwarded_For": forwarded}
    return Proxies(proxies).caller(peer, headers(**more), secure=False).ip


def test_a_stranger_s_x_forwarded_for_is_not_believed() -> None:
    assert ip("198.51.100.7", "203.0.113.9") == "198.51.100.7"
    assert ip("10.1.1.1", "203.0.113.9", ()) == "10.1.1.1"


def test_the_first_from_the_right_that_is_no_proxy_is_the_caller() -> None:
    assert ip("10.1.1.1", "6.6.6.6, 203.0.113.9, 10.2.2.2") == "203.0.113.9"


def test_proxies_all_the_way_down_end_at_the_leftmost() -> None:
    assert ip("10.1.1.1", "10.3.3.3, 10.2.2.2") == "10.3.3.3"


@pytest.mark.parametrize("garbage", ["", "unknown", "6.6.6.6, <script>", ","])
def test_a_hop_that_is_no_address_ends_the_search(garbage: str) -> None:
    assert ip("10.1.1.1", garbage) == "10.1.1.1"


def test_https_and_country_come_from_trusted_proxies_only() -> None:
    stated = headers(X_Forwarded_Proto="https", CF_IPCountry="de", X_Forwarded_For="203.0.113.9")
    behind, straight = (
        Proxies(TRUSTED).caller(peer, stated, secure=False) for peer in ("10.1.1.1", "9.9.9.9")
    )
    assert (behind.secure, behind.country_code) == (True, "DE")
    assert (straight.secure, straight.country_code) == (False, "")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("nonsense", ""),
        ("1" * 100, ""),
        ("", ""),
    ],
)
def test_an_address_has_one_form(text: str, canonical: str) -> None:
    assert address(text) == canonical


def test_the_rest_of_the_caller_is_taken_and_bounded() -> None:
    stated = headers(
        Referer="https://blog.example/?q=me%40home.example", Sec_CH_UA='"Chromium";v="140"', Sec_GPC="1"
    )
    found = Proxies(()).caller("198.51.100.7", stated, secure=True)
    assert found.referer == "https://blog.example/"
    assert found.client_hints == {"Sec-CH-UA": '"Chromium";v="140"'}
    assert (found.language, found.opts_out, found.secure) == ("de-DE", True, True)
    endless = Proxies(()).caller("", headers(User_Agent="x" * 5000, Accept_Language="?;" * 99), secure=False)
    assert (len(endless.user_agent), endless.language, endless.ip) == (1000, "", "")


def test_consent_is_kept_as_stated() -> None:
    values = {"gdpr": "1", "gdpr_consent": "CPx", "offer_id": "7"}
    assert consent(values, opts_out=True) == "gdpr=1;gdpr_consent=CPx;gpc=1"
    assert consent({}, opts_out=False) == ""


PHONE = (
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) {WEBKIT} Version/17.0 Mobile/15E148 Safari/604.1"
)
TABLET = f"Mozilla/5.0 (Linux; Android 13; SM-X200) {WEBKIT} Chrome/140.0.0.0 Safari/537.36"
SPIDER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("user_agent", "found"),
    [
        (CHROME, ("desktop", "Windows", "Chrome", False)),
        (PHONE, ("mobile", "iOS", "Mobile Safari", False)),
        (TABLET, ("tablet", "Android", "Chrome", False)),
        (SPIDER, ("bot", "", "Googlebot", True)),
        ("", ("", "", "", False)),
    ],
)
def test_a_device_is_what_its_user_agent_says(user_agent: str, found: tuple[str, str, str, bool]) -> None:
    read = device.read(user_agent)
    assert (read.device_type, read.device_os, read.browser, read.is_bot) == found
