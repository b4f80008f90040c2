"""Identity: the transaction ID of an offer whose identifier is not random. Pure.

derived: all of the offer's variables make a customer's ID. affiliate: offer and affiliate make one.
"""

from collections.abc import Mapping
from typing import Final

from ingest.parameters import Fields
from ingest.request import number
from schemas import shared_id
from schemas.catalog import Derived, Offer
from schemas.transaction_id import Keyring
from schemas.variables import normal


def at_visit(offer: Offer, fields: Fields, ip: str, keyring: Keyring) -> str:
    """The ID of a click or an impression; empty where it is to have one of its own."""
    if not isinstance(offer.identifier, Derived):
        return at_statement(offer, fields, "", keyring)
    names = offer.identifier.derived
    return _derived(offer, stated(names, fields, {**fields.values, "ip": ip}), keyring)


def at_statement(offer: Offer, fields: Fields, ip: str, keyring: Keyring) -> str:
    """The ID of what an advertiser states without one; empty where something lacks. ip: the customer's."""
    if isinstance(offer.identifier, Derived):
        return _derived(offer, of_customer(offer.identifier, fields, ip), keyring)
    affiliate_id = number(fields.values.get("aff_id", ""))
    return shared_id.affiliate(offer.id, affiliate_id) if affiliate_id else ""


def of_customer(identifier: Derived, fields: Fields, ip: str) -> dict[str, str]:
    """The offer's variables, as far as an advertiser states them."""
    return stated(identifier.derived, fields, {**fields.params, "ip": fields.values.get("ip", "") or ip})


def stated(names: tuple[str, ...], fields: Fields, elsewhere: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that are there, in their normal form. Two different values are a conflict."""
    found: dict[str, str] = {}
    claims = [(name.lower(), text) for name, text in fields.personal]
    claims += [(name, elsewhere[name]) for name in names if name in elsewhere and name not in _ONLY_PERSONAL]
    for name, text in claims:
        if name in names and (value := normal(name, text)) and found.setdefault(name, value) != value:
            fields.conflict = name
    return found


def has_key(offer: Offer, keyring: Keyring) -> bool:
    """Whether this edge can make the offer's IDs."""
    return not isinstance(offer.identifier, Derived) or bool(keyring.offer_key(offer.id))


def lacking(offer: Offer, fields: Fields) -> str:
    """What would have stood for the transaction ID, had it been sent."""
    if not isinstance(offer.identifier, Derived):
        return "aff_id"
    there = of_customer(offer.identifier, fields, "")
    return ", ".join(name for name in offer.identifier.derived if name not in there)


_ONLY_PERSONAL: Final = frozenset({"email", "user_name"})


def _derived(offer: Offer, variables: dict[str, str], keyring: Keyring) -> str:
    assert isinstance(offer.identifier, Derived)  # noqa: S101  the callers asked
    key = keyring.offer_key(offer.id)
    if not key or len(variables) < len(set(offer.identifier.derived)):
        return ""
    return shared_id.derived(key, offer.id, variables)
