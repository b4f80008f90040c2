"""Learning: an edge answers by the newest catalog and keys, from disk at once, later as they change."""

from ingest import identity
from ingest.counters import Counters
from ingest.edge import Edge
from ingest.proving import Proofs
from ingest.request import Knowledge
from service.catalog_follower import Follower
from service.health import Health
from service.key_watch import KeyWatch
from service.lifetime import Lifetime
from service.references import References


def learn(lifetime: Lifetime, edge: Edge, counters: Counters, health: Health) -> None:
    """The edge knows what is in force until the stop. Problem where the keys cannot be read at the start."""
    mine = lifetime.settings
    watch, secrets = KeyWatch(mine.keys_path), References()

    def know(_change: object = None) -> None:
        counters.verify(watch.keyring)
        if (version := follower.current) is not None:
            own = version.catalog.identifier_keys
            secrets.name(version.catalog.proof_secrets, own.values())
            keyring = watch.keyring.with_offers({of: secrets.get(where) or b"" for of, where in own.items()})
            proofs = Proofs(version.catalog, secrets.get)
            edge.known = Knowledge(edge=mine.edge, catalog=version, keyring=keyring, proofs=proofs)

    follower = Follower(mine, know)
    follower.start()
    lifetime.on_close("the catalog", follower.close)
    know()
    lifetime.spawn(watch.follow(know), "keys")
    lifetime.spawn(secrets.follow(know), "secrets of the catalog")
    health.check("catalog", lambda: "" if edge.known else "no catalog yet: roundtrip catalog apply FILE")
    health.note("keys", lambda: watch.problem)
    health.note("secrets", lambda: secrets.problem or _keyless(edge.known))
    counters.watch_keys(lambda: watch.problem)
    counters.watch_secrets(lambda: secrets.missing)


def _keyless(known: Knowledge | None) -> str:
    """Which offers' clicks have random IDs for want of a key; empty where none."""
    offers = known.catalog.catalog.offers if known else ()
    lack = [str(offer.id) for offer in offers if known and not identity.has_key(offer, known.keyring)]
    if not lack:
        return ""
    return (
        f"no key for the derived identifiers of offer {', '.join(lack[:10])}: keys.toml has no `identifiers`"
        " (`roundtrip keys add` makes it), or the offer's own key is not at hand"
    )
