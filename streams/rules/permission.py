"""What may make a conversion, and of which visits: rule 3 of streams.rules.decide."""

from typing import Final

import msgspec

from schemas.catalog import Catalog, Offer, Proof, suffices
from schemas.facts import Click, Impression
from schemas.reasons import Reason
from streams.rules.merge import AnyObservation


class Objection(msgspec.Struct, frozen=True):
    """Why something does not count: the reason, and a sentence with what was and what should have been."""

    reason: int
    detail: str


def objection(
    observation: AnyObservation, visit: Click | Impression, offer: Offer, catalog: Catalog
) -> Objection | None:
    """Why this observation may not make a conversion of the visit's offer; None where it may."""
    if observation.kind not in offer.tracking:
        kinds = ", ".join(offer.tracking)
        detail = f"offer {offer.id} tracks by {kinds}, this came by {observation.kind}"
        return Objection(Reason.WRONG_PROTOCOL, detail)
    if observation.offer_id not in (0, visit.offer_id):
        detail = f"the request names offer {observation.offer_id}, the {noun(visit)} was for {visit.offer_id}"
        return Objection(Reason.OFFERS_DIFFER, detail)
    if observation.kind != "postback":
        return None  # a browser is never asked for proof: it could not keep a secret
    required = catalog.required_proof(offer)
    return None if required == "none" else _unproven(observation, offer, required)


def _unproven(postback: AnyObservation, offer: Offer, required: Proof) -> Objection | None:
    """Why it did not prove what it must."""
    if suffices(_proof_for(postback, offer.advertiser_id), required):
        return None
    reason = Reason.IP_NOT_ALLOWED if required == "allow_from" else Reason.INVALID_TOKEN
    by = _PROOFS.get(postback.proven_by.partition(":")[0], "nothing")
    whose = "" if _is_for(postback, offer.advertiser_id) else ", and that of another advertiser"
    caller = f"this came from {postback.ip} and" if required == "allow_from" and postback.ip else "this"
    detail = f"offer {offer.id} wants {_PROOFS[required]}, {caller} proved {by}{whose}"
    return Objection(reason, detail)


def _proof_for(postback: AnyObservation, advertiser_id: int) -> str:
    return postback.proven_by if _is_for(postback, advertiser_id) else ""


def _is_for(postback: AnyObservation, advertiser_id: int) -> bool:
    """Whether what it proved, it proved of this advertiser; a fact that does not say whose is believed."""
    return not postback.proven_for or advertiser_id in postback.proven_for


_PROOFS: Final = {
    "signature": "a signature",
    "token": "the security token",
    "allow_from": "an allowed address",
}


def objection_at_visit(visit: Click | Impression, goal_id: int, catalog: Catalog) -> Objection | None:
    """Why this visit can lead to no conversion, by the catalog in which it was made; None where it can.

    A click that the edge sent elsewhere was judged then, and stays so.
    """
    if isinstance(visit, Click) and visit.redirect_reason:
        why = sentence(visit.redirect_reason)
        return Objection(visit.redirect_reason, f"the click was not sent to the offer: {why}")
    offer = catalog.offer(visit.offer_id)
    if offer is None:
        return Objection(Reason.UNKNOWN_OFFER, f"there was no offer {visit.offer_id} at the {noun(visit)}")
    if not offer.is_active:
        return Objection(Reason.OFFER_PAUSED, f"offer {offer.id} was {offer.status} at the {noun(visit)}")
    goal = offer.goal(goal_id)
    if goal is not None and goal.status != "active":
        return Objection(Reason.OFFER_PAUSED, f"goal {goal_id} was {goal.status} at the {noun(visit)}")
    if not catalog.approves(offer, visit.affiliate_id):
        who = f"affiliate {visit.affiliate_id}"
        detail = f"{who} was not approved for offer {offer.id} at the {noun(visit)}"
        return Objection(Reason.AFFILIATE_NOT_APPROVED, detail)
    return None


def noun(visit: Click | Impression) -> str:
    """What people call this visit."""
    return "click" if isinstance(visit, Click) else "impression"


def sentence(reason: int) -> str:
    """The reason in words; a later release of the edge may state one that this one does not know."""
    try:
        return Reason(reason).sentence
    except ValueError:
        return f"reason {reason}"
