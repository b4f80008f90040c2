"""Reads versions of the catalog one after another: what has not changed since the last one costs a look-up.

A network of ten thousand offers applies a few changes a day, and whoever starts reads all versions: decoding
each whole would take seconds, and hold up who answers meanwhile.
"""

import hashlib
from typing import Any, Final, TypeVar

import msgspec

from schemas.catalog import Advertiser, Affiliate, Catalog, Entry, Link, Network, Offer
from schemas.catalog_versions import CatalogVersion, VersionNumber
from schemas.wire import decoded

_Read = TypeVar("_Read", bound=Entry)
_Entries = tuple[msgspec.Raw, ...]


class _Outline(msgspec.Struct):
    """A catalog whose many entries are not read yet."""

    network: Network = Network()
    advertisers: _Entries = ()
    affiliates: _Entries = ()
    offers: _Entries = ()
    links: tuple[Link, ...] = ()


class _Version(msgspec.Struct):
    version: VersionNumber
    applied_at: str
    applied_by: str
    catalog: _Outline


_VERSION: Final = msgspec.json.Decoder(_Version)
_DECODERS: Final[dict[type[Entry], msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Advertiser, Affiliate, Offer)
}


class Reader:
    """Remembers the entries of the version that it read last, by the digest of their bytes."""

    def __init__(self) -> None:
        self._last: dict[type[Entry], dict[bytes, Any]] = {}

    def read(self, value: bytes) -> CatalogVersion:
        """The version in a record's value; msgspec.DecodeError (a ValueError) where it is none."""
        found = decoded(_VERSION, value)
        outline = found.catalog
        catalog = Catalog(
            network=outline.network,
            advertisers=self._entries(Advertiser, outline.advertisers),
            affiliates=self._entries(Affiliate, outline.affiliates),
            offers=self._entries(Offer, outline.offers),
            links=outline.links,
        )
        return CatalogVersion(
            version=found.version,
            applied_at=found.applied_at,
            applied_by=found.applied_by,
            catalog=catalog,
        )

    def _entries(self, kind: type[_Read], raw: _Entries) -> tuple[_Read, ...]:
        digests = [hashlib.blake2b(one, digest_size=16).digest() for one in raw]
        known, read = self._last.get(kind, {}), _DECODERS[kind]
        found = tuple(
            known.get(digest) or decoded(read, one) for digest, one in zip(digests, raw, strict=True)
        )
        self._last[kind] = dict(zip(digests, found, strict=True))
        return found
