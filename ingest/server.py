"""The collector: puts everything together, in order, and takes it apart in the opposite one."""

import argparse
import gc
import logging
import os
import time

from ingest import custody
from ingest.caller import Proxies
from ingest.connections import Bounds, room
from ingest.counters import Counters
from ingest.credential import Credential
from ingest.edge import Edge, Tools
from ingest.gate import Limits
from ingest.handlers import Front
from ingest.learning import learn
from ingest.pulse import Pulse
from ingest.refusals import Refusals
from ingest.shared_port import SharedPort
from service import lifetime as life
from service import settings
from service.health import Health
from service.lifetime import Lifetime
from service.settings import Settings

log = logging.getLogger(__name__)

# Each request makes hundreds of short-lived objects and no cycles: at Python's own 700 the search for cycles
# takes a seventh of the process.
GARBAGE_THRESHOLD = 50_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: everything is a setting."""


def run(_args: argparse.Namespace) -> int:
    """Serves until it is told to stop."""
    mine = settings.read("collector")
    return life.run("collector", mine, serve)


async def serve(lifetime: Lifetime) -> None:
    """Requests are answered until the stop begins.

    The stop: not ready, no new connections, what is in flight answered, the journal shipped and closed.
    """
    mine = lifetime.settings
    health = Health("collector")
    held = await custody.take(lifetime, health)
    counters = Counters(health.registry)
    edge = Edge(
        Tools(
            edge=mine.edge,
            admission=held.admission,
            refusals=Refusals(held.producer, time.monotonic),
            counters=counters,
            proxies=Proxies(mine.trusted_proxies),
            limits=_limits(mine),
            draw=os.urandom,
            clock_ms=custody.now_ms,
            timer=time.perf_counter,
            credential=Credential(mine.adjust_token),
        )
    )
    learn(lifetime, edge, counters, health)
    pulse = Pulse(lambda: held.admission.fullness)
    counters.watch(pulse)
    health.note("load", pulse.note)
    lifetime.spawn(pulse.run(), "pulse")
    if mine.health_port:
        await health.serve(mine.host, mine.health_port, "ROUNDTRIP_HEALTH_PORT")
        lifetime.on_close("health", health.close)
    shared = SharedPort(mine.dir, mine.host, mine.port)
    lifetime.on_close("the port", shared.release)
    front = Front(edge, counters, _bounds(mine), pulse)
    port = await front.serve(mine.host, mine.port, health.routes())
    lifetime.on_close("the requests in flight", front.close)
    gc.freeze()  # what is there now stays: not looked through again
    gc.set_threshold(GARBAGE_THRESHOLD)
    log.info("collector listens on http://%s:%d", mine.host, port)
    await lifetime.wait()
    health.mark_down("the collector stops")


def _bounds(mine: Settings) -> Bounds:
    return Bounds(
        connections=room(mine.max_connections),
        head_bytes=mine.max_query_bytes + mine.max_header_bytes,
        body_bytes=mine.max_body_bytes,
    )


def _limits(mine: Settings) -> Limits:
    return Limits(
        query_bytes=mine.max_query_bytes, header_bytes=mine.max_header_bytes, parameters=mine.max_parameters
    )
