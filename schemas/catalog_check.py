"""The authority on catalog files: TOML text -> the catalog to publish, or every reason why not."""

import tomllib
from typing import Any, Final

import msgspec

from schemas import catalog_offer_rules, catalog_rules, catalog_secrets
from schemas.catalog import Advertiser, Catalog
from schemas.catalog_complaints import Complaint, Lines, Place, written_place
from schemas.catalog_rules import Finding
from schemas.catalog_shape import shaped

_ENTRIES: Final = {"advertisers": "advertiser", "affiliates": "affiliate", "offers": "offer"}


def check(text: str) -> tuple[Catalog | None, list[Complaint]]:
    """The catalog that the text states, as it is published (tokens hashed), and every complaint about it.

    None where one of them is an error; warnings alone leave it valid. Complaints stand in the file's order.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        return None, [Complaint("error", "", f"no TOML: {fault}")]
    if not data:  # a file that was cut off, more likely than a network without anything
        return None, [Complaint("error", "the file", "is empty: to stop an offer, pause it")]
    catalog, faults = shaped(data)
    findings = [catalog_rules.error(place, reason) for place, reason in faults]
    if catalog is not None:
        findings = [
            found for rule in catalog_rules.RULES + catalog_offer_rules.RULES for found in rule(catalog)
        ]
    complaints = _complaints(findings, text, data)
    if catalog is None or any(complaint.level == "error" for complaint in complaints):
        return None, complaints
    return _published(catalog), complaints


def _complaints(findings: list[Finding], text: str, data: dict[str, Any]) -> list[Complaint]:
    if not findings:
        return []
    lines = Lines(text)
    complaints = [
        Complaint(level, written_place(place) or "the file", reason, lines.line(place), _about(place, data))
        for level, place, reason in findings
    ]
    return sorted(complaints, key=lambda complaint: complaint.line)


def _about(place: Place, data: dict[str, Any]) -> str:
    """The entry that a place lies in, by its ID."""
    if len(place) < 2 or place[0] not in _ENTRIES:  # noqa: PLR2004  a list and an index
        return ""
    entry = data[str(place[0])][place[1]]
    number = entry.get("id") if isinstance(entry, dict) else None
    return f"{_ENTRIES[str(place[0])]} {number}" if isinstance(number, int) else ""


def _published(catalog: Catalog) -> Catalog:
    return msgspec.structs.replace(catalog, advertisers=tuple(map(_without_token, catalog.advertisers)))


def _without_token(advertiser: Advertiser) -> Advertiser:
    token = catalog_secrets.published_token(advertiser.postback.token)
    return msgspec.structs.replace(
        advertiser, postback=msgspec.structs.replace(advertiser.postback, token=token)
    )
