"""The signature of a request: `sig=KEY.TIMESTAMP.MAC`, by a key that advertiser and network share.

MAC is HMAC-SHA256 in hex over TIMESTAMP, a line break, and the parameters: all but `sig`, each name and value
percent-encoded (RFC 3986: all but letters, digits and -._~, in UTF-8), joined by `=`, sorted, joined by `&`.
TIMESTAMP is in Unix seconds; who repeats a request signs it anew.
"""

import hmac
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote

NAME: Final = "sig"
WINDOW_S: Final = (
    300  # either way: clocks of servers differ by seconds, and a queue may hold a call for minutes
)

_MAX_DIGITS: Final = 11


class Signature(NamedTuple):
    """A signature, read: the key's name, the moment of signing in Unix seconds, the MAC in hex."""

    key_id: str
    signed_s: int
    mac: str


def read(text: str) -> Signature | None:
    """What the parameter says; None where it is no signature."""
    parts = text.rsplit(".", 2)  # a key's name may hold dots
    if len(parts) != len(Signature._fields) or not parts[0] or not _is_time(parts[1]):
        return None
    return Signature(parts[0], int(parts[1]), parts[2].lower())


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def canonical(pairs: Iterable[tuple[str, str]], signed_s: int) -> bytes:
    """What is signed of a request with these parameters, decoded as they arrived."""
    lines = sorted([f"{_encoded(name)}={_encoded(value)}" for name, value in pairs if name != NAME])
    return f"{signed_s}\n{'&'.join(lines)}".encode()


def mac(key: bytes, message: bytes) -> str:
    """The MAC of a canonical request."""
    return hmac.digest(key, message, "sha256").hex()


def is_genuine(key: bytes, message: bytes, stated: str) -> bool:
    """Whether the key made the MAC; in constant time."""
    return hmac.compare_digest(mac(key, message).encode(), stated.encode("utf-8", "replace"))


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")
