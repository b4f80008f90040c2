"""Proving: what a pixel or postback proves, and for whom. Pure; secrets are resolved by who made the proofs.

1. A signature by an advertiser's key, signed within the replay window; else
2. an advertiser's static token; else
3. an address on an advertiser's allow-list.

A request that names offer or advertiser, or whose transaction ID does, proves for that advertiser or for
nobody. One that names none proves for whoever has that key, token or network: the joiner knows whose click it
was. What was wrong is a problem, and no more: the fact is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_address
from typing import Final, NamedTuple

from ingest.parameters import Pair
from schemas import catalog_secrets, signature
from schemas.catalog import Advertiser, Catalog, Offer
from schemas.signature import WINDOW_S

Resolve = Callable[[str], bytes | None]

MAX_KEYS: Final = 16  # of one name, over all advertisers, that an unnamed signature is tried with
_REMEMBERED: Final = (
    4_096  # tokens, where catalogs of before make it necessary to try each advertiser's: 1.5 us
)
_STRENGTH: Final = {"": 0, "none": 0, "allow_from": 1, "token": 2, "signature": 3}


class Proof(NamedTuple):
    """What was proven, and by whose secret or network; both empty where nothing was."""

    proven_by: str = ""
    proven_for: tuple[int, ...] = ()


class Claim(NamedTuple):
    """What a request has to show.

    named: its advertiser, where it names one. ip: the caller's. is_server: it is a postback.
    """

    pairs: Sequence[Pair]
    values: Mapping[str, str]
    named: Advertiser | None
    ip: str
    now_ms: int
    is_server: bool


class Proofs:
    """What the catalog's advertisers can prove themselves with.

    resolve: the secret behind a reference; where another one lies there, a new object is due.
    """

    def __init__(self, catalog: Catalog, resolve: Resolve) -> None:
        self._catalog = catalog
        self._resolve = resolve
        self._owners: dict[str, tuple[int, ...]] = {}

    def of(self, claim: Claim, problems: list[str]) -> Proof:
        """The strongest that the request proves; what is wrong with what it shows joins the problems."""
        proof = Proof()
        if signed := claim.values.get("sig"):
            proof = self._signed(claim, signed, problems)
        if (token := claim.values.get("security_token")) and not proof.proven_by:
            proof = self._by_token(claim, token, problems)
        if not proof.proven_by and (owners := self._by_network(claim)):
            proof = Proof("allow_from", owners)
        return proof

    def lacking(self, offer: Offer, proof: Proof) -> str:
        """What a postback for the offer lacks; empty where it proves enough."""
        required = self._catalog.required_proof(offer)
        if _STRENGTH[proof.proven_by.partition(":")[0]] >= _STRENGTH[required]:
            return ""
        proven = proof.proven_by or "nothing"
        return f"proof: offer {offer.id} asks for {required}, and the request proves {proven}"

    def _signed(self, claim: Claim, text: str, problems: list[str]) -> Proof:
        found = signature.read(text)
        keys = self._keys(claim.named, found.key_id) if found else []
        if found is None:
            problems.append("sig: not of the form KEY.TIMESTAMP.MAC")
        elif not keys:
            problems.append(f"sig: unknown key {found.key_id[:40]!r}{_of(claim.named)}")
        elif len(keys) > MAX_KEYS:
            problems.append("sig: many advertisers have a key of this name: state offer_id or advertiser_id")
        elif not (secrets := {owner: key for owner, where in keys if (key := self._resolve(where))}):
            problems.append(f"sig: the key {found.key_id[:40]!r} is not at hand on this edge")
        else:
            message = signature.canonical(claim.pairs, found.signed_s)
            owners = [o for o, key in secrets.items() if signature.is_genuine(key, message, found.mac)]
            if wrong := _untimely(claim.now_ms // 1000 - found.signed_s) if owners else "wrong signature":
                problems.append(f"sig: {wrong}")
                return Proof()
            return Proof(f"signature:{found.key_id}", tuple(owners))
        return Proof()

    def _keys(self, named: Advertiser | None, key_id: str) -> list[tuple[int, str]]:
        """Who has a key of this name, and where it lies."""
        if named is None:
            return self._keys_by_name.get(key_id, [])
        return [(named.id, key.secret) for key in named.postback.keys if key.id == key_id]

    @cached_property
    def _keys_by_name(self) -> dict[str, list[tuple[int, str]]]:
        found: dict[str, list[tuple[int, str]]] = {}
        for one in self._catalog.advertisers:
            for key in one.postback.keys:
                found.setdefault(key.id, []).append((one.id, key.secret))
        return found

    def _by_token(self, claim: Claim, token: str, problems: list[str]) -> Proof:
        named = claim.named
        owners = self._owners_of(token) if named is None else self._matching([named], token)
        if owners:
            return Proof("token", owners)
        published = named.postback.token if named else ""
        if named and not published:
            return Proof()  # it has none, so nobody asks for one
        if catalog_secrets.is_reference(published) and self._resolve(published) is None:
            problems.append(f"security_token: the token{_of(named)} is not at hand on this edge")
        else:
            problems.append(f"security_token: wrong token{_of(named)}")
        return Proof()

    def _owners_of(self, token: str) -> tuple[int, ...]:
        """Whose token it is: found by its digest, so that a made-up one costs no more than a true one.

        How long the look-up takes tells something of the digest, and nothing of the token; who it finds is
        then held against the token in constant time.
        """
        digest = catalog_secrets.digest(token.encode("utf-8", "replace"))
        owners = self._matching(self._by_digest.get(digest, ()), token)
        return tuple(sorted({*owners, *self._tried(digest, token)})) if self._salted else owners

    @cached_property
    def _by_digest(self) -> dict[str, list[Advertiser]]:
        found: dict[str, list[Advertiser]] = {}
        for one in self._catalog.advertisers:
            published = one.postback.token
            if catalog_secrets.is_reference(published):
                secret = self._resolve(published)
                published = catalog_secrets.digest(secret) if secret else ""
            if published:
                found.setdefault(published, []).append(one)
        return found

    @cached_property
    def _salted(self) -> list[Advertiser]:
        """Whose tokens cannot be looked up."""
        return [one for one in self._catalog.advertisers if catalog_secrets.is_salted(one.postback.token)]

    def _tried(self, digest: str, token: str) -> tuple[int, ...]:
        """Which of those have the token; remembered."""
        owners = self._owners.get(digest)
        if owners is None:
            if len(self._owners) >= _REMEMBERED:
                self._owners.clear()
            owners = self._owners[digest] = self._matching(self._salted, token)
        return owners

    def _matching(self, advertisers: Sequence[Advertiser], token: str) -> tuple[int, ...]:
        return tuple(
            one.id
            for one in advertisers
            if catalog_secrets.matches_token(one.id, one.postback.token, token, self._resolve)
        )

    def _by_network(self, claim: Claim) -> tuple[int, ...]:
        """Whose network the caller is in. A browser's says nothing, but of an advertiser that is named."""
        if claim.named is not None:
            return (claim.named.id,) if claim.named.postback.allows(claim.ip) else ()
        if not claim.is_server or not claim.ip or not self._networks:
            return ()
        address = ip_address(claim.ip)
        number, owners = int(address), set[int]()
        for (version, shift), table in self._networks.items():
            if version == address.version:
                owners.update(table.get(number >> shift, ()))
        return tuple(sorted(owners))

    @cached_property
    def _networks(self) -> dict[tuple[int, int], dict[int, list[int]]]:
        """By IP version and host bits: the network's other bits -> whose it is."""
        found: dict[tuple[int, int], dict[int, list[int]]] = {}
        for one in self._catalog.advertisers:
            for network in one.postback.networks:
                shift = network.max_prefixlen - network.prefixlen
                table = found.setdefault((network.version, shift), {})
                table.setdefault(int(network.network_address) >> shift, []).append(one.id)
        return found


def _untimely(age_s: int) -> str:
    """Why a signature of this age does not count; empty where it does."""
    if abs(age_s) <= WINDOW_S:
        return ""
    when = f"{age_s} s ago" if age_s > 0 else f"{-age_s} s ahead"
    return f"signed {when}, and {WINDOW_S} s is what may be"


def _of(advertiser: Advertiser | None) -> str:
    return f" of advertiser {advertiser.id}" if advertiser else ""


NONE: Final = Proofs(Catalog(), lambda _: None)
