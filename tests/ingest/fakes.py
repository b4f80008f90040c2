"""What the edge's tests share: a catalog, keys, a browser, a journal in memory, and Kafka for refusals."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import CollectorRegistry

from ingest.admission import Bounds, JournalAdmission
from ingest.caller import Proxies
from ingest.counters import Counters
from ingest.credential import Credential
from ingest.edge import Edge, Tools
from ingest.gate import Asked, Limits
from ingest.journal import counters as journal_counters
from ingest.journal.directory import Directory
from ingest.journal.frames import Entry
from ingest.journal.journal import Journal
from ingest.refusals import Refusals
from ingest.request import Knowledge
from schemas import decisions, facts, times, transaction_id
from schemas.catalog import (
    Advertiser,
    Affiliate,
    Catalog,
    Goal,
    LandingPage,
    Link,
    Network,
    Offer,
    Permission,
    Price,
)
from schemas.catalog_versions import CatalogVersion
from schemas.transaction_id import Keyring
from service.errors import Refused, Unavailable
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.hands import HeldHand
from tests.ingest.journal.samples import ROOT, entries_of, read

NOW_MS = times.to_ms("2026-11-23T12:00:00.000Z")
KEYRING = Keyring({1: b"a key that signs: 32 bytes long!", 2: b"a key that verifies, 32 bytes lo"}, 1)
NEWER = Keyring({3: b"a key that this edge has not yet"}, 3)
MAX_RECORD_BYTES = 1_048_576
ADJUST_TOKEN = "the network's own token"  # noqa: S105  a test's

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36"
GOALS = (
    Goal(id=0, name="sale", aliases=("purchase",), payout=Price(percent=Decimal(8)), currency="USD"),
    Goal(id=12, name="Lead", payout=Price(fixed=Decimal(2)), currency="USD"),
)
CATALOG = Catalog(
    network=Network(time_zone="UTC", default_url="https://network.example/?from={offer_id}"),
    advertisers=(
        Advertiser(
            id=1, name="Shoe Shop", ref="SH-1", time_zone="Europe/Berlin", status_words={"ok": "approved"}
        ),
        Advertiser(id=2, name="Books"),
    ),
    affiliates=(
        Affiliate(id=42, name="Running Blog", ref="rb"),
        Affiliate(id=43, name="Blocked", status="blocked"),
        Affiliate(id=44, name="Asked"),
    ),
    offers=(
        Offer(
            id=7,
            advertiser_id=1,
            name="Shoes & more",
            url="https://shop.example/landing?tid={transaction_id}&s={aff_sub}&utm_medium=aff",
            landing_pages=(
                LandingPage(id=3, url="https://shop.example/sale/{aff_sub}?tid={transaction_id}"),
            ),
            hosts=("shop.example", "*.shop.example"),
            fallback_url="https://shop.example/gone?o={offer_id}",
            affiliates=(Permission(id=42), Permission(id=43), Permission(id=44, status="pending")),
            goals=GOALS,
        ),
        Offer(
            id=8, advertiser_id=1, name="Old", url="https://shop.example/old", status="paused", goals=GOALS
        ),
        Offer(
            id=9, advertiser_id=2, name="Books", url="https://books.example/?t={transaction_id}", goals=GOALS
        ),
    ),
    links=(Link(path="/ABC123/2CTPL", offer_id=7, affiliate_id=42, url_id=3),),
)
KNOWN = Knowledge(
    edge="edge-1",
    catalog=CatalogVersion(version=5, applied_at="2026-11-01T00:00:00.000Z", applied_by="t", catalog=CATALOG),
    keyring=KEYRING,
)
LIMITS = Limits(query_bytes=8_192, header_bytes=16_384, parameters=200)


def new_id(age_ms: int = 60_000, seed: int = 1, keyring: Keyring = KEYRING) -> str:
    return transaction_id.make(keyring, NOW_MS - age_ms, seed.to_bytes(7, "big"))


def headers(**more: str) -> CIMultiDictProxy[str]:
    """A browser's headers; `Accept_Language` stands for `Accept-Language`."""
    usual = {"Host": "track.example", "User-Agent": CHROME, "Accept-Language": "de-DE,de;q=0.9"}
    return CIMultiDictProxy(
        CIMultiDict(usual | {name.replace("_", "-"): value for name, value in more.items()})
    )


def get(target: str, **more: str) -> Asked:
    return Asked(
        method="GET",
        target=target,
        headers=headers(**more),
        header_bytes=300,
        peer="198.51.100.7",
        secure=False,
    )


class FakeKafka:
    """Kafka as refusals and tails know it (ingest.admission.Sender); it passes the real one's contract.

    silent: records are taken and never acknowledged. gone: why nothing is taken.
    """

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes]] = []
        self.silent = False
        self.gone = ""

    def send(self, topic: str, key: bytes, value: bytes) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.gone:
            future.set_exception(Unavailable(self.gone))
        elif len(value) > MAX_RECORD_BYTES:
            future.set_exception(Refused("too large"))
        elif not self.silent:
            self.records.append((topic, key, value))
            future.set_result(None)
        return future

    def refusals(self) -> list[Any]:
        return [decisions.decode(topic, value) for topic, _, value in self.records if topic == "refusals"]


class Bench:
    """An edge, with everything around it in memory; its clock stands at NOW_MS until a test moves it."""

    def __init__(
        self,
        known: Knowledge | None = KNOWN,
        proxies: tuple[str, ...] = (),
        disk: SimulatedDisk | None = None,
    ) -> None:
        self.kafka = FakeKafka()
        self.now_ms = NOW_MS
        self.seconds = 0.0
        self.registry = CollectorRegistry()
        self.counters = Counters(self.registry)
        self._drawn = 0
        self.disk = disk or SimulatedDisk()
        self.hand = HeldHand()
        told = journal_counters.Counters(self.registry)
        self.journal = Journal(
            Directory(self.disk, ROOT),
            segment_bytes=1_000_000,
            counters=told,
            draw=self.draw,
            clock_ms=lambda: self.now_ms,
        )
        self.admission = JournalAdmission(
            self.journal, self.hand, Bounds(records=1_000, wait_s=10.0), told, lambda: self.now_ms
        )
        self.admission.try_opening()
        self.edge = Edge(
            Tools(
                edge="edge-1",
                admission=self.admission,
                refusals=Refusals(self.kafka, lambda: self.seconds),
                counters=self.counters,
                proxies=Proxies(proxies),
                limits=LIMITS,
                draw=self.draw,
                clock_ms=lambda: self.now_ms,
                timer=lambda: self.seconds,
                credential=Credential(ADJUST_TOKEN),
            )
        )
        self.edge.known = known

    def draw(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")

    def entries(self) -> list[Entry]:
        """What the journal holds for Kafka."""
        return entries_of(read(self.disk, self.journal.committed))

    def facts(self) -> list[Any]:
        return [facts.decode(entry.topic, entry.value) for entry in self.entries()]

    def records(self) -> list[tuple[str, bytes, bytes]]:
        """Topic, key and value of all that the edge wrote, facts first."""
        return [(each.topic, each.key, each.value) for each in self.entries()] + self.kafka.records

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


Change = Callable[[Bench], None]
