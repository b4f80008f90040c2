"""A transaction before the rules: its visits, its cases, and what the catalog says of them."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from schemas.catalog import STATUSES, Advertiser, Catalog, Goal, Offer, Status
from schemas.catalog_versions import History
from schemas.facts import GOAL_UNRESOLVED, AnyFact, Click, Impression, Statement
from schemas.transaction_id import Kind, kind
from streams.rules.credit import Credit, OwnVisits, SharedVisits, Visits, credit, visits_of
from streams.rules.merge import AnyStatement, in_order, makes, rank, said
from streams.rules.permission import Objection, objection

MAX_CARRIED: Final = 100  # visits of a random ID, which has one or two: a case has to fit into a record
NO_CATALOG: Final = Catalog()  # of version 0: an edge accepted the fact before it knew any catalog


class CatalogMissing(Exception):  # no error: the transaction waits until this version has arrived
    """A fact names a catalog version that the history lacks."""

    def __init__(self, version: int) -> None:
        super().__init__(f"catalog version {version} has not arrived yet")
        self.version = version


class Setting(msgspec.Struct, frozen=True):
    """What the catalog says where a conversion stands; None for what it does not know."""

    version: int
    catalog: Catalog
    offer_id: int
    offer: Offer | None
    advertiser_id: int
    advertiser: Advertiser | None
    goal: Goal | None

    def status_of(self, statement: AnyStatement) -> Status | None:
        """What the caller's status word means; the network's own words are ours."""
        if self.advertiser and statement.kind != "adjustment":
            return self.advertiser.status_of(statement.status)
        return STATUSES.get(statement.status.strip().casefold())


class Transaction(msgspec.Struct, frozen=True):
    """What all cases of a transaction share. statements: in the order of receipt.

    is_shared: whether many clicks may have its identifier; is_persons: whether that is derived from a person.
    observations: those of the statements that may make a conversion.
    """

    transaction_id: str
    is_shared: bool
    is_persons: bool
    visits: Visits | OwnVisits | SharedVisits
    observations: Sequence[AnyStatement]
    statements: Sequence[AnyStatement]
    history: History

    def by_goal(self) -> dict[int, list[AnyStatement]]:
        """The statements of each case, in the order of receipt."""
        found: dict[int, list[AnyStatement]] = {}
        for one in self.statements:
            goal_id = one.goal_id if one.goal_id != GOAL_UNRESOLVED else self._resolved(one)
            found.setdefault(goal_id, []).append(one)
        return dict(sorted(found.items())) if len(found) > 1 else found

    def _resolved(self, statement: AnyStatement) -> int:
        """A name that the edge could not resolve means a goal of the visit's offer.

        The network's word waits for its conversion, longer than the click before it is kept: so it is the
        offer of what was observed.
        """
        offer = self.offer(self.own(statement if makes(statement) else self.observations[0]), statement)
        found = offer.resolve_goal(statement.goal) if offer else None
        return GOAL_UNRESOLVED if found is None else found

    def own(self, statement: AnyStatement) -> Click | Impression | None:
        """The visit whose offer the statement is about."""
        return self.visits.of(statement).own

    def objections(self, observations: Iterable[AnyStatement]) -> dict[str, Objection]:
        """By receipt why it may make no conversion; nothing is against the network's, and before a visit."""
        found = {}
        for made in observations:
            own = self.visits.of(made).own
            if own is None or made.kind == "adjustment":
                continue
            catalog = self.catalog(version_of(own, made))
            offer = catalog.offer(own.offer_id)
            if offer and (why := objection(made, own, offer, catalog)):
                found[made.receipt_id] = why
        return found

    def weighed(self, made: AnyStatement) -> AnyStatement:
        """The statement as it weighs: what it proved of another advertiser is no proof here."""
        if made.kind == "adjustment" or not made.proven_for:
            return made
        offer = self.offer(self.own(made), made)
        if offer is None or offer.advertiser_id in made.proven_for:
            return made
        return msgspec.structs.replace(made, proven_by="", proven_for=())

    def judging(self) -> dict[str, list[Click | Impression]]:
        """By the receipt of each observation, the visits by which it is judged.

        Of several under one random ID all: each may be the last before what is stated later.
        """
        if isinstance(self.visits, OwnVisits) and len(self.visits.every) <= MAX_CARRIED:
            return {one.receipt_id: self.visits.every for one in self.observations}
        return {one.receipt_id: self.visits.of(one).both for one in self.observations}

    def credit(self, made: AnyStatement) -> Credit | None:
        """The visit that a conversion made by this statement is credited to."""
        return credit(self.visits.of(made), made, self.offer)

    def click_of(self, made: AnyStatement) -> str:
        """The receipt of the visit that what this statement makes is credited to; empty for none."""
        credited = self.credit(made)
        return credited.visit.receipt_id if credited else ""

    def setting(
        self, goal_id: int, visit: Click | Impression | None, statements: Sequence[AnyStatement]
    ) -> Setting:
        """What counts for a conversion of this visit that these statements make, the first received first."""
        version = version_of(visit, statements[0])
        catalog = self.catalog(version)
        if visit:
            offer_id, advertiser_id = visit.offer_id, visit.advertiser_id
        else:
            ranked = rank(statements)
            offer_id, advertiser_id = said(ranked, "offer_id") or 0, said(ranked, "advertiser_id") or 0
        offer = catalog.offer(offer_id)
        advertiser_id = advertiser_id or (offer.advertiser_id if offer else 0)
        return Setting(
            version,
            catalog,
            offer_id,
            offer,
            advertiser_id,
            catalog.advertiser(offer.advertiser_id if offer else advertiser_id),
            offer.goal(goal_id) if offer else None,
        )

    def offer(self, visit: Click | Impression | None, statement: AnyStatement) -> Offer | None:
        """The visit's offer, else the one that the statement names, as it stands for this statement."""
        catalog = self.catalog(version_of(visit, statement))
        return catalog.offer(visit.offer_id if visit else statement.offer_id)

    def catalog(self, version: int) -> Catalog:
        """The catalog of this version; CatalogMissing where it has not arrived."""
        found = self.history.at(version)
        if found:
            return found.catalog
        if version:
            raise CatalogMissing(version)
        return NO_CATALOG


