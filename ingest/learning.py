"""Learning: an edge answers by the newest catalog and keys, from disk at once, later as they change."""

from ingest.counters import Counters
from ingest.edge import Edge
from ingest.request import Knowledge
from service.catalog_follower import Follower
from service.health import Health
from service.key_watch import KeyWatch
from service.lifetime import Lifetime


def learn(lifetime: Lifetime, edge: Edge, counters: Counters, health: Health) -> None:
    """The edge knows what is in force until the stop. Problem where the keys cannot be read at the start."""
    mine = lifetime.settings
    watch = KeyWatch(mine.keys_path)

    def know(_change: object = None) -> None:
        counters.verify(watch.keyring)
        if (catalog := follower.current) is not None:
            edge.known = Knowledge(edge=mine.edge, catalog=catalog, keyring=watch.keyring)

    follower = Follower(mine, know)
    follower.start()
    lifetime.on_close("the catalog", follower.close)
    know()
    lifetime.spawn(watch.follow(know), "keys")
    health.check("catalog", lambda: "" if edge.known else "no catalog yet: roundtrip catalog apply FILE")
    health.note("keys", lambda: watch.problem)
    counters.watch_keys(lambda: watch.problem)
