"""The transaction ID: 32 characters that sort by time and carry our signature.

Crockford base32, 160 bits: 48 Unix time in ms (big-endian), 56 random, 8 signing-key number, 48 HMAC-SHA256
over the rest, truncated. Written in lower case; read in any case, with Crockford's look-alikes (o is 0, i and
l are 1). Hyphens are not read: no ID of ours has any, and who adds some is better told so than guessed at.

The first character tells the kind. A random ID begins with a digit (its times end in the year 4757); `d` is
reserved for derived identifiers, `a` for affiliate ones; nothing else is an ID.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum
from hmac import compare_digest
from typing import Final

import msgspec

LENGTH: Final = 32
RANDOM_BYTES: Final = 7
MAX_MS: Final = (10 << 43) - 1  # beyond it the first character would be a letter
MIN_KEY_BYTES: Final = 16

_SIGNED_BYTES: Final = 14
_BYTES: Final = 20
_ALPHABET: Final = b"0123456789abcdefghjkmnpqrstvwxyz"
_INT_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuv"  # what int(…, 32) reads
_PAIRS: Final = tuple(chr(high) + chr(low) for high in _ALPHABET for low in _ALPHABET)


def _reading_table() -> bytes:
    """Each byte that may stand in an ID -> its canonical one; any other -> `!`, which int() refuses."""
    table = bytearray(b"!" * 256)
    for canonical, readings in [(byte, bytes([byte])) for byte in _ALPHABET] + [(48, b"o"), (49, b"il")]:
        for byte in readings + readings.upper():
            table[byte] = canonical
    return bytes(table)


_CANONICAL: Final = _reading_table()
_TO_INT: Final = bytes.maketrans(_ALPHABET, _INT_DIGITS)


class Kind(Enum):
    """Which identifier an ID is, by its first character."""

    RANDOM = "random"
    DERIVED = "derived"
    AFFILIATE = "affiliate"


class Verdict(Enum):
    """What a text that claims to be an ID is.

    GENUINE: signed by a key of the ring.
    FORGED: well-formed, but the signature is not ours: made up, mistyped.
    MALFORMED: no random ID at all: cut, wrong length, wrong characters.
    UNKNOWN_KEY: names a key that this ring does not have (yet): no forgery so far (design §3).
    """

    GENUINE = "genuine"
    FORGED = "forged"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown key"


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A verdict; `transaction_id` is the canonical text, empty where malformed."""

    verdict: Verdict
    transaction_id: str


_MALFORMED: Final = Checked(Verdict.MALFORMED, "")


class Keyring:
    """The keys that verify, by number 0 to 255, of which `signing` signs.

    ValueError where a number or a key's length is out of bounds or the signing key is missing.
    """

    def __init__(self, keys: Mapping[int, bytes], signing: int) -> None:
        for number, key in keys.items():
            if not 0 <= number <= 255:  # noqa: PLR2004  eight bits
                raise ValueError(f"key number {number} is not between 0 and 255")
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(f"key {number} is shorter than {MIN_KEY_BYTES} bytes")
        if signing not in keys:
            raise ValueError(f"signing key {signing} is not among the keys {sorted(keys)}")
        self.signing = signing
        # Keyed once: copying the two states costs half of hmac.digest, which sets the key up on each call.
        self._states = {number: _keyed_states(key) for number, key in keys.items()}

    @property
    def numbers(self) -> list[int]:
        """The key numbers that verify."""
        return sorted(self._states)

    def sign(self, number: int, message: bytes) -> bytes | None:
        """The first 48 bits of HMAC-SHA256 by this key; None where the ring has no such key."""
        states = self._states.get(number)
        if states is None:
            return None
        inner, outer = states[0].copy(), states[1].copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()[:6]


def _keyed_states(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """HMAC's inner and outer hash after their padded key (RFC 2104)."""
    padded = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")  # noqa: PLR2004  SHA-256's block
    return (
        hashlib.sha256(bytes(byte ^ 0x36 for byte in padded)),
        hashlib.sha256(bytes(byte ^ 0x5C for byte in padded)),
    )


def make(keyring: Keyring, now_ms: int, random: bytes) -> str:
    """A new ID of this moment; `random` is 7 bytes of a CSPRNG."""
    if not 0 <= now_ms <= MAX_MS:
        raise ValueError(f"no time that an ID can carry: {now_ms} ms")
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an ID takes {RANDOM_BYTES} random bytes, not {len(random)}")
    body = b"%b%b%c" % (now_ms.to_bytes(6, "big"), random, keyring.signing)
    signature = keyring.sign(keyring.signing, body)
    assert signature is not None  # noqa: S101  the ring's constructor guards it
    return _encode(body + signature)


def check(keyring: Keyring, text: str) -> Checked:
    """What `text` is, and its canonical form."""
    if len(text) != LENGTH:
        return _MALFORMED
    canonical = text.encode("ascii", "replace").translate(_CANONICAL)
    if canonical[0] > 0x39:  # noqa: PLR2004  "9": letters begin other kinds
        return _MALFORMED
    try:
        raw = int(canonical.translate(_TO_INT), 32).to_bytes(_BYTES, "big")
    except ValueError:
        return _MALFORMED
    transaction_id = canonical.decode("ascii")
    signature = keyring.sign(raw[13], raw[:_SIGNED_BYTES])
    if signature is None:
        return Checked(Verdict.UNKNOWN_KEY, transaction_id)
    genuine = compare_digest(signature, raw[_SIGNED_BYTES:])
    return Checked(Verdict.GENUINE if genuine else Verdict.FORGED, transaction_id)


def kind(text: str) -> Kind | None:
    """Which identifier it claims to be, by its first character; None for no ID. Verifies nothing."""
    if len(text) != LENGTH:
        return None
    first = text[0]
    if first in "0123456789oOiIlL":
        return Kind.RANDOM
    return {"d": Kind.DERIVED, "a": Kind.AFFILIATE}.get(first.lower())


def time_ms(transaction_id: str) -> int:
    """The Unix time in ms inside a canonical random ID."""
    return int(transaction_id[:10].encode("ascii").translate(_TO_INT), 32) >> 2


def _encode(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    pairs = _PAIRS
    return "".join([pairs[number >> shift & 1023] for shift in range(150, -10, -10)])
