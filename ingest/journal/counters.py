"""Counters of the journal: what it tells Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.journal.reader import Piece

# Seconds; a disk of ours takes under a millisecond, and an answer waits a second at most.
_BUCKETS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Counters:
    """The journal's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.groups = Counter(
            "roundtrip_journal_groups", "Groups of events that share one sync", registry=registry
        )
        self.events = Counter("roundtrip_journal_events", "Events on stable storage", registry=registry)
        self.bytes = Counter(
            "roundtrip_journal_bytes", "Bytes of events on stable storage", registry=registry
        )
        self.sync_seconds = Histogram(
            "roundtrip_journal_sync_seconds",
            "Time to write and sync a group",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.failures = Counter(
            "roundtrip_journal_failures",
            "Writes, syncs and openings that failed or took too long",
            registry=registry,
        )
        self.epochs = Counter("roundtrip_journal_epochs", "Epochs begun", registry=registry)
        self.waiting = Gauge("roundtrip_journal_waiting", "Events that wait for the disk", registry=registry)
        self._set_aside = Counter(
            "roundtrip_journal_set_aside",
            "Regions set aside: damaged (of answered events) or torn (what a crash cut)",
            ["kind"],
            registry=registry,
        )
        self._damaged = self._set_aside.labels("damaged")
        self._torn = self._set_aside.labels("torn")

    def stored(self, events: int, size: int) -> None:
        """One group more."""
        self.groups.inc()
        self.events.inc(events)
        self.bytes.inc(size)

    def read(self, piece: Piece) -> None:
        """A piece of the journal was read by its owner."""
        self._damaged.inc(piece.damaged)
        self._torn.inc(piece.torn)
