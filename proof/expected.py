"""What must come out: a second, naive reading of what a conversion is (docs: design, "What a conversion is").

Written from the rules alone, without a look at streams/: two readings that agree are worth more than one
that is tested against itself. Slow and plain on purpose: one transaction at a time, every fact in hand.
The catalog's data are read here, none of its methods: how a goal is found or a word is mapped is a rule too.
Random identifiers only. Of adjustments only those that state something about a conversion that is there.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from schemas import times
from schemas.catalog import Catalog, Goal, Offer, Price
from schemas.durations import to_ms
from schemas.money import rounded
from schemas.reasons import Reason

ZERO = Decimal(0)
LIMIT = 1_000  # observations that count in a case
UNRESOLVED = -1

Kind = Literal["pixel", "iframe", "postback", "adjustment"]


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A click or an impression, as far as outcomes rest on it. Times are Unix milliseconds."""

    kind: Literal["click", "impression"]
    receipt: str
    received_ms: int
    occurred_ms: int
    catalog_version: int
    offer_id: int
    affiliate_id: int
    country: str = ""
    device: str = ""
    source: str = ""
    is_bot: bool = False
    redirect_reason: int = 0


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """An observation as it was sent: `goal`, `status` and `currency` are the caller's own words.

    proven: a server statement that proved what the offer asks for. payout, revenue: only on adjustments.
    """

    kind: Kind
    receipt: str
    received_ms: int
    occurred_ms: int
    catalog_version: int
    proven: bool = False
    offer_id: int = 0
    goal: str = ""
    amount: Decimal | None = None
    currency: str = ""
    status: str = ""
    number: str = ""
    test: bool = False
    payout: Decimal | None = None
    revenue: Decimal | None = None


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion that must stand; `number` is the advertiser's order number, `kinds` are sorted."""

    goal_id: int
    number: str
    status: str
    reason: int
    affiliate_id: int
    payout: Decimal
    revenue: Decimal
    payout_currency: str
    revenue_currency: str
    observations: int
    kinds: tuple[str, ...]
    test: bool


def expect(
    visits: Sequence[Visit], statements: Sequence[Statement], catalogs: Mapping[int, Catalog]
) -> list[Expected]:
    """Every conversion of one transaction, given all that was ever said about it."""
    cases: dict[int, list[Statement]] = {}
    for statement in sorted(statements, key=_age):
        click, view = _before(visits, statement)
        cases.setdefault(_goal_id(statement, click or view, catalogs), []).append(statement)
    found = []
    for goal_id, said in cases.items():
        for test in (False, True):
            alike = [statement for statement in said if statement.test == test]
            if alike:
                found += _Case(goal_id, visits, alike, catalogs).conversions()
    return found


def _before(visits: Sequence[Visit], statement: Statement) -> tuple[Visit | None, Visit | None]:
    """The last click and the last impression before it; the clocks may put all of them after it."""
    found = []
    for kind in ("click", "impression"):
        alike = sorted([one for one in visits if one.kind == kind], key=lambda one: one.received_ms)
        alike.sort(key=lambda one: one.occurred_ms)
        before = [one for one in alike if one.occurred_ms <= statement.occurred_ms]
        found.append(before[-1] if before else alike[0] if alike else None)
    return found[0], found[1]


def _age(statement: Statement) -> tuple[int, str]:
    return statement.received_ms, statement.receipt


def _trust(statement: Statement) -> int:
    """Rule 2: adjustment > server statement with proof > without > iframe > pixel."""
    if statement.kind == "postback":
        return 4 if statement.proven else 3
    return {"adjustment": 5, "iframe": 2, "pixel": 1}[statement.kind]


def _goal_id(statement: Statement, visit: Visit | None, catalogs: Mapping[int, Catalog]) -> int:
    """No goal stated is goal 0; a number is that goal; a name's is the stated offer's, else the click's."""
    word = statement.goal.strip().lower()
    if word == "":
        return 0
    if word.isascii() and word.isdigit():
        return int(word)
    version = max(statement.catalog_version, visit.catalog_version if visit else 0)
    for offer_id in (statement.offer_id, visit.offer_id if visit else 0):
        offer = _offer(catalogs[version], offer_id)
        for goal in offer.goals if offer else ():
            if word == goal.name.strip().lower():
                return goal.id
        for goal in offer.goals if offer else ():
            if word in [alias.strip().lower() for alias in goal.aliases]:
                return goal.id
    return UNRESOLVED


