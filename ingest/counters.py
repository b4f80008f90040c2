"""Counters: what the collector tells Prometheus."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.answers import ENDINGS, Ending, Result
from ingest.pulse import Pulse
from ingest.routes import Endpoint
from schemas.transaction_id import Keyring

MAX_LABELS: Final = 1_000  # pairs of offer and affiliate; the rest is counted as offer 0, affiliate 0
# Seconds; the redirect's promise is 50 ms, a wait for Kafka ends at 2 s.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Counters:
    """The collector's metrics; every combination of labels is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "roundtrip_requests",
            "Requests by endpoint and how they ended",
            ["endpoint", "ending"],
            registry=registry,
        )
        self._requests = {
            (endpoint, ending): requests.labels(endpoint.value, ending.value)
            for endpoint in Endpoint
            for ending in Ending
        }
        self._refusals = Counter(
            "roundtrip_refusals", "Requests that were refused, by reason", ["reason"], registry=registry
        )
        self._unrecorded = Counter(
            "roundtrip_unrecorded_clicks",
            "Clicks that were redirected although nothing could take them",
            ["offer_id", "affiliate_id"],
            registry=registry,
        )
        self._pairs: set[tuple[int, int]] = set()
        self._seconds = Histogram(
            "roundtrip_answer_seconds", "Time to answer", ["endpoint"], buckets=_BUCKETS, registry=registry
        )
        self._timers = {endpoint: self._seconds.labels(endpoint.value) for endpoint in Endpoint}
        self.in_flight = 0
        in_flight = Gauge("roundtrip_in_flight", "Requests being answered", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        self.closed = Counter(
            "roundtrip_connections_closed",
            "Connections that were cut: above the limit, or the answer was not taken",
            ["why"],
            registry=registry,
        )
        self.connections = Gauge("roundtrip_connections", "Open connections", registry=registry)
        self._lag = Gauge(
            "roundtrip_loop_lag_seconds", "How late the event loop runs what is due", registry=registry
        )
        self._shedding = Gauge(
            "roundtrip_shedding",
            "Classes that get 503 because of overload: 1 impressions, 2 clicks too, 3 all",
            registry=registry,
        )
        self._keys = Gauge(
            "roundtrip_key",
            "Keys of transaction IDs by number: 1 verifies, 2 signs too",
            ["number"],
            registry=registry,
        )
        self._keys_refused = Gauge(
            "roundtrip_keys_refused",
            "1 while the file of keys cannot be taken, and the keys of before are in force",
            registry=registry,
        )
        self._secrets_missing = Gauge(
            "roundtrip_secrets_missing",
            "Secrets that the catalog names and that are not at hand here",
            registry=registry,
        )
        self.unwritten = Counter(
            "roundtrip_refusals_unwritten", "Refusals above the rate of their topic", registry=registry
        )

    def watch(self, pulse: Pulse) -> None:
        """The load is told, too."""
        self._lag.set_function(lambda: pulse.load.lag_s)
        self._shedding.set_function(lambda: len(pulse.shedding))

    def verify(self, keyring: Keyring) -> None:
        """These keys are in force now."""
        self._keys.clear()
        for number in keyring.numbers:
            self._keys.labels(str(number)).set(2 if number == keyring.signing else 1)

    def watch_keys(self, problem: Callable[[], str]) -> None:
        """What is wrong with the file of keys is told, too."""
        self._keys_refused.set_function(lambda: float(bool(problem())))

    def watch_secrets(self, missing: Callable[[], int]) -> None:
        """What the catalog's references lack is told, too."""
        self._secrets_missing.set_function(missing)

    def ended(self, endpoint: Endpoint, result: Result, took_s: float) -> None:
        """One request more."""
        self._requests[endpoint, result.ending].inc()
        self._timers[endpoint].observe(took_s)
        self.refused(result)

    def refused(self, result: Result) -> None:
        """One refusal more, where it is one."""
        if ENDINGS[result.ending].outcome == "refused" and result.ending is not Ending.LOOKED:
            self._refusals.labels(str(int(result.reason))).inc()

    def turned_away(self, endpoint: Endpoint) -> None:
        """One request more that was shed; its time would only make the others' look short."""
        self._requests[endpoint, Ending.OVERLOADED].inc()

    def unrecorded(self, offer_id: int, affiliate_id: int) -> None:
        """One click more that nothing could take."""
        pair = (offer_id, affiliate_id)
        if pair not in self._pairs:
            if len(self._pairs) >= MAX_LABELS:
                pair = (0, 0)
            self._pairs.add(pair)
        self._unrecorded.labels(str(pair[0]), str(pair[1])).inc()
