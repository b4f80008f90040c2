"""The catalog: a whole file of offers, affiliates, advertisers and links, and how each part asks it.

docs/catalog.md says what each field means, with its default; a test compares it with these types. All here is
immutable; what is worked out of it (indexes, templates, networks) is worked out once, when first asked for.
"""

from functools import cached_property
from typing import Annotated

import msgspec

from schemas.catalog_offers import Derived, Goal, LandingPage, Offer, Permission, Price, Term
from schemas.catalog_parties import (
    MAX_ID,
    STATUSES,
    Advertiser,
    Affiliate,
    Entry,
    GoalId,
    Id,
    Key,
    PartnerCall,
    PartnerPixel,
    PartnerPostback,
    PostbackProofs,
    Proof,
    Status,
    Url,
    suffices,
)
from schemas.catalog_secrets import is_reference
from schemas.macros import Template, compile_template
from schemas.money import Rate, Rates

# Whoever asks the catalog imports from here; how its types are spread over files is its own affair.
__all__ = [
    "MAX_ID",
    "STATUSES",
    "Advertiser",
    "Affiliate",
    "Catalog",
    "Derived",
    "Entry",
    "Goal",
    "Key",
    "LandingPage",
    "Link",
    "Network",
    "Offer",
    "PartnerCall",
    "PartnerPixel",
    "PartnerPostback",
    "Permission",
    "PostbackProofs",
    "Price",
    "Proof",
    "Status",
    "Term",
    "suffices",
]


class Network(Entry, frozen=True, kw_only=True):
    """What holds for the whole network."""

    time_zone: str = "UTC"
    default_url: Url = ""
    rates: tuple[Rate, ...] = ()


class Link(Entry, frozen=True, kw_only=True):
    """A path that another platform published, which is ours now."""

    path: Annotated[str, msgspec.Meta(min_length=2, max_length=500)]
    offer_id: Id
    affiliate_id: Id
    url_id: GoalId = 0


class Catalog(Entry, frozen=True, kw_only=True):
    """A whole catalog file."""

    network: Network = Network()
    advertisers: tuple[Advertiser, ...] = ()
    affiliates: tuple[Affiliate, ...] = ()
    offers: tuple[Offer, ...] = ()
    links: tuple[Link, ...] = ()

    @cached_property
    def _advertisers(self) -> dict[int, Advertiser]:
        return {advertiser.id: advertiser for advertiser in self.advertisers}

    @cached_property
    def _affiliates(self) -> dict[int, Affiliate]:
        return {affiliate.id: affiliate for affiliate in self.affiliates}

    @cached_property
    def _offers(self) -> dict[int, Offer]:
        return {offer.id: offer for offer in self.offers}

    @cached_property
    def _links(self) -> dict[str, Link]:
        return {link.path: link for link in self.links}

    @cached_property
    def _offers_of_advertisers(self) -> dict[int, tuple[Offer, ...]]:
        found: dict[int, list[Offer]] = {}
        for offer in self.offers:
            found.setdefault(offer.advertiser_id, []).append(offer)
        return {advertiser_id: tuple(offers) for advertiser_id, offers in found.items()}

    @cached_property
    def identifier_keys(self) -> dict[int, str]:
        """Where the keys of derived identifiers lie that offers have of their own, by offer."""
        return {
            o.id: o.identifier.key
            for o in self.offers
            if isinstance(o.identifier, Derived) and o.identifier.key
        }

    @cached_property
    def addresses_identify(self) -> bool:
        """Whether any offer derives its transaction IDs from the customer's address."""
        return any(isinstance(o.identifier, Derived) and "ip" in o.identifier.derived for o in self.offers)

    @cached_property
    def proof_secrets(self) -> frozenset[str]:
        """Where the secrets lie that postbacks prove themselves with."""
        stated = {key.secret for one in self.advertisers for key in one.postback.keys}
        return frozenset(filter(is_reference, stated | {one.postback.token for one in self.advertisers}))

    @cached_property
    def rates(self) -> Rates:
        """The exchange rates, by pair and day."""
        return Rates(self.network.rates)

    @cached_property
    def default_template(self) -> Template | None:
        """The network's `default_url`, compiled; None where there is none."""
        return compile_template(self.network.default_url) if self.network.default_url else None

    def advertiser(self, advertiser_id: int) -> Advertiser | None:
        """The advertiser with this ID."""
        return self._advertisers.get(advertiser_id)

    def affiliate(self, affiliate_id: int) -> Affiliate | None:
        """The affiliate with this ID."""
        return self._affiliates.get(affiliate_id)

    def offer(self, offer_id: int) -> Offer | None:
        """The offer with this ID."""
        return self._offers.get(offer_id)

    def offers_of(self, advertiser_id: int) -> tuple[Offer, ...]:
        """The advertiser's offers."""
        return self._offers_of_advertisers.get(advertiser_id, ())

    def link(self, path: str) -> Link | None:
        """The link that another platform published under exactly this path."""
        return self._links.get(path)

    def approves(self, offer: Offer, affiliate_id: int) -> bool:
        """Whether the affiliate exists, is active, and may run the offer."""
        affiliate = self._affiliates.get(affiliate_id)
        return affiliate is not None and affiliate.status == "active" and offer.admits(affiliate_id)

    def required_proof(self, offer: Offer) -> Proof:
        """What a postback for this offer must prove: its `proof`, else its advertiser's strongest."""
        if offer.proof:
            return offer.proof
        advertiser = self._advertisers.get(offer.advertiser_id)
        return advertiser.postback.strongest if advertiser else "none"

    @cached_property
    def time_zones(self) -> frozenset[str]:
        """Every zone in which some advertiser's times without one are read."""
        return frozenset(one.time_zone or self.network.time_zone for one in self.advertisers)

    def time_zone_of(self, advertiser_id: int) -> str:
        """The zone in which the advertiser's times without one are read: its own, else the network's."""
        advertiser = self._advertisers.get(advertiser_id)
        return (advertiser.time_zone if advertiser else "") or self.network.time_zone
