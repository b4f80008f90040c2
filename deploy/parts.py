"""The parts of a stack: its servers, the settings that they share, and what stack.json says of them."""

import http.client
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.clickhouse_server import ClickHouseServer
from deploy.kafka_server import KafkaServer
from deploy.layout import RunningStack, remembered_kafka, several
from deploy.leftovers import mark
from deploy.ports import LOOPBACK
from deploy.process import Server
from service import adjust_token, settings

# In the order of the path: whoever hands on is stopped before whoever takes.
SERVICES = ("collector", "joiner", "writer", "notifier", "console")
PROBE_S = 3.0  # /readyz gives each of its checks 2 s
WITHOUT_CATALOG = "catalog"  # the one check of /readyz that waits for a person

EMBEDDED = {  # where the installation's own choice is not in the environment
    "ROUNDTRIP_PARTITIONS": "4",
    "ROUNDTRIP_REPLICATION": "1",
    "ROUNDTRIP_KAFKA_SESSION_S": "6",  # the least that Kafka allows: after kill -9 the joiner waits as long
    "ROUNDTRIP_DRAIN_S": "8",  # a person waits for Ctrl-C; less than process.GRACE_S
}
# What commands must know besides the addresses; never a secret.
SHARED = (
    *("ROUNDTRIP_PARTITIONS", "ROUNDTRIP_REPLICATION", "ROUNDTRIP_TOPIC_PREFIX"),
    *("ROUNDTRIP_CLICKHOUSE_DATABASE", "ROUNDTRIP_KAFKA_SECURITY", "ROUNDTRIP_KAFKA_CA"),
    *("ROUNDTRIP_KAFKA_SASL_MECHANISM", "ROUNDTRIP_KAFKA_USER"),
)


class Service(Server):
    """One service: `python -m roundtrip PART`.

    name: the part's, with a number where several of it run: collector-2.
    health_port: where this process alone answers, whoever shares its port.
    """

    def __init__(self, name: str, port: int, log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self.health_port = int(environment.get("ROUNDTRIP_HEALTH_PORT") or port)
        self.log = log
        self.environment = {**environment, "ROUNDTRIP_PORT": str(port), "PYTHONUNBUFFERED": "1"}

    @property
    def part(self) -> str:
        """Which of SERVICES it is."""
        return self.name.partition("-")[0]

    def command(self) -> Sequence[str]:
        """The same command that production runs."""
        return [sys.executable, "-m", "roundtrip", self.part]

    def is_ready(self) -> bool:
        """Whether it can do its work, or would as soon as somebody applies a catalog."""
        return self.complaints() <= {WITHOUT_CATALOG}

    def complaints(self) -> set[str]:
        """The checks of /readyz that fail; one of our own where it does not answer."""
        status, said = self._readiness()
        if status == http.client.OK:
            return set()
        try:
            return {name for name, complaint in said["checks"].items() if complaint != "ok"}
        except (KeyError, AttributeError):
            return {"no answer"}

    def note(self, name: str) -> str:
        """What /readyz says beside its checks under this name; nothing where it does not answer."""
        _, said = self._readiness()
        try:
            return str(said["notes"][name])
        except KeyError:
            return ""

    def _readiness(self) -> tuple[int, dict[str, Any]]:
        """Status and content of /readyz; 0 and nothing where it does not answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.health_port, timeout=PROBE_S)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()


MakeService = Callable[[str, int, Path, Mapping[str, str]], Service]


class Parts:
    """Everything that runs in a directory; nothing is started by making it.

    ports: a port for each part, and one for the health of each collector where several share theirs; without
    `broker` among them, address is another Kafka's.
    settings: ROUNDTRIP_* names and values for commands and services alike.
    """

    def __init__(
        self,
        directory: Path,
        ports: Mapping[str, int],
        kafka: str | None,
        make_service: MakeService = Service,
    ) -> None:
        self.directory = directory
        self.ports = ports
        self.kafka = kafka or f"{LOOPBACK}:{ports['broker']}"
        self.settings = self._settings()
        marked = mark(directory)
        self.storage: list[Server] = [
            ClickHouseServer(
                directory / "clickhouse", ports["clickhouse"], log=self._log("clickhouse"), environment=marked
            )
        ]
        if kafka is None:
            self.storage.append(
                KafkaServer(directory / "kafka", ports["broker"], log=self._log("broker"), environment=marked)
            )
        self.services = [
            make_service(name, ports[part], self._log(name), {**self._own(name), **marked})
            for part in SERVICES
            for name in several(part, ports)
        ]

    @property
    def may_lack_catalog(self) -> bool:
        """Whether the directory keeps catalog versions that its Kafka has lost; asked before anything starts.

        Another Kafka (--broker) may have been emptied at any time: it is asked where it is the one of before.
        """
        if not (self.directory / "catalog").exists():
            return False
        if any(isinstance(server, KafkaServer) for server in self.storage):
            return True  # its disk may have been lost, or a stop came before it had the catalog again
        return remembered_kafka(self.directory) == self.kafka

    @property
    def all(self) -> list[Server]:
        """Every server, in the order in which they stop."""
        return [*self.services, *self.storage]

    def service(self, name: str) -> Service:
        """The service of that name."""
        return next(each for each in self.services if each.name == name)

    @property
    def silent_s(self) -> float:
        """How long a joiner may be silent."""
        return settings.read("up", self.settings).silent_s

    @property
    def addresses(self) -> dict[str, str]:
        """What people and programs connect to."""
        return {
            "collector": self._url("collector"),
            "console": self._url("console"),
            "clickhouse": self._url("clickhouse"),
            "kafka": self.kafka,
        }

    def stack(self, *, running: bool) -> RunningStack:
        """What stack.json says now."""
        started = [server for server in self.all if server.process is not None] if running else []
        parts = dict.fromkeys(server.part for server in started)
        return RunningStack(
            **self.addresses,
            processes={part: [each.pid for each in started if each.part == part] for part in parts},
            settings={name: value for name in SHARED if (value := self.settings.get(name))},
            supervisor=os.getpid() if running else 0,
            health={name: self._url(name) for name in self.ports if name.partition("-")[0] in SERVICES},
        )

    def _own(self, name: str) -> dict[str, str]:
        """The settings of one service: its own health port, where it has one besides the part's.

        Only collectors are told the credential of adjustments.
        """
        own = {"ROUNDTRIP_HEALTH_PORT": str(self.ports[name]) if name not in SERVICES else ""}
        if name.partition("-")[0] == "collector":
            own["ROUNDTRIP_ADJUST_TOKEN"] = adjust_token.read(settings.read("collector", self.settings))
        return {**self.settings, **own}

    def _settings(self) -> dict[str, str]:
        stated = {
            name: value for name, value in os.environ.items() if name.startswith("ROUNDTRIP_") and value
        }
        return {
            **EMBEDDED,
            **stated,
            "ROUNDTRIP_DIR": str(self.directory),
            "ROUNDTRIP_KEYS": str(self.directory / "keys.toml"),
            "ROUNDTRIP_HOST": LOOPBACK,
            "ROUNDTRIP_PORT": "",
            "ROUNDTRIP_HEALTH_PORT": "",
            "ROUNDTRIP_COLLECTOR": self._url("collector"),
            "ROUNDTRIP_KAFKA": self.kafka,
            "ROUNDTRIP_CLICKHOUSE": self._url("clickhouse"),
            "ROUNDTRIP_CLICKHOUSE_USER": "",
            "ROUNDTRIP_CLICKHOUSE_PASSWORD": "",
        }

    def _url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def _log(self, name: str) -> Path:
        return self.directory / "log" / f"{name}.log"
