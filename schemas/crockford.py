"""Crockford's base32 of 160 bits, in lower case: 32 characters that are safe in any URL, cookie, form or CRM.

Read in any case, with Crockford's look-alikes (o is 0, i and l are 1). Hyphens are not read: no ID of ours
has any, and who adds some is better told so than guessed at.
"""

from typing import Final

LENGTH: Final = 32
BYTES: Final = 20

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


def canonical(text: str) -> bytes:
    """The text in small letters without look-alikes; what cannot stand there is `!`."""
    return text.encode("ascii", "replace").translate(_CANONICAL)


def number(canonical_text: bytes) -> int:
    """The number that canonical characters write; ValueError where one is none of ours."""
    return int(canonical_text.translate(_TO_INT), 32)


def text(value: int) -> str:
    """The 32 characters of a number of at most 160 bits."""
    pairs = _PAIRS
    return "".join([pairs[value >> shift & 1023] for shift in range(150, -10, -10)])
