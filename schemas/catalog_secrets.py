"""Secrets of the catalog: what may be published of them, which is never the secret itself.

A secret is written as a reference (`env:NAME`, `file:PATH`), published as written and resolved by the process
that needs it. A static token may stand in the file as it is: published is its hash, with the advertiser's ID
as salt, so that equal tokens do not show and applying the same file again changes nothing. A signing key can
only be a reference: who verifies HMAC needs the key itself.
"""

import hashlib
import re
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

SHORT_TOKEN: Final = 16  # characters; of a shorter one the published hash can be searched for

_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*", re.ASCII)
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def is_reference(text: str) -> bool:
    """Whether it says where a secret lies."""
    return _REFERENCE.fullmatch(text) is not None


def is_hash(text: str) -> bool:
    """Whether it is a token as published."""
    return _HASH.fullmatch(text) is not None


def published_token(advertiser_id: int, token: str) -> str:
    """What the catalog carries of this token: a reference or a hash as it is, else the token's hash."""
    if not token or is_reference(token) or is_hash(token):
        return token
    return _hashed(advertiser_id, token.encode())


def matches_token(
    advertiser_id: int, published: str, stated: str, resolve: Callable[[str], bytes | None]
) -> bool:
    """Whether the token is the advertiser's; `resolve` gives the secret behind a reference, if any."""
    if not published or not stated:
        return False
    given = stated.encode("utf-8", "replace")
    if is_hash(published):
        return compare_digest(published, _hashed(advertiser_id, given))
    secret = resolve(published)
    return secret is not None and compare_digest(secret, given)


def _hashed(advertiser_id: int, token: bytes) -> str:
    salted = b"roundtrip token of advertiser %d:%b" % (advertiser_id, token)
    return "sha256:" + hashlib.sha256(salted).hexdigest()
