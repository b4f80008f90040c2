"""The joiner's numbers for /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.batch.tally import Tally
from streams.expirer import Gone


class Metrics:
    """One set of the joiner's metrics in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str) -> Counter:
            return Counter(f"roundtrip_joiner_{name}", what, registry=registry)

        def gauge(name: str, what: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"roundtrip_joiner_{name}", what, labels, registry=registry)

        self._tally = {
            "facts": counter("facts", "New facts"),
            "again": counter("facts_again", "Facts whose receipt was known"),
            "quarantined": counter("quarantined", "Records that could not be used"),
            "contradicting": counter(
                "contradicting", "Receipts that came again with other content: look into it"
            ),
            "expired": counter("expired_on_arrival", "Visits that came too late to be kept"),
            "late": counter("late", "Statements that came too late to correct anything"),
            "foreign": counter("foreign", "Cases in Kafka that this worker did not send"),
            "undecided": counter("undecided", "Transactions that the rules failed on: look into it"),
            "lacking": counter("lacking", "Transactions not decided, because facts of them are gone"),
            "cases": counter("cases", "Cases sent"),
            "conversions": counter("conversions", "Conversions in cases whose content changed"),
            "notices": counter("notices", "Notices sent"),
        }
        self.partitions = gauge("partitions", "Partition numbers owned")
        self.outbox = gauge("outbox", "Records decided and not yet acknowledged by Kafka")
        self.waiting = gauge("waiting_partitions", "Partitions with transactions whose catalog has not come")
        self.restored = counter("restored_rows", "Rows read to restore lost or stale states")
        self.restore_left = gauge("restore_left_rows", "Rows still to be read to restore states")
        self.restoring = gauge("restoring_partitions", "Partitions whose state is being restored")
        self.positions = gauge("position", "Next offset to read", ("topic", "partition"))
        self.times = gauge("time_seconds", "Unix time by which facts expire", ("partition",))
        self._gone = Counter(
            "roundtrip_joiner_expired", "Facts too old to be kept", ("kind",), registry=registry
        )
        self.decided = Histogram(
            "roundtrip_joiner_batch_seconds",
            "Time to decide and store one fetch",
            registry=registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15),
        )

    def count_gone(self, gone: Gone) -> None:
        """What expired is added."""
        for kind in ("impressions", "clicks", "statements"):
            self._gone.labels(kind).inc(getattr(gone, kind))

    def count(self, tally: Tally) -> None:
        """A batch's tally is added."""
        for name, metric in self._tally.items():
            metric.inc(getattr(tally, name))
