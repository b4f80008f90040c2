"""Versions of the catalog: what the topic `catalog` carries, and the history that every service keeps.

One record is one whole version, its key the version's number. A version is never retroactive and never
deleted; where two records claim one number, the first wins (design §4).
"""

from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec

from schemas.catalog import Advertiser, Affiliate, Catalog, Offer

_Sold = TypeVar("_Sold", Offer, Affiliate, Advertiser)
VersionNumber = Annotated[int, msgspec.Meta(ge=1)]


class CatalogVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A catalog that was applied.

    version: 1 for the first, each later one greater by 1.
    applied_at: by the clock of the machine that applied it, `YYYY-MM-DDTHH:MM:SS.mmmZ`.
    applied_by: who applied it.
    """

    version: VersionNumber
    applied_at: str
    applied_by: str
    catalog: Catalog


_ENCODER = msgspec.json.Encoder()


def encode_version(version: CatalogVersion) -> bytes:
    """The record's value; schemas.catalog_reader reads it."""
    return _ENCODER.encode(version)


def record_key(version: int) -> bytes:
    """The record's key."""
    return b"%d" % version


class History:
    """Every version that was seen; entries that did not change are shared, so one costs what it changes."""

    def __init__(self, versions: Iterable[CatalogVersion] = ()) -> None:
        self._versions: dict[int, CatalogVersion] = {}
        self._newest = 0
        for version in versions:
            self.add(version)

    @property
    def current(self) -> CatalogVersion | None:
        """The version in force: the one with the greatest number."""
        return self._versions.get(self._newest)

    @property
    def versions(self) -> list[int]:
        """The numbers of all versions, ascending."""
        return sorted(self._versions)

    def at(self, version: int) -> CatalogVersion | None:
        """The version with this number; None where it has not arrived."""
        return self._versions.get(version)

    def add(self, version: CatalogVersion) -> bool:
        """Keeps the version; False where its number is taken: the first record with a number wins."""
        if version.version in self._versions:
            return False
        current = self.current
        if current is not None:
            catalog = _sharing(current.catalog, version.catalog)
            version = msgspec.structs.replace(version, catalog=catalog)
        self._versions[version.version] = version
        self._newest = max(self._newest, version.version)
        return True


def _sharing(old: Catalog, new: Catalog) -> Catalog:
    """`new`, with every entry that equals the old one of its ID replaced by the old one."""
    return msgspec.structs.replace(
        new,
        advertisers=_shared(new.advertisers, {entry.id: entry for entry in old.advertisers}),
        affiliates=_shared(new.affiliates, {entry.id: entry for entry in old.affiliates}),
        offers=_shared(new.offers, {entry.id: entry for entry in old.offers}),
    )


def _shared(entries: tuple[_Sold, ...], old: dict[int, _Sold]) -> tuple[_Sold, ...]:
    return tuple(known if (known := old.get(entry.id)) == entry else entry for entry in entries)
