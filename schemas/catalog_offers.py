"""Offers and goals of the catalog: where visitors go, what counts, what it pays."""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

import msgspec

from schemas import durations
from schemas.catalog_parties import (
    Device,
    Entry,
    GoalId,
    Id,
    Kind,
    Name,
    Proof,
    Running,
    Status,
    Text,
    Url,
    Variable,
)
from schemas.macros import Template, compile_template


class LandingPage(Entry, frozen=True, kw_only=True):
    """Another page of the offer, chosen by `url_id`."""

    id: Id
    url: Url
    name: Text = ""

    @cached_property
    def template(self) -> Template:
        """`url`, compiled."""
        return compile_template(self.url)


class Permission(Entry, frozen=True, kw_only=True):
    """What the network decided about one affiliate and one offer."""

    id: Id
    status: Status = "approved"


class Derived(Entry, frozen=True, kw_only=True):
    """The transaction ID is made of these variables of the customer, by a key that never changes."""

    derived: Annotated[tuple[Variable, ...], msgspec.Meta(min_length=1)]
    key: Text = ""


class Price(Entry, frozen=True, kw_only=True):
    """A fixed sum, a percentage of the sale amount, or both."""

    fixed: Decimal = Decimal(0)
    percent: Decimal = Decimal(0)


class Term(Entry, frozen=True, kw_only=True):
    """Other prices for some conversions: every condition that is given must hold."""

    name: Text = ""
    affiliate: tuple[Id, ...] = ()
    tier: tuple[Name, ...] = ()
    country: tuple[str, ...] = ()
    device: tuple[Device, ...] = ()
    source: tuple[Name, ...] = ()
    payout: Price | None = None
    revenue: Price | None = None


class Goal(Entry, frozen=True, kw_only=True):
    """Something that a customer does and that is counted."""

    id: GoalId
    name: Name
    status: Running = "active"
    aliases: tuple[Name, ...] = ()
    payout: Price = Price()
    revenue: Price = Price()
    currency: str = ""
    payout_currency: str = ""
    revenue_currency: str = ""
    terms: tuple[Term, ...] = ()
    repeat: Literal["once", "many"] = "once"
    dedupe_window: str = "10m"
    approval: Literal["auto", "manual"] = "auto"
    confirm: Literal["any", "postback"] = "any"

    @property
    def paid_in(self) -> str:
        """The payout's currency."""
        return self.payout_currency or self.currency

    @property
    def billed_in(self) -> str:
        """The revenue's currency."""
        return self.revenue_currency or self.currency

    @cached_property
    def dedupe_window_ms(self) -> int:
        """`dedupe_window` in milliseconds."""
        return durations.to_ms(self.dedupe_window)


class Offer(Entry, frozen=True, kw_only=True):
    """What is advertised: where its visitors go, and which statements about them count."""

    id: Id
    advertiser_id: Id
    name: Name
    url: Url
    ref: Text = ""
    status: Running = "active"
    landing_pages: tuple[LandingPage, ...] = ()
    hosts: tuple[str, ...] = ()
    fallback_url: Url = ""
    affiliates: Literal["all"] | tuple[Permission, ...] = "all"
    identifier: Literal["random", "affiliate"] | Derived = "random"
    tracking: Annotated[tuple[Kind, ...], msgspec.Meta(min_length=1)] = ("postback", "iframe", "pixel")
    proof: Literal["", Proof] = ""
    click_window: str = "30d"
    view_window: str = "24h"
    min_time: str = "0s"
    bots: Literal["pending", "count"] = "pending"
    goals: tuple[Goal, ...] = ()

    @cached_property
    def click_window_ms(self) -> int:
        """`click_window` in milliseconds."""
        return durations.to_ms(self.click_window)

    @cached_property
    def view_window_ms(self) -> int:
        """`view_window` in milliseconds."""
        return durations.to_ms(self.view_window)

    @cached_property
    def min_time_ms(self) -> int:
        """`min_time` in milliseconds."""
        return durations.to_ms(self.min_time)

    @property
    def is_active(self) -> bool:
        """Whether it takes clicks."""
        return self.status == "active"

    @cached_property
    def template(self) -> Template:
        """`url`, compiled."""
        return compile_template(self.url)

    @cached_property
    def fallback_template(self) -> Template | None:
        """`fallback_url`, compiled; None where there is none."""
        return compile_template(self.fallback_url) if self.fallback_url else None

    @cached_property
    def _pages(self) -> dict[int, LandingPage]:
        return {page.id: page for page in self.landing_pages}

    @cached_property
    def _permissions(self) -> dict[int, Status] | None:
        return None if self.affiliates == "all" else {one.id: one.status for one in self.affiliates}

    @cached_property
    def _goals(self) -> dict[int, Goal]:
        return {goal.id: goal for goal in self.goals}

    @cached_property
    def _goal_ids(self) -> dict[str, int]:
        """What a goal may be called -> its ID; an ID comes before a name, a name before an alias."""
        by_alias = {alias.strip().casefold(): goal.id for goal in self.goals for alias in goal.aliases}
        by_name = {goal.name.strip().casefold(): goal.id for goal in self.goals}
        return by_alias | by_name | {str(goal.id): goal.id for goal in self.goals}

    def landing_page(self, url_id: int) -> LandingPage | None:
        """The landing page with this ID."""
        return self._pages.get(url_id)

    def goal(self, goal_id: int) -> Goal | None:
        """The goal with this ID."""
        return self._goals.get(goal_id)

    def resolve_goal(self, stated: str) -> int | None:
        """The ID of the goal that a caller names by ID, name or alias, in any case; None for none."""
        return self._goal_ids.get(stated.strip().casefold())

    def admits(self, affiliate_id: int) -> bool:
        """Whether the network approved this affiliate for the offer, whatever the affiliate's own status."""
        return self._permissions is None or self._permissions.get(affiliate_id) == "approved"

    def admits_host(self, host: str) -> bool:
        """Whether a deep link may go to this host: one of `hosts`, exactly, or below one written `*.name`."""
        host = host.lower()
        return host in self.hosts or any(f"*{host[n:]}" in self.hosts for n, c in enumerate(host) if c == ".")