def transaction_of(facts: Sequence[AnyFact], history: History) -> Transaction:
    """The transaction of these facts; of two under one receipt, which no edge of ours gives, the first.

    So of several adjustments under one key: the network's file was applied again.
    """
    clicks: list[Click] = []
    impressions: list[Impression] = []
    statements: list[AnyStatement] = []
    known: set[tuple[str, str] | str] = set()
    for fact in in_order(facts):
        if fact.receipt_id in known:
            continue
        known.add(fact.receipt_id)
        if isinstance(fact, Statement):
            if fact.kind == "adjustment" and fact.key:
                if ("key", fact.key) in known:
                    continue
                known.add(("key", fact.key))
            statements.append(fact)
        elif isinstance(fact, Click):
            clicks.append(fact)
        else:
            impressions.append(fact)
    transaction_id = facts[0].transaction_id if facts else ""
    whose = kind(transaction_id)
    is_persons = whose is Kind.DERIVED
    is_shared = is_persons or whose is Kind.AFFILIATE
    observations = [one for one in statements if makes(one)]
    visits = visits_of(clicks, impressions, observations, is_shared=is_shared)
    return Transaction(transaction_id, is_shared, is_persons, visits, observations, statements, history)


def version_of(visit: Click | Impression | None, statement: AnyStatement) -> int:
    """The greater of the visit's and the statement's: a version is never retroactive."""
    stated = statement.catalog_version
    return visit.catalog_version if visit and visit.catalog_version > stated else stated
