"""docs/catalog.md names every field of the catalog file, with its default."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import catalog
from schemas.money import Rate

PAGE = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
TABLES: dict[str, type[msgspec.Struct]] = {
    "[network]": catalog.Network,
    "network.rates": Rate,
    "[[advertisers]]": catalog.Advertiser,
    "advertisers.postback": catalog.PostbackProofs,
    "advertisers.postback.keys": catalog.Key,
    "[[affiliates]]": catalog.Affiliate,
    "affiliates.postbacks": catalog.PartnerPostback,
    "affiliates.pixels": catalog.PartnerPixel,
    "[[offers]]": catalog.Offer,
    "offers.landing_pages": catalog.LandingPage,
    "offers.affiliates": catalog.Permission,
    "offers.identifier": catalog.Derived,
    "[[offers.goals]]": catalog.Goal,
    "payout": catalog.Price,
    "offers.goals.terms": catalog.Term,
    "[[links]]": catalog.Link,
}


def documented() -> dict[str, dict[str, Any]]:
    """Each table of the page -> its fields and their defaults, None where there is none."""
    found: dict[str, dict[str, Any]] = {}
    for section in PAGE.split("\n## ")[1:]:
        heading = re.match(r"`(.+?)`", section)
        assert heading, section[:60]
        rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\|", section, re.MULTILINE)
        found[heading[1]] = {
            field: tomllib.loads(f"v = {text}")["v"] if text else None for field, text in rows
        }
    return found


def typed(struct: type[msgspec.Struct]) -> dict[str, Any]:
    defaults = {}
    for field in msgspec.structs.fields(struct):
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
        if default is dict:
            default = {}
        value = None if field.required else msgspec.to_builtins(default)
        defaults[field.encode_name] = [*value] if isinstance(value, tuple) else value
    return defaults


def test_the_page_has_every_table_of_the_file() -> None:
    assert list(documented()) == list(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_every_field_stands_there_with_its_default(table: str) -> None:
    assert documented()[table] == typed(TABLES[table])


def test_no_table_of_the_types_is_left_out() -> None:
    structs = {
        each for each in vars(catalog).values() if isinstance(each, type) and issubclass(each, catalog.Entry)
    }
    assert structs - {catalog.Entry, catalog.PartnerCall, catalog.Catalog} == set(TABLES.values()) - {Rate}
