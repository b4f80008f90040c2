"""Secrets of the catalog: what may be published of them, which is never the secret itself.

A secret is written as a reference (`env:NAME`, `file:PATH`), published as written and resolved by the process
that needs it. A static token may stand in the file as it is: published is its digest, the same whoever's it
is, so that a stated token's owners are found by one look-up, however many advertisers there are. Earlier
catalogs salted it with each advertiser's ID: those must be tried one by one. A signing key can only be a
reference: who verifies HMAC needs the key itself.
"""

import hashlib
import re
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

SHORT_TOKEN: Final = 16  # characters; of a shorter one the published hash can be searched for

_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*", re.ASCII)
_HASH: Final = re.compile(r"(token-)?sha256:[0-9a-f]{64}", re.ASCII)


def is_reference(text: str) -> bool:
    """Whether it says where a secret lies."""
    return _REFERENCE.fullmatch(text) is not None


def is_hash(text: str) -> bool:
    """Whether it is a token as published."""
    return _HASH.fullmatch(text) is not None


def is_salted(text: str) -> bool:
    """Whether it is a token as earlier catalogs published it: salted with its advertiser's ID."""
    return is_hash(text) and text.startswith("sha256:")


def published_token(token: str) -> str:
    """What the catalog carries of this token: a reference or a hash as it is, else the token's digest."""
    if not token or is_reference(token) or is_hash(token):
        return token
    return digest(token.encode())


def digest(token: bytes) -> str:
    """What stands for a token where it must not stand itself."""
    return "token-sha256:" + hashlib.sha256(b"roundtrip token:" + token).hexdigest()


def matches_token(
    advertiser_id: int, published: str, stated: str, resolve: Callable[[str], bytes | None]
) -> bool:
    """Whether the token is the advertiser's; `resolve` gives the secret behind a reference, if any."""
    if not published or not stated:
        return False
    given = stated.encode("utf-8", "replace")
    if is_hash(published):
        expected = _salted(advertiser_id, given) if is_salted(published) else digest(given)
        return compare_digest(published, expected)
    secret = resolve(published)
    return secret is not None and compare_digest(secret, given)


def _salted(advertiser_id: int, token: bytes) -> str:
    salted = b"roundtrip token of advertiser %d:%b" % (advertiser_id, token)
    return "sha256:" + hashlib.sha256(salted).hexdigest()
