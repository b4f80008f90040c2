"""Custody: what holds an event between our yes and Kafka's acknowledgement, put together in order."""

import os
import time
from functools import partial
from typing import Final, NamedTuple

from ingest import shipper
from ingest.admission import Bounds, JournalAdmission
from ingest.journal.counters import Counters
from ingest.journal.directory import Directory
from ingest.journal.disk import RealDisk
from ingest.journal.hand import ThreadHand
from ingest.journal.journal import Journal
from ingest.shipper import Shipper
from ingest.shipping.figures import Figures
from ingest.tails import Tails
from schemas import times
from service.health import Health
from service.kafka import Producer
from service.lifetime import Lifetime
from service.outage import Outage
from service.settings import Settings

LINGER_MS: Final = 5.0  # of Kafka's client; the journal has gathered the events already
LAST_WORDS_S: Final = 2.0  # refusals and the tail: nothing of them is promised
_MIB: Final = 1 << 20


class Custody(NamedTuple):
    """Who says yes, and who sends what needs none."""

    admission: JournalAdmission
    producer: Producer


async def take(lifetime: Lifetime, health: Health) -> Custody:
    """What is accepted lies in the journal and is shipped, until the stop.

    The stop, after the last answer: how far the journal came is told, what can be shipped in half the time
    for a stop is, and the rest stays in the journal, which others may take then.
    """
    mine = lifetime.settings
    counters = Counters(health.registry)
    directory = Directory(RealDisk(), mine.dir / "journal")
    journal = _journal(mine, directory, counters)
    admission = JournalAdmission(journal, ThreadHand(), _bounds(mine), counters, now_ms)
    lifetime.on_close("the journal", admission.close)
    producer = Producer(mine, linger_ms=LINGER_MS)
    lifetime.on_close("Kafka's queue", partial(producer.close, LAST_WORDS_S))
    means = shipper.means(mine, directory, producer, Figures(health.registry), counters)
    tails = Tails(journal.how_far, producer, mine.edge, now_ms)
    ships = Shipper(means, journal, directory, tails.word)
    lifetime.on_close("the shipper", partial(ships.close, mine.drain_s / 2))
    lifetime.on_close("the tail", tails.close)
    await admission.open()
    ships.start(lifetime.spawn)
    lifetime.spawn(tails.run(), "tails")
    health.check("journal", admission.problem)
    health.note("kafka", partial(_away, means.server))
    return Custody(admission, producer)


def _journal(mine: Settings, directory: Directory, counters: Counters) -> Journal:
    return Journal(
        directory,
        segment_bytes=mine.journal_segment_mib * _MIB,
        counters=counters,
        draw=os.urandom,
        clock_ms=now_ms,
    )


def _bounds(mine: Settings) -> Bounds:
    return Bounds(records=mine.journal_queue_records, wait_s=mine.journal_wait_s)


def _away(server: Outage) -> str:
    if not server.since:
        return ""
    since = times.from_ms(int(server.since * 1_000))
    return f"away since {since}; what is accepted waits in the journal"


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
