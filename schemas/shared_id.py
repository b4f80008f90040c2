"""Transaction IDs that many clicks share: of a customer (derived), or of an affiliate on an offer.

32 characters like the random ones; the first tells the kind, the other 31 hold 155 bits:

d  31 the offer · 76 HMAC-SHA256 over the customer's variables · 48 HMAC over both     by the offer's key
a  31 the offer · 31 the affiliate · 93 SHA-256 over both

So the same customer has the same ID on every click and conversion of an offer, and a made-up, cut or mistyped
one is known at the edge; whose it is, nobody can tell without the offer's key. An affiliate's ID holds no
secret: offer and affiliate stand in every link, and its last bits only find typing errors.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from schemas import crockford

MIN_KEY_BYTES: Final = 16

_D: Final = 13  # the value of the digit `d`, and of `a` below
_A: Final = 10
_BITS: Final = 155
_ID_BITS: Final = 31
_PERSON_BITS: Final = 76
_TAG_BITS: Final = 48
_SUM_BITS: Final = 93


def offer_key(root: bytes, offer_id: int) -> bytes:
    """The offer's own key, out of the installation's secret for identifiers."""
    return hmac.digest(root, b"roundtrip identifiers of offer %d" % offer_id, "sha256")


def derived(key: bytes, offer_id: int, variables: Mapping[str, str]) -> str:
    """The customer's ID on the offer, of normal variables (schemas.variables) in any order."""
    parts = [b"roundtrip customer of offer %d" % offer_id]
    for name in sorted(variables):
        value = variables[name].encode()
        parts.append(b"%b %d %b" % (name.encode(), len(value), value))  # its length: nothing runs together
    person = _mac(key, b"\n".join(parts), _PERSON_BITS)
    body = offer_id << _PERSON_BITS | person
    return crockford.text(_D << _BITS | body << _TAG_BITS | _tag(key, body))


def affiliate(offer_id: int, affiliate_id: int) -> str:
    """The affiliate's ID on the offer."""
    body = offer_id << _ID_BITS | affiliate_id
    return crockford.text(_A << _BITS | body << _SUM_BITS | _sum(body))


def offer_of(value: int) -> int:
    """The offer in the number that a shared ID writes."""
    return value >> (_BITS - _ID_BITS) & ((1 << _ID_BITS) - 1)


def is_derived(value: int) -> bool:
    """Whether the number that an ID writes has a derived ID's first character."""
    return value >> _BITS == _D


def is_affiliate(value: int) -> bool:
    """Whether the number that an ID writes has an affiliate ID's first character."""
    return value >> _BITS == _A


def derived_is_genuine(key: bytes, value: int) -> bool:
    """Whether the offer's key made the derived ID that writes this number; in constant time."""
    body = (value >> _TAG_BITS) & ((1 << (_ID_BITS + _PERSON_BITS)) - 1)
    return hmac.compare_digest(_six(value & ((1 << _TAG_BITS) - 1)), _six(_tag(key, body)))


def affiliate_is_genuine(value: int) -> bool:
    """Whether the affiliate ID that writes this number is whole."""
    body = (value >> _SUM_BITS) & ((1 << (2 * _ID_BITS)) - 1)
    return value & ((1 << _SUM_BITS) - 1) == _sum(body)


def _six(tag: int) -> bytes:
    return tag.to_bytes(_TAG_BITS // 8, "big")


def _tag(key: bytes, body: int) -> int:
    return _mac(key, b"roundtrip derived %d" % body, _TAG_BITS)


def _mac(key: bytes, message: bytes, bits: int) -> int:
    return int.from_bytes(hmac.digest(key, message, "sha256"), "big") >> (256 - bits)


def _sum(body: int) -> int:
    digest = hashlib.sha256(b"roundtrip affiliate %d" % body).digest()
    return int.from_bytes(digest, "big") >> (256 - _SUM_BITS)
