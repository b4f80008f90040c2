"""Collectors as processes, and what they leave in Kafka."""

import json
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from schemas import facts, topics
from schemas.catalog_versions import CatalogVersion, encode_version, record_key
from schemas.topics import TOPICS
from service.kafka import Admin, Producer, TopicSpec, read_range
from service.settings import Settings
from tests.ingest.fakes import KNOWN


class Collector:
    """One collector; what it says lies in `log`."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.log = log
        environ = {
            "ROUNDTRIP_DIR": str(settings.dir),
            "ROUNDTRIP_KAFKA": settings.kafka,
            "ROUNDTRIP_PARTITIONS": str(settings.partitions),
            "ROUNDTRIP_TOPIC_PREFIX": settings.topic_prefix,
            "ROUNDTRIP_PORT": str(settings.port),
            "ROUNDTRIP_HEALTH_PORT": str(settings.health_port),
            "PATH": "/usr/bin:/bin",
        }
        command = [sys.executable, "-m", "roundtrip", "collector"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, env=environ, stderr=file, cwd=Path(__file__).parents[2])

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body, of this process alone where it has a health port; a redirect is not followed."""
        return get(self.settings.health_port or self.settings.port, path)

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        status, said = self.get(path)
        return status, json.loads(said)

    def until_ready(self, wanted: int, deadline_s: float = 120.0) -> dict[str, Any]:
        """What /readyz says once it answers so."""
        limit = time.monotonic() + deadline_s
        while True:
            try:
                status, said = self.ask("/readyz")
                if status == wanted:
                    return said
            except OSError as error:
                said = {"error": str(error)}
            assert time.monotonic() < limit, (said, self.log.read_text())
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)  # the pause between two looks


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body, over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        found = connection.getresponse()
        return found.status, found.read()
    finally:
        connection.close()


def prepare(settings: Settings) -> None:
    specs = [
        TopicSpec(each.name, 1 if each.single else settings.partitions, 1, each.config)
        for each in TOPICS.values()
    ]
    with Admin(settings) as admin:
        admin.ensure_topics(specs)


async def apply(settings: Settings, version: CatalogVersion = KNOWN.catalog) -> None:
    producer = Producer(settings)
    await producer.send(topics.CATALOG, record_key(version.version), encode_version(version))
    await producer.close()


def held(settings: Settings, topic: str, deadline_s: float = 120.0) -> list[facts.AnyFact]:
    """The facts of the topic, once there are any: the answer does not wait for Kafka."""
    limit = time.monotonic() + deadline_s
    with Admin(settings) as admin:
        while not sum((ends := admin.end_offsets([topic])).values()):
            assert time.monotonic() < limit
            time.sleep(0.02)  # the pause between two looks
    return [
        facts.decode(topic, record.value)
        for (name, partition), end in ends.items()
        for record in read_range(settings, name, partition, 0, end)
    ]
