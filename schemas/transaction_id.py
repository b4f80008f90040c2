"""The transaction ID: 32 characters that sort by time and carry our signature.

Crockford base32, 160 bits: 48 Unix time in ms (big-endian), 56 random, 8 signing-key number, 48 HMAC-SHA256
over the rest, truncated.

The first character tells the kind. A random ID begins with a digit (its times end in the year 4757), a
derived one with `d`, an affiliate's with `a` (both: schemas.shared_id); nothing else is an ID.
"""

import hashlib
import hmac
from collections.abc import Mapping
from enum import Enum
from hmac import compare_digest
from typing import Final

import msgspec

from schemas import crockford, shared_id

LENGTH: Final = crockford.LENGTH
RANDOM_BYTES: Final = 7
MAX_MS: Final = (10 << 43) - 1  # beyond it the first character would be a letter
MIN_KEY_BYTES: Final = 16

_SIGNED_BYTES: Final = 14
_BYTES: Final = crockford.BYTES


class Kind(Enum):
    """Which identifier an ID is, by its first character."""

    RANDOM = "random"
    DERIVED = "derived"
    AFFILIATE = "affiliate"


class Verdict(Enum):
    """What a text that claims to be an ID is.

    GENUINE: signed by a key of the ring; an affiliate's: whole.
    FORGED: well-formed, but the signature is not ours: made up, mistyped.
    MALFORMED: no ID at all: cut, wrong length, wrong characters.
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
    """The keys that verify, by number 0 to 255, of which `signing` signs; and those of derived identifiers.

    identifiers: the installation's secret, of which each offer has its own key; empty where there is none.
    offers: the keys of offers that the catalog gives one to; empty for one that is not at hand.
    ValueError where a number or a key's length is out of bounds or the signing key is missing.
    """

    def __init__(
        self,
        keys: Mapping[int, bytes],
        signing: int,
        identifiers: bytes = b"",
        offers: Mapping[int, bytes] | None = None,
    ) -> None:
        for number, key in keys.items():
            if not 0 <= number <= 255:  # noqa: PLR2004  eight bits
                raise ValueError(f"key number {number} is not between 0 and 255")
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(f"key {number} is shorter than {MIN_KEY_BYTES} bytes")
        if signing not in keys:
            raise ValueError(f"signing key {signing} is not among the keys {sorted(keys)}")
        if identifiers and len(identifiers) < MIN_KEY_BYTES:
            raise ValueError(f"the secret of identifiers is shorter than {MIN_KEY_BYTES} bytes")
        self.signing = signing
        self.identifiers = identifiers
        self._keys = keys
        self._offers = offers or {}
        # Keyed once: copying the two states costs half of hmac.digest, which sets the key up on each call.
        self._states = {number: _keyed_states(key) for number, key in keys.items()}

    @property
    def numbers(self) -> list[int]:
        """The key numbers that verify."""
        return sorted(self._states)

    def with_offers(self, offers: Mapping[int, bytes]) -> "Keyring":
        """The same ring, with these keys of offers."""
        return Keyring(self._keys, self.signing, self.identifiers, offers)

    def offer_key(self, offer_id: int) -> bytes:
        """The key of the offer's derived identifiers; empty where this ring has none."""
        if (own := self._offers.get(offer_id)) is not None:
            return own
        return shared_id.offer_key(self.identifiers, offer_id) if self.identifiers else b""

    def pseudonym(self, text: str) -> str:
        """A name for the text that nobody can turn back without the keys: 36 hex digits.

        The same for good where there is a secret of identifiers; else until another key signs. Nothing that
        is signed here can pass for a transaction ID: those are 14 bytes long.
        """
        digest = hashlib.sha256(text.encode()).digest()
        if self.identifiers:
            return hmac.digest(self.identifiers, b"roundtrip pseudonym %b" % digest, "sha256").hex()[:36]
        return b"".join(
            [self.sign(self.signing, b"user_id%d:%b" % (n, digest)) or b"" for n in range(3)]
        ).hex()

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
    return crockford.text(int.from_bytes(body + signature, "big"))


def check(keyring: Keyring, text: str) -> Checked:
    """What `text` is, and its canonical form."""
    if len(text) != LENGTH:
        return _MALFORMED
    canonical = crockford.canonical(text)
    try:
        value = crockford.number(canonical)
    except ValueError:
        return _MALFORMED
    if canonical[0] > 0x39:  # noqa: PLR2004  "9": letters begin other kinds
        return _shared(keyring, value, canonical.decode("ascii"))
    raw = value.to_bytes(_BYTES, "big")
    transaction_id = canonical.decode("ascii")
    signature = keyring.sign(raw[13], raw[:_SIGNED_BYTES])
    if signature is None:
        return Checked(Verdict.UNKNOWN_KEY, transaction_id)
    genuine = compare_digest(signature, raw[_SIGNED_BYTES:])
    return Checked(Verdict.GENUINE if genuine else Verdict.FORGED, transaction_id)


def _shared(keyring: Keyring, value: int, transaction_id: str) -> Checked:
    if shared_id.is_affiliate(value):
        genuine = shared_id.affiliate_is_genuine(value)
    elif shared_id.is_derived(value):
        key = keyring.offer_key(shared_id.offer_of(value))
        if not key:
            return Checked(Verdict.UNKNOWN_KEY, transaction_id)
        genuine = shared_id.derived_is_genuine(key, value)
    else:
        return _MALFORMED
    return Checked(Verdict.GENUINE if genuine else Verdict.FORGED, transaction_id)


def offer_of(text: str) -> int:
    """The offer that a canonical ID names; 0 for a random one, which names none."""
    return 0 if text[0] <= "9" else shared_id.offer_of(crockford.number(text.encode("ascii")))


def kind(text: str) -> Kind | None:
    """Which identifier it claims to be, by its first character; None for no ID. Verifies nothing."""
    return _KINDS.get(text[0]) if len(text) == LENGTH else None


_KINDS: Final = {
    **dict.fromkeys("0123456789oOiIlL", Kind.RANDOM),
    **dict.fromkeys("dD", Kind.DERIVED),
    **dict.fromkeys("aA", Kind.AFFILIATE),
}


def time_ms(transaction_id: str) -> int:
    """The Unix time in ms inside a canonical random ID."""
    return crockford.number(transaction_id[:10].encode("ascii")) >> 2
