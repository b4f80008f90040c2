"""The table of every setting of every service: its name, its bounds, its default and why."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

PREFIX = "ROUNDTRIP_"
PORTS = {"collector": 8080, "console": 8081, "joiner": 8082, "writer": 8083, "notifier": 8084}
SECRETS = frozenset({"kafka_password", "clickhouse_password", "console_token", "adjust_token"})

_EVERY = "all"


def _about(description: str, services: str = _EVERY, shown: str = "", **limits: Any) -> msgspec.Meta:
    """What the table says of a setting; `shown` stands for a default that is found out at start."""
    return msgspec.Meta(description=description, extra={"services": services, "shown": shown}, **limits)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of every service; the field `kafka_user` is read from ROUNDTRIP_KAFKA_USER."""

    dir: Annotated[Path, _about("Directory for what a process keeps: journals, state, catalog history.")] = (
        Path(".roundtrip")
    )
    host: Annotated[
        str, _about("Address to listen on. Loopback, because anything wider is a decision.", " ".join(PORTS))
    ] = "127.0.0.1"
    port: Annotated[
        int,
        _about(
            "Port to listen on; for joiner, writer and notifier that of health and metrics."
            " 0 takes a free one.",
            " ".join(PORTS),
            ", ".join(f"{service} {port}" for service, port in PORTS.items()),
            ge=0,
            le=65535,
        ),
    ] = 0
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        _about("Least severity that is written to standard error."),
    ] = "INFO"
    drain_s: Annotated[
        float,
        _about(
            "Seconds that an ordered stop may take before what is left is given up (it is on disk or"
            " uncommitted, so nothing is lost). Less than Kubernetes' 30.",
            gt=0,
        ),
    ] = 20.0

    kafka: Annotated[str, _about("Brokers to ask first: HOST:PORT, several with commas.", min_length=1)] = (
        "127.0.0.1:9092"
    )
    kafka_security: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"],
        _about("How to talk to the brokers. Plain by default: the embedded broker listens on loopback only."),
    ] = "plaintext"
    kafka_ca: Annotated[
        str, _about("File of the certificate authorities for Kafka; empty means the system's.")
    ] = ""
    kafka_sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        _about("How to prove who we are to Kafka, with a sasl_ security."),
    ] = "SCRAM-SHA-512"
    kafka_user: Annotated[str, _about("User name for Kafka.")] = ""
    kafka_password: Annotated[str, _about("Password for Kafka.")] = ""
    topic_prefix: Annotated[
        str,
        _about(
            "Put before every topic and consumer group, so that several installations can share a cluster.",
            pattern=r"^[A-Za-z0-9._-]{0,100}$",
        ),
    ] = ""
    partitions: Annotated[
        int,
        _about(
            "Partitions of the fact topics and `conversions`; chosen at installation, never changed. 64 keep"
            " 16 workers busy; the embedded stack uses 4.",
            ge=1,
            le=4096,
        ),
    ] = 64
    replication: Annotated[
        int,
        _about(
            "Copies of each partition. 3 survives a broker; the embedded stack has one broker.", ge=1, le=9
        ),
    ] = 3
    kafka_queue_records: Annotated[
        int,
        _about(
            "Records that may wait for Kafka in one process; at the limit the answer is 503, never a wait."
            " About 5 s of what a core accepts.",
            "collector joiner notifier",
            ge=1,
            le=10_000_000,
        ),
    ] = 100_000
    kafka_queue_kib: Annotated[
        int,
        _about(
            "The same limit in KiB: what bounds the memory.", "collector joiner notifier", ge=1, le=2_097_151
        ),
    ] = 65_536
    kafka_session_s: Annotated[
        float,
        _about(
            "Seconds without a heartbeat after which Kafka gives a consumer's partitions to others. A first"
            " join after an unclean stop waits as long.",
            "joiner writer notifier",
            ge=6,
            le=300,
        ),
    ] = 10.0

    silent_s: Annotated[
        float,
        _about(
            "Seconds without any commit, while records wait and Kafka answers, after which the joiner is"
            " silent: the console and `lag --watch` say so, and `up` starts it anew. One that works commits"
            " every second.",
            "console up lag",
            ge=5,
            le=3600,
        ),
    ] = 60.0

    clickhouse: Annotated[
        str, _about("ClickHouse's HTTP interface; https:// for TLS.", pattern=r"^https?://[^/@]+/?$")
    ] = "http://127.0.0.1:8123"
    clickhouse_user: Annotated[str, _about("User name for ClickHouse.")] = "default"
    clickhouse_password: Annotated[str, _about("Password for ClickHouse.")] = ""
    clickhouse_ca: Annotated[
        str, _about("File of the certificate authorities for ClickHouse; empty means the system's.")
    ] = ""
    clickhouse_database: Annotated[
        str, _about("Database of all tables.", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    ] = "roundtrip"
    clickhouse_timeout_s: Annotated[
        float,
        _about(
            "Seconds for one request to ClickHouse; an insert that takes longer is sent again.", gt=0, le=3600
        ),
    ] = 60.0

    writer_batch_rows: Annotated[
        int,
        _about(
            "Rows at which the writer inserts at once. 5 000: where an insert's own cost no longer counts.",
            "writer",
            ge=1,
            le=1_000_000,
        ),
    ] = 5_000
    writer_batch_s: Annotated[
        float,
        _about(
            "Seconds after which the writer inserts what it has: how late a row may be visible, against how"
            " many parts ClickHouse must merge.",
            "writer",
            gt=0,
            le=60,
        ),
    ] = 1.0
    journal_segment_mib: Annotated[
        int,
        _about(
            "Size at which a journal begins its next file. A file is what is kept, shipped again and removed;"
            " 64 MiB are some 20 s of a busy core.",
            "collector",
            ge=1,
            le=1_024,
        ),
    ] = 64
    journal_kept_hours: Annotated[
        float,
        _about(
            "Hours that a journal keeps what Kafka has acknowledged, to ship it again should Kafka lose it."
            " What is not yet acknowledged is kept without limit.",
            "collector",
            ge=0,
            le=8_760,
        ),
    ] = 24.0
    journal_kept_gib: Annotated[
        float,
        _about(
            "GiB of acknowledged events that a journal keeps at most (there is one journal a process); fewer"
            " where the disk has no room for two more files.",
            "collector",
            ge=0,
            le=100_000,
        ),
    ] = 10.0
    journal_queue_records: Annotated[
        int,
        _about(
            "Events that may wait for the disk in one process; above it the answer is 503, never a wait."
            " About a second of what a core accepts.",
            "collector",
            ge=16,
            le=1_000_000,
        ),
    ] = 10_000
    journal_wait_s: Annotated[
        float,
        _about(
            "Seconds that an answer waits for the disk; then a click is redirected unrecorded, all else gets"
            " 503. A healthy disk takes milliseconds.",
            "collector",
            gt=0,
            le=60,
        ),
    ] = 1.0
    ship_linger_ms: Annotated[
        float,
        _about(
            "Milliseconds that the journal's events are gathered before they go to Kafka: many small requests"
            " cost more than anything else, and the answer does not wait for them. At 5 000 events a second"
            " 100 cost the broker 28 us of CPU an event, 50 cost 48.",
            "collector",
            ge=1,
            le=1_000,
        ),
    ] = 100.0
    max_connections: Annotated[
        int,
        _about(
            "Connections that a collector process holds open; above it new ones are closed at once.",
            "collector",
            ge=16,
            le=1_000_000,
        ),
    ] = 10_000
    health_port: Annotated[
        int,
        _about(
            "A port of its own for health and metrics of a collector, where several processes share"
            " ROUNDTRIP_PORT. 0: only there.",
            "collector",
            ge=0,
            le=65535,
        ),
    ] = 0
    collectors: Annotated[
        int,
        _about(
            "Collector processes that `roundtrip up` starts on the one port, each with its own journal: one a"
            " core that is to take clicks.",
            "up",
            ge=1,
            le=64,
        ),
    ] = 1
    keys: Annotated[
        str,
        _about(
            "File of the keys that sign transaction IDs; the joiner verifies with it what an edge could not.",
            "collector joiner keys",
            "DIR/keys.toml",
        ),
    ] = ""
    edge: Annotated[
        str,
        _about("Name of this edge on facts and in reports.", "collector", "the host's name", max_length=100),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        _about(
            "Networks (CIDR, with commas) whose X-Forwarded-For is believed, read from the right. None by"
            " default: anyone can write that header.",
            "collector",
        ),
    ] = ()
    max_query_bytes: Annotated[
        int,
        _about(
            "Longest query string; above it 414. Browsers and proxies cut near 8 KiB.",
            "collector",
            ge=256,
            le=65_536,
        ),
    ] = 8_192
    max_body_bytes: Annotated[
        int, _about("Longest body of a POST; above it 413.", "collector", ge=256, le=16_777_216)
    ] = 65_536
    max_header_bytes: Annotated[
        int,
        _about(
            "All headers of a request together; above it 431. Browsers with a full cookie jar send 8 KiB.",
            "collector",
            ge=1_024,
            le=65_536,
        ),
    ] = 16_384
    max_parameters: Annotated[
        int,
        _about(
            "Parameters of one request, query and body together; above it 400.", "collector", ge=16, le=10_000
        ),
    ] = 200
    adjust_token: Annotated[
        str,
        _about(
            "Who shows this token may state what the network does (`/adjust`): approve, reject, set amounts."
            " 16 characters or more. Without one adjustments are off; `up` makes one, DIR/adjust.token.",
            "collector adjust",
            pattern=r"^([!-~]{16,200})?$(?!\n)",
        ),
    ] = ""
    collector: Annotated[
        str, _about("Where commands reach a collector.", "adjust simulate", pattern=r"^https?://[^/@]+/?$")
    ] = "http://127.0.0.1:8080"
    console_token: Annotated[
        str, _about("What the console asks for, anywhere but on loopback.", "console")
    ] = ""
    notify_allow_private: Annotated[
        bool,
        _about(
            "1 lets the notifier call loopback and private addresses: tests and demos only.",
            "notifier",
        ),
    ] = False

    def __repr__(self) -> str:
        """Every field but the secrets, so that settings may be logged."""
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in SECRETS)
        return f"Settings({', '.join(shown)})"

    @property
    def keys_path(self) -> Path:
        """The file of signing keys."""
        return Path(self.keys) if self.keys else self.dir / "keys.toml"


def names() -> list[str]:
    """Every ROUNDTRIP_* name that exists."""
    return [PREFIX + field.upper() for field in Settings.__struct_fields__]
