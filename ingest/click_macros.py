"""The values of the macros in offer URLs, at the click."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ingest.caller import Caller
from schemas import macros, transaction_id
from schemas.catalog import Catalog, Offer
from schemas.macros import Template


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a click's macros may name.

    stated: the click's parameters by canonical name; params: those that nobody knows.
    transaction_id: empty where none was made (HEAD).
    """

    catalog: Catalog
    offer: Offer
    affiliate_id: int
    url_id: int
    stated: Mapping[str, str]
    params: Mapping[str, str]
    caller: Caller
    transaction_id: str
    received_ms: int


def fill(template: Template, scene: Scene) -> str:
    """The URL to go to; only the values that the template names are worked out."""
    values = {
        name: _VALUES[name](scene) if name in _VALUES else scene.stated.get(name, "")
        for name in template.names
        if name in macros.NAMES
    }
    return macros.fill(template, values, scene.params)


def _of_affiliate(field: str) -> Callable[[Scene], str]:
    return lambda scene: str(getattr(scene.catalog.affiliate(scene.affiliate_id), field, ""))


def _of_advertiser(field: str) -> Callable[[Scene], str]:
    return lambda scene: str(getattr(scene.catalog.advertiser(scene.offer.advertiser_id), field, ""))


def _of_time(name: str) -> Callable[[Scene], str]:
    return lambda scene: macros.time_values(scene.received_ms)[name]


def _random_part(scene: Scene) -> str:
    """Of the ID's random part, or the time where it has none: a cache buster needs no more."""
    own = transaction_id.kind(scene.transaction_id) is transaction_id.Kind.RANDOM
    return scene.transaction_id[10:20] if own else str(scene.received_ms)


# What is not here is a parameter of its own name (sub IDs, source …), or is a conversion's and empty.
_VALUES: Final[Mapping[str, Callable[[Scene], str]]] = {
    "transaction_id": lambda scene: scene.transaction_id,
    "offer_id": lambda scene: str(scene.offer.id),
    "offer_name": lambda scene: scene.offer.name,
    "offer_ref": lambda scene: scene.offer.ref,
    "affiliate_id": lambda scene: str(scene.affiliate_id),
    "affiliate_name": _of_affiliate("name"),
    "affiliate_ref": _of_affiliate("ref"),
    "advertiser_id": lambda scene: str(scene.offer.advertiser_id),
    "advertiser_ref": _of_advertiser("ref"),
    "offer_url_id": lambda scene: str(scene.url_id),
    "ip": lambda scene: scene.caller.ip,
    "session_ip": lambda scene: scene.caller.ip,
    "country_code": lambda scene: scene.caller.country_code,
    "device_os": lambda scene: scene.caller.device.device_os,
    "device_brand": lambda scene: scene.caller.device.device_brand,
    "user_agent": lambda scene: scene.caller.user_agent,
    "ran": _random_part,
    **{name: _of_time(name) for name in ("date", "time", "datetime", "timestamp")},
}