def _offer(catalog: Catalog, offer_id: int) -> Offer | None:
    return next((offer for offer in catalog.offers if offer.id == offer_id), None)


def _goal(offer: Offer | None, goal_id: int) -> Goal | None:
    return next((goal for goal in offer.goals if goal.id == goal_id), None) if offer else None


class _Group:
    """The statements that report one conversion; `counts` is False where a once goal has counted already."""

    def __init__(self, number: str, said: list[Statement]) -> None:
        self.number = number
        self.said = said
        self.counts = True
        self.ambiguous = False
        self.beside: list[Statement] = []  # without permission: shown, and no more

    @property
    def began(self) -> tuple[int, str]:
        """When what opened it was received; what joins without a number does not move it."""
        return min(_age(statement) for statement in self.said if statement.number == self.number)


class _Case:
    """All that was said about one transaction and goal, tests and others apart."""

    def __init__(
        self,
        goal_id: int,
        visits: Sequence[Visit],
        said: list[Statement],
        catalogs: Mapping[int, Catalog],
    ) -> None:
        self.goal_id = goal_id
        self.visits = visits
        self.catalogs = catalogs
        self.said = sorted(said, key=lambda statement: (-_trust(statement), *_age(statement)))[:LIMIT]
        self.said.sort(key=_age)
        reported = [statement for statement in self.said if statement.kind != "adjustment"]
        allowed = [statement for statement in reported if not self._forbidden(statement)]
        first = (allowed or reported or self.said)[0]
        self._read_the_catalog_of(first, self._visit(first))

    def _visit(self, statement: Statement) -> Visit | None:
        click, view = _before(self.visits, statement)
        return click or view

    def _read_the_catalog_of(self, first: Statement, visit: Visit | None) -> None:
        """What first observation and visit name: the case's for identity, a conversion's own for the rest."""
        version = max(first.catalog_version, visit.catalog_version if visit else 0)
        self.catalog = self.catalogs[version]
        by_trust = sorted(self.said, key=lambda statement: (_trust(statement), *_age(statement)))
        stated = [statement.offer_id for statement in by_trust if statement.offer_id]
        self.offer = _offer(self.catalog, visit.offer_id if visit else (stated or [0])[-1])
        self.goal = _goal(self.offer, self.goal_id)

    def conversions(self) -> list[Expected]:
        """Every conversion of the case."""
        return [self._conversion(group) for group in self._groups()]

    # Rule 3: permission.

    def _forbidden(self, statement: Statement) -> int:
        """Why the statement may not make a conversion; 0 where it may."""
        visit = self._visit(statement)
        if visit is None or statement.kind == "adjustment":
            return 0
        # A version is never retroactive: each statement by its own, or by the visit's where that is later.
        catalog = self.catalogs[max(statement.catalog_version, visit.catalog_version)]
        offer = _offer(catalog, visit.offer_id)
        if offer is None:
            return 0
        if statement.kind not in offer.tracking:
            return Reason.WRONG_PROTOCOL
        if statement.offer_id not in {0, visit.offer_id}:
            return Reason.OFFERS_DIFFER
        return 0

    # Rule 1: identity.

    def _groups(self) -> list[_Group]:
        reported = [statement for statement in self.said if statement.kind != "adjustment"]
        groups: list[_Group] = []
        many = self.goal is not None and self.goal.repeat == "many"
        join = self._join_many if many else self._join_once
        # Those with permission shape the conversions; the others are shown beside them, or stand alone.
        join(groups, [statement for statement in reported if not self._forbidden(statement)])
        forbidden = [statement for statement in reported if self._forbidden(statement)]
        if many and groups:
            alone: list[_Group] = []
            join(alone, [statement for statement in forbidden if not self._shown_beside(groups, statement)])
            groups += alone
        else:
            join(groups, forbidden)
        for statement in self.said:
            if statement.kind == "adjustment":
                _add_adjustment(groups, statement)
        return groups

    def _join_once(self, groups: list[_Group], said: list[Statement]) -> None:
        # Beside a conversion without a number, what has no permission speaks of it, whatever its number.
        beside = bool(groups) and not groups[0].number
        for statement in said:
            if statement.number and not beside:
                _add_numbered(groups, statement)
        unnumbered = [statement for statement in said if beside or not statement.number]
        if groups:
            counting = min(groups, key=self._claim)
            counting.said += unnumbered
            for group in groups:
                group.counts = group is counting
        elif unnumbered:
            groups.append(_Group("", unnumbered))

    def _claim(self, group: _Group) -> tuple[int, int, str]:
        """The least is the number that counts: the most trusted source, then the one received first."""
        trust = max(_trust(one) - (10 if self._forbidden(one) else 0) for one in group.said)
        first = min([one for one in group.said if not self._forbidden(one)] or group.said, key=_age)
        return -trust, first.received_ms, first.receipt

    def _shown_beside(self, groups: list[_Group], statement: Statement) -> bool:
        """Whether it belongs to a conversion that others made: that of its number, or the first near it."""
        for group in sorted(groups, key=lambda group: group.began):
            near = self._near(group, statement) and not statement.number
            if near or (statement.number and statement.number == group.number):
                group.beside.append(statement)
                return True
        return False

    def _near(self, group: _Group, statement: Statement) -> bool:
        window_ms = to_ms(self.goal.dedupe_window) if self.goal else 0
        return not group.ambiguous and abs(statement.received_ms - group.began[0]) <= window_ms

    def _join_many(self, groups: list[_Group], said: list[Statement]) -> None:
        for statement in said:
            if statement.number:
                _add_numbered(groups, statement)
        for statement in said:
            if statement.number:
                continue
            before = [one for one in groups if not one.ambiguous and one.began < _age(statement)]
            bare = statement.amount is None and self._meaning(statement.status) in {"approved", "rejected"}
            if bare and len(before) == 1:
                before[0].said.append(statement)
            elif bare and before:
                groups.append(_Group("", [statement]))
                groups[-1].ambiguous = True
            else:
                self._add_unnumbered(groups, statement)

    def _add_unnumbered(self, groups: list[_Group], statement: Statement) -> None:
        for group in sorted(groups, key=lambda group: group.began):
            if self._near(group, statement) and statement.kind not in [one.kind for one in group.said]:
                group.said.append(statement)
                return
        groups.append(_Group("", [statement]))

    # Rules 2, 4 and 5, and the statuses.

    def _conversion(self, group: _Group) -> Expected:
        merged = self._merged(group)
        made_by = min((one for one in merged if one.kind != "adjustment"), key=_age)
        self._read_the_catalog_of(made_by, self._visit(made_by))
        credited, late = self._credited(made_by)
        self._read_the_catalog_of(made_by, credited)  # an impression, where the click was too long ago
        payout, revenue, no_rate = self._money(merged, made_by, credited)
        status, reason = self._status(group, merged, made_by, credited, late, no_rate=no_rate)
        owed = status == "approved" and not made_by.test and credited is not None
        return Expected(
            goal_id=self.goal_id,
            number=group.number,
            status=status,
            reason=int(reason),
            affiliate_id=credited.affiliate_id if credited else 0,
            payout=payout if owed else ZERO,
            revenue=revenue if owed else ZERO,
            payout_currency=_currency(self.goal, "payout") if credited else "",
            revenue_currency=_currency(self.goal, "revenue") if credited else "",
            observations=len({statement.receipt for statement in [*group.said, *group.beside]}),
            kinds=tuple(sorted({statement.kind for statement in [*group.said, *group.beside]})),
            test=made_by.test,
        )

    def _merged(self, group: _Group) -> list[Statement]:
        """What takes part in status and money, the most trusted and latest last."""
        allowed = [statement for statement in group.said if not self._forbidden(statement)]
        if not any(statement.kind != "adjustment" for statement in allowed):
            allowed = group.said
        return sorted(allowed, key=lambda statement: (_trust(statement), *_age(statement)))

    def _credited(self, made_by: Statement) -> tuple[Visit | None, Reason]:
        """The visit that gets the conversion, and whether it was too long ago."""
        click, view = _before(self.visits, made_by)
        if self.offer is None:
            return click or view, Reason.NONE
        if click and made_by.occurred_ms - click.occurred_ms <= to_ms(self.offer.click_window):
            return click, Reason.NONE
        if view and made_by.occurred_ms - view.occurred_ms <= to_ms(self.offer.view_window):
            return view, Reason.NONE
        if click:
            return click, Reason.OUTSIDE_CLICK_WINDOW
        return view, Reason.OUTSIDE_VIEW_WINDOW if view else Reason.NONE

    def _status(  # noqa: C901, PLR0911, PLR0912  the rules' own list, in its order
        self,
        group: _Group,
        merged: list[Statement],
        made_by: Statement,
        credited: Visit | None,
        late: Reason,
        *,
        no_rate: bool,
    ) -> tuple[str, Reason]:
        word = next((statement.status for statement in reversed(merged) if statement.status), "")
        by_network = next(
            (one.status for one in reversed(merged) if one.kind == "adjustment" and one.status), ""
        )
        stated = self._meaning(word) if word else ""
        if credited is None:
            return "pending", Reason.AWAITING_CLICK
        if by_network == "approved" and no_rate:
            return "pending", Reason.NO_EXCHANGE_RATE
        if by_network:
            return by_network, Reason.ADJUSTMENT
        if self._forbidden(made_by):
            most_trusted = [one for one in merged if one.kind != "adjustment"][-1]
            return "rejected", Reason(self._forbidden(most_trusted))
        barred = self._barred(credited)
        if barred:
            return "rejected", barred
        if self.goal is None or self.offer is None:
            return "rejected", Reason.UNKNOWN_GOAL
        if late:
            return "rejected", late
        since_ms = max(0, made_by.occurred_ms - credited.occurred_ms)
        if credited.kind == "click" and since_ms < to_ms(self.offer.min_time):
            return "rejected", Reason.TOO_SOON
        if group.ambiguous:
            return "rejected", Reason.AMBIGUOUS_STATEMENT
        if not group.counts:
            return "rejected", Reason.DUPLICATE_CONVERSION
        if made_by.test:
            return "rejected", Reason.TEST_CONVERSION
        if stated == "rejected":
            return "rejected", Reason.STATED_BY_ADVERTISER
        if stated is None:
            return "pending", Reason.UNKNOWN_STATUS_WORD
        if stated == "pending":
            return "pending", Reason.STATED_BY_ADVERTISER
        if credited.is_bot and self.offer.bots != "count":
            return "pending", Reason.BOT_CLICK
        if no_rate:
            return "pending", Reason.NO_EXCHANGE_RATE
        if self.goal.confirm == "postback" and all(one.kind != "postback" for one in merged):
            return "pending", Reason.NO_CONFIRMATION
        if stated == "approved":
            return "approved", Reason.NONE
        if self.goal.approval == "manual":
            return "pending", Reason.NEEDS_APPROVAL
        return "approved", Reason.NONE

    def _meaning(self, word: str) -> str | None:
        """The status that the advertiser's word means; None for a word that nobody knows."""
        word = word.strip().lower()
        for advertiser in self.catalog.advertisers:
            if self.offer and advertiser.id == self.offer.advertiser_id:
                words = {own.strip().lower(): status for own, status in advertiser.status_words.items()}
                if word in words:
                    return words[word]
        return word if word in {"approved", "pending", "rejected"} else None

    def _barred(self, credited: Visit) -> Reason:
        """Offer, goal and affiliate as they were at the click."""
        if credited.redirect_reason:
            return Reason(credited.redirect_reason)
        catalog = self.catalogs[credited.catalog_version]
        offer = _offer(catalog, credited.offer_id)
        goal = _goal(offer, self.goal_id)
        if (offer and offer.status != "active") or (goal and goal.status != "active"):
            return Reason.OFFER_PAUSED
        affiliate = next((one for one in catalog.affiliates if one.id == credited.affiliate_id), None)
        if affiliate is None or affiliate.status != "active":
            return Reason.AFFILIATE_NOT_APPROVED
        if offer and offer.affiliates != "all":
            approved = {one.id for one in offer.affiliates if one.status == "approved"}
            if credited.affiliate_id not in approved:
                return Reason.AFFILIATE_NOT_APPROVED
        return Reason.NONE

    def _money(
        self, merged: list[Statement], made_by: Statement, credited: Visit | None
    ) -> tuple[Decimal, Decimal, bool]:
        """Payout and revenue by the terms, and whether a rate was missing."""
        if self.goal is None or credited is None:
            return ZERO, ZERO, False
        version = max(credited.catalog_version, made_by.catalog_version)
        catalog = self.catalogs[version]
        goal = _goal(_offer(catalog, credited.offer_id), self.goal_id) or self.goal
        amount = next((one.amount for one in reversed(merged) if one.amount is not None), ZERO)
        by_server = any(one.kind == "postback" and one.amount is not None for one in merged)
        heard = [one for one in merged if not by_server or one.kind not in {"pixel", "iframe"}]
        currency = next((one.currency.upper() for one in reversed(heard) if one.currency), "")
        currency = currency or _currency(goal, "payout")
        day = times.from_ms(made_by.occurred_ms)[:10]
        sums: list[Decimal] = []
        missing = False
        for side in ("payout", "revenue"):
            stated = _stated(merged, side)
            if stated is not None:
                sums.append(stated)
                continue
            price = _price(catalog, goal, side, credited)
            rate = _rate(catalog, currency, _currency(goal, side), day) if price.percent and amount else ZERO
            missing = missing or rate is None
            exact = price.fixed + amount * price.percent * rate / 100 if rate is not None else ZERO
            sums.append(rounded(exact, _currency(goal, side)) if exact else ZERO)
        return sums[0], sums[1], missing


