"""What a statement names that the catalog does not have: said in its answer, to who can mend it. Pure."""

from collections.abc import Mapping

from ingest.request import number
from schemas.catalog import Catalog


def named(catalog: Catalog, values: Mapping[str, str], shared_offer_id: int) -> list[str]:
    """A problem for each of offer, goal and status word that nobody knows; the joiner judges them again.

    shared_offer_id: the offer that the transaction ID itself names, 0 where it names none. A random ID's is
    the click's, which only the joiner knows: without `offer_id` nothing can be said of goal and status.
    """
    problems = []
    stated = number(values.get("offer_id", ""))
    offer = catalog.offer(stated or shared_offer_id)
    if stated and offer is None:
        problems.append(f"offer_id: no such offer: {stated}")
    goal = values.get("goal_id", "").strip()
    if goal and offer and offer.resolve_goal(goal) is None:
        problems.append(f"goal_id: offer {offer.id} has no goal {goal[:40]!r}: it will be rejected")
    advertiser = catalog.advertiser(offer.advertiser_id if offer else number(values.get("advertiser_id", "")))
    word = values.get("status", "").strip()
    if word and advertiser and advertiser.status_of(word) is None:
        problems.append(f"status: {word[:40]!r} is no word of advertiser {advertiser.id}: it will be pending")
    return problems
