"""Rule 3: what may make a conversion, which visit may lead to one; and how much each is trusted."""

from proof.expected.book import (
    Catalogs,
    advertiser_in,
    affiliate_in,
    goal_in,
    in_force,
    offer_in,
)
from proof.expected.words import Statement, Visit
from schemas.catalog import Catalog, Offer
from schemas.reasons import Reason

STRENGTHS = {"": 0, "none": 0, "allow_from": 1, "token": 2, "signature": 3}


def forbidden(catalogs: Catalogs, visit: Visit | None, said: Statement) -> int:
    """Why the statement may not make a conversion; 0 where it may. Before the visit is known nothing."""
    if visit is None or said.kind == "adjustment":
        return 0
    catalog = in_force(catalogs, visit, said)[1]
    offer = offer_in(catalog, visit.offer_id)
    if offer is None:
        return 0
    if said.kind not in offer.tracking:
        return Reason.WRONG_PROTOCOL
    if said.offer_id not in {0, visit.offer_id}:
        return Reason.OFFERS_DIFFER
    wanted = _required(catalog, offer)
    if said.kind == "postback" and _strength(said, offer.advertiser_id) < STRENGTHS[wanted]:
        return Reason.IP_NOT_ALLOWED if wanted == "allow_from" else Reason.INVALID_TOKEN
    return 0


def _required(catalog: Catalog, offer: Offer) -> str:
    """What the offer asks of its postbacks, else the strongest that its advertiser has."""
    advertiser = advertiser_in(catalog, offer.advertiser_id)
    if offer.proof or advertiser is None:
        return offer.proof
    has = advertiser.postback
    return "signature" if has.keys else "token" if has.token else "allow_from" if has.allow_from else "none"


def _strength(said: Statement, advertiser_id: int) -> int:
    """What a proof is worth here: another advertiser's is worth nothing."""
    return STRENGTHS[said.proven_by.partition(":")[0]] if advertiser_id in said.proven_for else 0


def trust(catalogs: Catalogs, visit: Visit | None, said: Statement) -> int:
    """Rule 2: adjustment > server statement with proof > without > iframe > pixel."""
    if said.kind != "postback":
        return {"adjustment": 5, "iframe": 2, "pixel": 1}[said.kind]
    catalog = in_force(catalogs, visit, said)[1]
    offer = offer_in(catalog, visit.offer_id if visit else said.offer_id)
    proves = _strength(said, offer.advertiser_id) if offer else STRENGTHS[said.proven_by.partition(":")[0]]
    return 4 if proves else 3


def barred(catalogs: Catalogs, visit: Visit, goal_id: int) -> int:
    """Why the visit can lead to no conversion, by the catalog of then; 0 where it can."""
    if visit.redirect_reason:
        return visit.redirect_reason
    catalog = catalogs[visit.catalog_version]
    offer = offer_in(catalog, visit.offer_id)
    if offer is None:
        return Reason.UNKNOWN_OFFER
    goal = goal_in(offer, goal_id)
    if offer.status != "active" or (goal and goal.status != "active"):
        return Reason.OFFER_PAUSED
    affiliate = affiliate_in(catalog, visit.affiliate_id)
    approved = offer.affiliates == "all" or visit.affiliate_id in {
        one.id for one in offer.affiliates if one.status == "approved"
    }
    if affiliate is None or affiliate.status != "active" or not approved:
        return Reason.AFFILIATE_NOT_APPROVED
    return 0
