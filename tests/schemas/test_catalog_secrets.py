"""Secrets of the catalog: none is published, each still proves."""

from hashlib import sha256

from schemas.catalog_check import check
from schemas.catalog_secrets import is_hash, is_reference, matches_token, published_token
from schemas.catalog_versions import CatalogVersion, encode_version
from tests.schemas.catalogs import GOOD

TOKEN = "a token of more than sixteen"  # noqa: S105  a test's own


def nowhere(_reference: str):
    return None


def test_a_literal_token_is_published_as_its_hash_and_proves_all_the_same():
    published = published_token(TOKEN)
    assert is_hash(published)
    assert matches_token(1, published, TOKEN, nowhere)
    assert not matches_token(1, published, TOKEN + "x", nowhere)


def test_a_token_as_earlier_catalogs_published_it_still_proves_for_its_advertiser_alone():
    salted = "sha256:" + sha256(b"roundtrip token of advertiser 1:" + TOKEN.encode()).hexdigest()
    assert is_hash(salted)
    assert published_token(salted) == salted
    assert matches_token(1, salted, TOKEN, nowhere)
    assert not matches_token(2, salted, TOKEN, nowhere)
    assert not matches_token(1, salted, TOKEN + "x", nowhere)


def test_what_is_published_is_published_as_it_is():
    for text in ("", "env:SHOP_TOKEN", "file:/run/secrets/shop", published_token(TOKEN)):
        assert published_token(text) == text


def test_a_reference_proves_by_the_secret_that_lies_there():
    assert matches_token(1, "env:SHOP_TOKEN", TOKEN, {"env:SHOP_TOKEN": TOKEN.encode()}.get)
    assert not matches_token(1, "env:SHOP_TOKEN", TOKEN, nowhere)
    assert not matches_token(1, "env:SHOP_TOKEN", "env:SHOP_TOKEN", nowhere)


def test_no_token_proves_nothing():
    assert not matches_token(1, "", "", nowhere)
    assert not matches_token(1, published_token(TOKEN), "", nowhere)
    assert not matches_token(1, "env:EMPTY", "", {"env:EMPTY": b""}.get)


def test_the_published_hash_is_no_token():
    published = published_token(TOKEN)
    assert not matches_token(1, published, published, nowhere)


def test_references_name_a_variable_or_a_file():
    assert all(map(is_reference, ("env:A_1", "file:/run/x", "file:secrets/x")))
    assert not any(
        map(is_reference, ("", "env:", "env:a b", "env:1A", "file:", "file: x", "ENV:A", "secret"))
    )


def test_a_published_version_holds_no_literal_token():
    catalog, _ = check(GOOD)
    value = encode_version(CatalogVersion(version=1, applied_at="", applied_by="", catalog=catalog))
    assert TOKEN.encode() not in value
    assert matches_token(1, catalog.advertiser(1).postback.token, TOKEN, nowhere)
