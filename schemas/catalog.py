"""The catalog: offers, goals, affiliates, advertisers and links, as the file has them and as each part asks.

docs/catalog.md says what each field means, with its default; a test compares it with these types. All here is
immutable; what is worked out of it (indexes, templates, networks) is worked out once, when first asked for.
"""

from decimal import Decimal
from functools import cached_property
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, Literal

import msgspec

from schemas import durations
from schemas.macros import Template, compile_template
from schemas.money import Rate, Rates

MAX_ID: Final = 2**31 - 1

Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
GoalId = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Url = Annotated[str, msgspec.Meta(max_length=4096)]
Status = Literal["approved", "pending", "rejected"]
Kind = Literal["postback", "iframe", "pixel"]
Proof = Literal["none", "allow_from", "token", "signature"]
Running = Literal["active", "paused"]
Device = Literal["desktop", "mobile", "tablet", "bot"]
Variable = Literal["email", "user_name", "ip", "aff_sub", "aff_sub2", "aff_sub3", "aff_sub4", "aff_sub5"]

STATUSES: Final[dict[str, Status]] = {"approved": "approved", "pending": "pending", "rejected": "rejected"}


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A table of the catalog file. `dict=True` keeps what was worked out of it (cached_property)."""


class Network(Entry, frozen=True, kw_only=True):
    """What holds for the whole network."""

    time_zone: str = "UTC"
    default_url: Url = ""
    rates: tuple[Rate, ...] = ()


class Key(Entry, frozen=True, kw_only=True):
    """A signing key of an advertiser; the secret itself is never in the catalog, only where it lies."""

    id: Name
    secret: Name


class PostbackProofs(Entry, frozen=True, kw_only=True):
    """What an advertiser's postbacks can prove themselves with."""

    keys: tuple[Key, ...] = ()
    token: Text = ""
    allow_from: tuple[str, ...] = ()

    @cached_property
    def _networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.allow_from)

    def allows(self, address: str) -> bool:
        """Whether the address is on `allow_from`; an IPv4 address written as IPv6 counts as what it is."""
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._networks)

    @property
    def strongest(self) -> Proof:
        """The strongest proof there is: signature, token, allow_from, none."""
        if self.keys:
            return "signature"
        if self.token:
            return "token"
        return "allow_from" if self.allow_from else "none"


class Advertiser(Entry, frozen=True, kw_only=True):
    """Who sells, and pays the network its revenue."""

    id: Id
    name: Name
    ref: Text = ""
    time_zone: str = ""
    postback: PostbackProofs = PostbackProofs()
    status_words: dict[str, Status] = {}

    @cached_property
    def _statuses(self) -> dict[str, Status]:
        return STATUSES | {word.strip().casefold(): status for word, status in self.status_words.items()}

    def status_of(self, word: str) -> Status | None:
        """The status that the advertiser's word means, in any case; None for a word that nobody knows."""
        return self._statuses.get(word.strip().casefold())


class PartnerCall(Entry, frozen=True, kw_only=True):
    """A URL of the affiliate's own tracker, and the conversions that it is for."""

    url: Url
    offers: tuple[Id, ...] = ()
    goals: tuple[GoalId, ...] = ()

    def wants(self, offer_id: int, goal_id: int) -> bool:
        """Whether it is for conversions of this offer and goal, whatever their status."""
        return (not self.offers or offer_id in self.offers) and (not self.goals or goal_id in self.goals)

    @cached_property
    def template(self) -> Template:
        """`url`, compiled."""
        return compile_template(self.url)


class PartnerPostback(PartnerCall, frozen=True, kw_only=True):
    """A call from our server: which statuses the affiliate is told, and whether changed amounts too."""

    on: tuple[Status, ...] = ("approved",)
    id: Text = ""
    amounts: bool = False

    @property
    def subscription(self) -> str:
        """What names it in a notice's key: its id, else its URL; so reordering a list tells nobody twice."""
        return self.id or self.url


class PartnerPixel(PartnerCall, frozen=True, kw_only=True):
    """An image, shown inside our iframe."""


class Affiliate(Entry, frozen=True, kw_only=True):
    """Who sends visitors, and gets the payout."""

    id: Id
    name: Name
    ref: Text = ""
    status: Literal["active", "pending", "blocked"] = "active"
    tier: Text = ""
    postbacks: tuple[PartnerPostback, ...] = ()
    pixels: tuple[PartnerPixel, ...] = ()


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
    """The transaction ID is made of these variables of the customer."""

    derived: Annotated[tuple[Variable, ...], msgspec.Meta(min_length=1)]


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

    @property
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

    @property
    def click_window_ms(self) -> int:
        """`click_window` in milliseconds."""
        return durations.to_ms(self.click_window)

    @property
    def view_window_ms(self) -> int:
        """`view_window` in milliseconds."""
        return durations.to_ms(self.view_window)

    @property
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
        found: dict[int, tuple[Offer, ...]] = {}
        for offer in self.offers:
            found[offer.advertiser_id] = (*found.get(offer.advertiser_id, ()), offer)
        return found

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

    def time_zone_of(self, advertiser_id: int) -> str:
        """The zone in which the advertiser's times without one are read: its own, else the network's."""
        advertiser = self._advertisers.get(advertiser_id)
        return (advertiser.time_zone if advertiser else "") or self.network.time_zone
