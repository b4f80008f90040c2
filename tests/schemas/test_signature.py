"""Signatures: one canonical form, and the example that integrators are given."""

import hashlib
import hmac
import re
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from schemas.signature import Signature, canonical, is_genuine, mac, read

PAGE = (Path(__file__).parents[2] / "docs" / "integration.md").read_text("utf-8")
KEY = b"a secret of the shop, 32 bytes.."


def test_what_is_signed_is_sorted_encoded_and_lacks_the_signature_itself():
    pairs = [("b", "2 & 3"), ("a", "ü/~"), ("sig", "x"), ("a", ""), ("B", "1")]
    assert canonical(pairs, 17) == b"17\nB=1&a=&a=%C3%BC%2F~&b=2%20%26%203"


def test_the_order_in_which_parameters_are_sent_is_no_matter():
    pairs = [("a", "1"), ("b", "2"), ("a", "0")]
    assert canonical(pairs, 1) == canonical(reversed(pairs), 1)


def test_nothing_runs_together():
    assert canonical([("a", "1&b=2")], 1) != canonical([("a", "1"), ("b", "2")], 1)
    assert canonical([("a", "b=c")], 1) != canonical([("a=b", "c")], 1)


def test_the_mac_is_hmac_sha256_of_exactly_this():
    message = canonical([("a", "1")], 1)
    assert mac(KEY, message) == hmac.new(KEY, b"1\na=1", hashlib.sha256).hexdigest()
    assert is_genuine(KEY, message, mac(KEY, message))
    assert not is_genuine(KEY, message, mac(KEY, message)[:-1])
    assert not is_genuine(KEY + b"x", message, mac(KEY, message))
    assert not is_genuine(KEY, message, "ü")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k1.1795435200.AB", Signature("k1", 1795435200, "ab")),
        ("key.of.2026.1795435200.ab", Signature("key.of.2026", 1795435200, "ab")),
        ("k1.1795435200", None),
        (".1795435200.ab", None),
        ("k1.soon.ab", None),
        ("k1.-1.ab", None),
        ("k1.999999999999.ab", None),
        ("k1.².ab", None),
        ("", None),
    ],
)
def test_a_signature_names_its_key_and_its_moment(text: str, expected: Signature | None):
    assert read(text) == expected


def test_the_example_of_the_integrators_page_is_signed_as_it_says():
    """The page's key, parameters, canonical text and signature belong together."""
    example = PAGE.split("### An example to test your code with", 1)[1]
    key, query, signed, sig = re.findall(r"^    (\S.*(?:\n    .*)?)$", example, re.MULTILINE)[:4]
    found = read(sig)
    assert found is not None
    message = canonical(parse_qsl(query, keep_blank_values=True), found.signed_s)
    assert message.decode() == signed.replace("\n    ", "\n")
    assert is_genuine(key.encode(), message, found.mac)


def test_the_program_of_the_integrators_page_signs_the_example():
    program = PAGE.split("```python\n", 1)[1].split("```", 1)[0]
    example = PAGE.split("### An example to test your code with", 1)[1]
    key, query, _, sig = re.findall(r"^    (\S.*(?:\n    .*)?)$", example, re.MULTILINE)[:4]
    names: dict[str, object] = {}
    exec(program, names)  # noqa: S102  the page's own text
    found = read(sig)
    assert found is not None
    made = names["signed"](dict(parse_qsl(query)), found.key_id, key, found.signed_s)  # type: ignore[operator]
    assert dict(parse_qsl(made))["sig"] == sig
