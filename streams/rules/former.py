"""What an affiliate may have been told of a conversion as it once was, and what takes that back: rule 8.10.

The case that was sent tells the conversion with its affiliate, offer, catalog version and visit, and the
catalog's history the subscriptions of then. Nothing else needs to be remembered.
"""

from collections.abc import Sequence

import msgspec

from schemas.catalog import Catalog, Status
from schemas.catalog_versions import History
from schemas.decisions import ZERO, Conversion, Notice
from schemas.facts import Click, Impression
from streams.rules.merge import AnyStatement, in_order, rank
from streams.rules.notices import Story, notices
from streams.rules.transaction import NO_CATALOG, CatalogMissing


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion as it was sent. statements: those that it names, as far as they are known."""

    transaction_id: str
    goal_id: int
    conversion: Conversion
    visit: Click | Impression
    statements: Sequence[AnyStatement]


def told_as(former: Former, status: Status, history: History) -> list[Notice]:
    """What its affiliate would be told of it in this status, by the catalog of then."""
    conversion = former.conversion
    if conversion.status != status:
        conversion = msgspec.structs.replace(
            conversion, status=status, reason=0, reason_detail="", payout=ZERO, revenue=ZERO
        )
    unheard = {each.partition(":")[0] for each in conversion.unheard}
    named = {*conversion.receipts} - unheard
    story = Story(
        transaction_id=former.transaction_id,
        goal_id=former.goal_id,
        conversion=conversion,
        visit=former.visit,
        ranked=rank(in_order([one for one in former.statements if one.receipt_id in named])),
        catalog=_catalog(conversion.catalog_version, history),
    )
    return notices(story)


def _catalog(version: int, history: History) -> Catalog:
    found = history.at(version)
    if found:
        return found.catalog
    if version:
        raise CatalogMissing(version)
    return NO_CATALOG
