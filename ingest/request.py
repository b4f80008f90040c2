"""A request as the deciding code sees it: free of HTTP's machinery, with everything of it bounded."""

import msgspec

from ingest import parameters
from ingest.caller import Caller
from ingest.cookies import Entry
from ingest.parameters import Pair
from ingest.proving import NONE, Proofs
from schemas.catalog import MAX_ID
from schemas.catalog_versions import CatalogVersion
from schemas.transaction_id import Keyring


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked.

    pairs: the parameters of query and body, decoded, in order.
    cookies: the visits that the browser remembers, newest first.
    received_ms: the edge's clock, Unix milliseconds.
    """

    pairs: list[Pair]
    host: str
    caller: Caller
    cookies: list[Entry]
    received_ms: int


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge knows while it decides: its name, the catalog in force, the keys, who can prove what."""

    edge: str
    catalog: CatalogVersion
    keyring: Keyring
    proofs: Proofs = NONE


def number(text: str) -> int:
    """The ID that a parameter states; 0 where it states none that can be."""
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_ID:  # noqa: PLR2004  digits of MAX_ID
        return int(text)
    return 0


def texts(values: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """The stated ones of these fields, each cut at the length that is kept."""
    return {name: values[name][: parameters.MAX_TEXT] for name in names if name in values}
