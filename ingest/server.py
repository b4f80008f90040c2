"""The collector: puts everything together, in order, and takes it apart in the opposite one."""

import argparse
import gc
import logging
import os
import time

from ingest.admission import KafkaAdmission
from ingest.caller import Proxies
from ingest.connections import Bounds, room
from ingest.counters import Counters
from ingest.edge import Edge, Tools
from ingest.gate import Limits
from ingest.handlers import Front
from ingest.learning import learn
from ingest.pulse import Pulse
from ingest.refusals import Refusals
from ingest.shared_port import SharedPort
from schemas import topics
from service import lifetime as life
from service import settings
from service.errors import Unreachable
from service.health import Health
from service.kafka import Admin, Producer
from service.lifetime import Lifetime
from service.settings import Settings

log = logging.getLogger(__name__)

LINGER_MS = 5.0  # many requests share one batch; a person does not notice
CHECK_S = 2.0
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

    The stop: not ready, no new connections, what is in flight answered, Kafka's queue flushed.
    """
    mine = lifetime.settings
    health = Health("collector")
    producer = Producer(mine, linger_ms=LINGER_MS)
    lifetime.on_close("Kafka's queue", producer.close)
    admission = KafkaAdmission(producer, os.urandom, _now_ms)
    counters = Counters(health.registry)
    edge = Edge(
        Tools(
            edge=mine.edge,
            admission=admission,
            refusals=Refusals(producer, time.monotonic),
            counters=counters,
            proxies=Proxies(mine.trusted_proxies),
            limits=_limits(mine),
            draw=os.urandom,
            clock_ms=_now_ms,
            timer=time.perf_counter,
        )
    )
    learn(lifetime, edge, counters, health)
    lifetime.spawn(admission.watch(_Kafka(mine).check), "admission")
    health.check("kafka", admission.problem)
    pulse = Pulse(lambda: counters.in_flight / mine.journal_queue_records)
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


class _Kafka:
    """Asks whether Kafka is there, with every topic that the edge writes to; for a thread."""

    def __init__(self, mine: Settings) -> None:
        self._partitions = mine.partitions
        self._admin = Admin(mine, CHECK_S)

    def check(self) -> str:
        """What is wrong, or nothing."""
        try:
            found = self._admin.describe(topics.FACTS)
        except Unreachable as error:
            return str(error)
        for name in topics.FACTS:
            if name not in found:
                return f"Kafka has no topic {name}: roundtrip migrate"
            if found[name].partitions != self._partitions:
                return (
                    f"topic {name} has {found[name].partitions} partitions,"
                    f" ROUNDTRIP_PARTITIONS says {self._partitions}"
                )
        return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
