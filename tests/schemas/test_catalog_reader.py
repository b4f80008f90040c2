"""Versions that are read one after another: the same as each by itself, and what stays costs a look-up."""

import msgspec
import pytest

from schemas import catalog_reader
from schemas.catalog import Catalog
from schemas.catalog_check import check
from schemas.catalog_reader import Reader
from schemas.catalog_versions import CatalogVersion, encode_version
from tests.schemas.catalogs import GOOD

FIRST, _ = check(GOOD)
assert FIRST is not None


def value(number: int, catalog: Catalog) -> bytes:
    return encode_version(CatalogVersion(version=number, applied_at="", applied_by="", catalog=catalog))


def renamed(catalog: Catalog) -> Catalog:
    first, *rest = catalog.offers
    return msgspec.structs.replace(catalog, offers=(msgspec.structs.replace(first, name="Boots"), *rest))


CATALOGS = {
    "unchanged": FIRST,
    "an offer less": msgspec.structs.replace(FIRST, offers=FIRST.offers[1:]),
    "the same offer twice": msgspec.structs.replace(FIRST, offers=FIRST.offers[:1] * 2),
    "another order": msgspec.structs.replace(FIRST, offers=FIRST.offers[::-1]),
    "another name": renamed(FIRST),
    "empty": Catalog(),
}


@pytest.mark.parametrize("name", CATALOGS)
def test_after_any_other_a_version_reads_as_it_does_by_itself(name: str) -> None:
    reader = Reader()
    for number, catalog in enumerate((FIRST, CATALOGS[name], FIRST), 1):
        written = value(number, catalog)
        assert reader.read(written) == msgspec.json.decode(written, type=CatalogVersion)


def test_what_did_not_change_is_the_same_object_and_is_not_decoded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Reader()
    before = reader.read(value(1, FIRST)).catalog
    decoded = catalog_reader.decoded
    read: list[object] = []
    monkeypatch.setattr(
        catalog_reader, "decoded", lambda decoder, raw: read.append(raw) or decoded(decoder, raw)
    )
    after = reader.read(value(2, renamed(FIRST))).catalog
    assert len(read) == 2, "the version's outline, and the offer that was renamed"
    assert after.offers[0].name == "Boots"
    assert all(one is other for one, other in zip(after.offers[1:], before.offers[1:], strict=True))
    assert after.affiliates[0] is before.affiliates[0]
    assert after.advertisers[0] is before.advertisers[0]


def test_a_broken_version_is_told_and_the_next_one_is_read() -> None:
    reader = Reader()
    good = value(1, FIRST)
    for broken in (good[:-1], good.replace(b'"advertiser_id":1', b'"advertiser_id":"x"'), b"\xff"):
        assert broken != good
        with pytest.raises(msgspec.DecodeError):
            reader.read(broken)
    assert reader.read(good).catalog == FIRST


def test_every_field_of_a_catalog_is_read() -> None:
    assert catalog_reader._Outline.__struct_fields__ == Catalog.__struct_fields__
    assert catalog_reader._Version.__struct_fields__ == CatalogVersion.__struct_fields__
