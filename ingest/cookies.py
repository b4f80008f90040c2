"""The cookie on our own domain: the last click and the last impression of each offer in this browser.

`rt=c7.ID~v7.ID~c9.ID.TIME`, newest first: a click (c) or a view (v), the offer, the transaction ID, and where
the ID carries no time of its own, the visit's in Unix seconds. Each ID is checked like any other. The cookie
is bounded: the oldest entries fall out.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final, Literal

import msgspec

from ingest.caller import every
from schemas import transaction_id
from schemas.transaction_id import Keyring, Verdict

NAME: Final = "rt"
MAX_ENTRIES: Final = 20  # 20 * 56 bytes stay far below the 4096 that browsers keep
MAX_AGE_S: Final = 90 * 86_400  # longer than any usual click window; the window itself is the joiner's affair
UNIQUE_MS: Final = 86_400_000  # a second click within a day is the same visitor
_MAX_BYTES: Final = 2_000  # of what is read: anyone can send a cookie
_ENTRY: Final = re.compile(r"([cv])(\d{1,10})\.([0-9a-z]{32})(?:\.(\d{10}))?", re.ASCII).fullmatch

Kind = Literal["c", "v"]
CLICK: Final[Kind] = "c"
VIEW: Final[Kind] = "v"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One remembered visit; stated_s: its time in Unix seconds, 0 where the ID carries it."""

    kind: str
    offer_id: int
    transaction_id: str
    stated_s: int = 0

    @property
    def at_ms(self) -> int:
        """When the visit was, Unix ms."""
        shared = self.transaction_id[0] in "ad"
        return self.stated_s * 1000 if shared else transaction_id.time_ms(self.transaction_id)

    @property
    def text(self) -> str:
        """As the cookie has it."""
        time = f".{self.stated_s}" if self.stated_s else ""
        return f"{self.kind}{self.offer_id}.{self.transaction_id}{time}"


def read(cookie_header: str) -> list[Entry]:
    """What the browser remembers, newest first; anything that does not look like ours is left out."""
    at = cookie_header.find(NAME + "=")
    if at < 0:
        return []
    for part in cookie_header[at:].split(";"):
        name, _, value = part.strip().partition("=")
        if name == NAME:
            return _entries(value)
    return []


def _entries(value: str) -> list[Entry]:
    if len(value) > _MAX_BYTES:
        return []
    found = [_ENTRY(part) for part in value.strip('"').split("~")[:MAX_ENTRIES]]
    return [Entry(each[1], int(each[2]), each[3], int(each[4] or 0)) for each in found if each]


def written(entries: list[Entry], added: Entry, *, secure: bool) -> str:
    """The Set-Cookie header after one more visit.

    SameSite=None, so that a pixel on the shop's page may bring it back; browsers take that only with Secure.
    """
    value = added.text
    if entries:
        kept = [each for each in entries if (each.kind, each.offer_id) != (added.kind, added.offer_id)]
        value = "~".join([value, *(each.text for each in kept[: MAX_ENTRIES - 1])])
    site = "SameSite=None; Secure" if secure else "SameSite=Lax"
    return f"{NAME}={value}; Max-Age={MAX_AGE_S}; Path=/; HttpOnly; {site}"


def seen_ms(entries: list[Entry], kind: Kind, offer_id: int, keyring: Keyring) -> int:
    """When the browser's last valid visit of this kind and offer was, Unix ms; 0 where it shows none."""
    for each in entries:
        if each.kind == kind and each.offer_id == offer_id and _genuine(keyring, each):
            return each.at_ms
    return 0


def last_visit(entries: list[Entry], offers: Collection[int], keyring: Keyring) -> Entry | None:
    """The newest genuine click on any of the offers, else the newest genuine impression."""
    genuine = [each for each in entries if each.offer_id in offers and _genuine(keyring, each)]
    genuine.sort(key=lambda each: (each.kind == CLICK, each.at_ms), reverse=True)
    return genuine[0] if genuine else None


def _genuine(keyring: Keyring, entry: Entry) -> bool:
    return transaction_id.check(keyring, entry.transaction_id).verdict is Verdict.GENUINE


def of(headers: Mapping[str, str]) -> list[Entry]:
    """The entries of a request."""
    if "Cookie" not in headers:
        return []
    return read("; ".join(every(headers, "Cookie")))
