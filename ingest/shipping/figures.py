"""Figures of the shipping: what it tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from ingest.shipping.backlog import Backlog


class Figures:
    """The shipper's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.acknowledged = Counter(
            "roundtrip_shipped", "Events of journals that Kafka acknowledged", registry=registry
        )
        self.refused = Counter(
            "roundtrip_shipped_refused",
            "Events that Kafka refused for good: they lie in the quarantine",
            registry=registry,
        )
        self.new_logs = Counter(
            "roundtrip_shipping_new_logs",
            "Times that a journal met another log and began to ship all that it keeps again",
            registry=registry,
        )
        self.kept_bytes = Gauge(
            "roundtrip_journal_kept_bytes",
            "Bytes of acknowledged events that this process's journal keeps",
            registry=registry,
        )
        self.adopted = Gauge(
            "roundtrip_shipping_left_journals",
            "Journals left by others that are being shipped here",
            registry=registry,
        )
        self._waiting = Gauge(
            "roundtrip_shipping_waiting_events", "Events that Kafka does not have yet", registry=registry
        )
        self._bytes = Gauge(
            "roundtrip_shipping_waiting_bytes", "Their bytes in the journal", registry=registry
        )
        self._oldest = Gauge(
            "roundtrip_shipping_oldest_seconds",
            "Age of the oldest event that Kafka does not have yet; 0 for none",
            registry=registry,
        )

    def waits(self, backlog: Backlog) -> None:
        """So much waits."""
        self._waiting.set(backlog.events)
        self._bytes.set(backlog.bytes)
        self._oldest.set(backlog.oldest_s)