def _add_numbered(groups: list[_Group], statement: Statement) -> None:
    group = next((group for group in groups if group.number == statement.number), None)
    if group is None:
        groups.append(_Group(statement.number, [statement]))
    else:
        group.said.append(statement)


def _add_adjustment(groups: list[_Group], statement: Statement) -> None:
    """The network speaks of a conversion by its number; without one, where only one can be meant."""
    meant = [group for group in groups if group.number == statement.number] if statement.number else groups
    counting = [group for group in meant if group.counts]
    if len(counting or meant) == 1:
        (counting or meant)[0].said.append(statement)


def _stated(merged: list[Statement], side: str) -> Decimal | None:
    """What the network stated as owed; it needs no terms and no rate."""
    found = (getattr(statement, side) for statement in reversed(merged))
    return next((stated for stated in found if stated is not None), None)


def _currency(goal: Goal | None, side: str) -> str:
    if goal is None:
        return ""
    return (goal.payout_currency if side == "payout" else goal.revenue_currency) or goal.currency


def _price(catalog: Catalog, goal: Goal, side: str, visit: Visit) -> Price:
    """That of the first term whose conditions all hold; what this one leaves out, the goal's."""
    affiliate = next((one for one in catalog.affiliates if one.id == visit.affiliate_id), None)
    own: Price = getattr(goal, side)
    for term in goal.terms:
        asked = [
            (term.affiliate, visit.affiliate_id),
            (term.tier, affiliate.tier if affiliate else ""),
            (term.country, visit.country),
            (term.device, visit.device),
            (term.source, visit.source),
        ]
        if all(not wanted or is_ in wanted for wanted, is_ in asked):
            price: Price | None = getattr(term, side)
            return own if price is None else price
    return own


def _rate(catalog: Catalog, source: str, target: str, day: str) -> Decimal | None:
    """The rate in force on that day; None where the catalog has none."""
    if source == target:
        return Decimal(1)
    known = [rate for rate in catalog.network.rates if (rate.from_, rate.to) == (source, target)]
    past = [rate for rate in known if rate.since.isoformat() <= day]
    return max(past, key=lambda rate: rate.since).rate if past else None
