"""A tracking link to follow by hand: an offer that takes clicks, an affiliate that may send them."""

from urllib.parse import urlencode

from schemas.catalog import Catalog


def first_link(collector: str, catalog: Catalog) -> str:
    """The link's URL; empty where no affiliate may send clicks to any offer."""
    for offer in catalog.offers:
        for affiliate in catalog.affiliates:
            if offer.is_active and catalog.approves(offer, affiliate.id):
                return f"{collector}/click?{urlencode({'offer_id': offer.id, 'aff_id': affiliate.id})}"
    return ""
