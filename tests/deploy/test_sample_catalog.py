"""The sample catalog: valid, and it calls nobody."""

from pathlib import Path

from schemas.catalog_check import check

SAMPLE = Path(__file__).parents[2] / "deploy" / "sample_catalog.toml"


def test_the_sample_is_valid_without_a_warning():
    catalog, complaints = check(SAMPLE.read_text())
    assert [str(complaint) for complaint in complaints] == []
    assert catalog is not None
    assert (len(catalog.advertisers), len(catalog.affiliates), len(catalog.offers)) == (3, 12, 8)


def test_no_affiliate_of_the_sample_is_called():
    catalog, _ = check(SAMPLE.read_text())
    assert catalog is not None
    assert [one.id for one in catalog.affiliates if one.postbacks or one.pixels] == []
