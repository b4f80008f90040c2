"""Advertisers and affiliates of the catalog, and the types that all its entries share."""

from functools import cached_property
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, Literal

import msgspec

from schemas.macros import Template, compile_template

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


_STRENGTHS: Final[dict[str, int]] = {"none": 0, "allow_from": 1, "token": 2, "signature": 3}


def suffices(proven_by: str, required: Proof) -> bool:
    """Whether what a request proved is at least as strong as what it must prove.

    proven_by: as on the facts: `token`, `signature:KEY`, `allow_from`, empty for nothing.
    """
    return _STRENGTHS.get(proven_by.partition(":")[0], 0) >= _STRENGTHS[required]


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A table of the catalog file. `dict=True` keeps what was worked out of it (cached_property)."""


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
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`allow_from`, read."""
        return tuple(ip_network(text) for text in self.allow_from)

    def allows(self, address: str) -> bool:
        """Whether the address is on `allow_from`; an IPv4 address written as IPv6 counts as what it is."""
        if not self.allow_from:
            return False
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self.networks)

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
