"""The collector as a process: it starts without Kafka and says so, serves with it, ends in order."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka_server import KafkaServer
from deploy.layout import make_keys
from deploy.ports import free_port
from schemas import facts, topics
from schemas.catalog_versions import encode_version, record_key
from schemas.topics import TOPICS
from service.kafka import Admin, Producer, TopicSpec, read_range
from service.settings import Settings
from tests.ingest.fakes import KNOWN

pytestmark = pytest.mark.stack


class Collector:
    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.log = log
        environ = {
            "ROUNDTRIP_DIR": str(settings.dir),
            "ROUNDTRIP_KAFKA": settings.kafka,
            "ROUNDTRIP_PARTITIONS": str(settings.partitions),
            "ROUNDTRIP_PORT": str(settings.port),
            "PATH": "/usr/bin:/bin",
        }
        command = [sys.executable, "-m", "roundtrip", "collector"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, env=environ, stderr=file, cwd=Path(__file__).parents[2])

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; a redirect is not followed."""
        connection = HTTPConnection("127.0.0.1", self.settings.port, timeout=5)
        try:
            connection.request("GET", path)
            found = connection.getresponse()
            return found.status, found.read()
        finally:
            connection.close()

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        status, said = self.get(path)
        return status, json.loads(said)

    def until_ready(self, wanted: int, deadline_s: float = 30.0) -> dict[str, Any]:
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


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path / "kafka") as server:
        yield server


@pytest.fixture
def collector(kafka: KafkaServer, tmp_path: Path) -> Iterator[Collector]:
    """Started while Kafka is away."""
    settings = Settings(
        dir=tmp_path / "state", kafka=kafka.address, partitions=2, replication=1, port=free_port()
    )
    settings.dir.mkdir()
    make_keys(settings.dir)
    kafka.kill()
    running = Collector(settings, tmp_path / "log")
    yield running
    running.process.kill()
    running.process.wait()


def prepare(settings: Settings) -> None:
    specs = [
        TopicSpec(each.name, 1 if each.single else settings.partitions, 1, each.config)
        for each in TOPICS.values()
    ]
    with Admin(settings) as admin:
        admin.ensure_topics(specs)


async def apply(settings: Settings) -> None:
    producer = Producer(settings)
    await producer.send(topics.CATALOG, record_key(5), encode_version(KNOWN.catalog))
    await producer.close()


def held(settings: Settings, topic: str, deadline_s: float = 20.0) -> list[facts.AnyFact]:
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


def test_a_collector_s_life(collector: Collector, kafka: KafkaServer) -> None:
    said = collector.until_ready(503)
    assert said["checks"]["catalog"] == "no catalog yet: roundtrip catalog apply FILE"
    assert said["checks"]["journal"] == "ok"
    assert collector.ask("/postback?transaction_id=x")[0] == 503
    kafka.start()
    prepare(collector.settings)
    asyncio.run(apply(collector.settings))
    applied = time.monotonic()
    collector.until_ready(200)
    assert time.monotonic() - applied < 5
    status, verdict = collector.ask("/postback?transaction_id=x")
    assert (status, verdict["outcome"]) == (400, "refused")
    assert collector.get("/click?offer_id=9&aff_id=42")[0] == 302
    (click,) = held(collector.settings, "clicks")
    status, verdict = collector.ask(f"/postback?transaction_id={click.transaction_id}&amount=1")
    assert (status, verdict["outcome"]) == (200, "accepted")
    assert [fact.receipt_id for fact in held(collector.settings, "postbacks")] == [verdict["receipt"]]
    collector.process.send_signal(signal.SIGTERM)
    assert collector.process.wait(20) == 0
    lines = collector.log.read_text().splitlines()
    assert not [line for line in lines if "Traceback" in line]
    assert len([line for line in lines if "cannot be reached:" in line]) <= 2, lines
