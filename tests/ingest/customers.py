"""Offers that know their customers, or their affiliates, without an ID of each click."""

from urllib.parse import urlencode

from msgspec.structs import replace

from ingest.request import Knowledge
from schemas.catalog import Catalog, Derived, Offer, Permission
from schemas.catalog_versions import CatalogVersion
from schemas.transaction_id import Keyring
from tests.ingest.fakes import CATALOG, GOALS, KEYRING, KNOWN

RING = Keyring(KEYRING._keys, 1, identifiers=bytes(range(32)))
JANE = "Jane.Doe@Example.com"

BY_E_MAIL, BY_NAME, BY_ADDRESS, BY_AFFILIATE, BY_TWO, BY_SUB = 70, 71, 72, 73, 74, 75


def _offer(number: int, identifier: object) -> Offer:
    return Offer(
        id=number,
        advertiser_id=1,
        name=f"Offer {number}",
        url="https://shop.example/?t={transaction_id}&s={aff_sub}&i={ip}&r={ran}",
        hosts=("shop.example",),
        affiliates=(Permission(id=42), Permission(id=43)),
        identifier=identifier,  # type: ignore[arg-type]
        goals=(replace(GOALS[0], id=0),),
    )


OFFERS = (
    _offer(BY_E_MAIL, Derived(derived=("email",))),
    _offer(BY_NAME, Derived(derived=("user_name",))),
    _offer(BY_ADDRESS, Derived(derived=("ip",))),
    _offer(BY_AFFILIATE, "affiliate"),
    _offer(BY_TWO, Derived(derived=("email", "ip"))),
    _offer(BY_SUB, Derived(derived=("aff_sub",))),
)


def knowing(*offers: Offer, keyring: Keyring = RING) -> Knowledge:
    """An edge's knowledge with these offers besides the usual ones."""
    catalog: Catalog = replace(CATALOG, offers=(*CATALOG.offers, *offers))
    version = CatalogVersion(
        version=6, applied_at="2026-11-01T00:00:00.000Z", applied_by="t", catalog=catalog
    )
    return replace(KNOWN, catalog=version, keyring=keyring)


CUSTOMERS = knowing(*OFFERS)


def click(offer_id: int, **more: object) -> str:
    """A click's target."""
    return "/click?" + urlencode({"offer_id": offer_id, "aff_id": 42, **more})


def stated(path: str, **more: object) -> str:
    """A conversion's target."""
    return f"{path}?" + urlencode(more)
