"""The collector as a process: it starts without Kafka and says so, serves with it, ends in order."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka_server import KafkaServer
from deploy.layout import make_keys
from deploy.ports import free_port
from service.settings import Settings
from tests.ingest.processes import Collector, apply, held, prepare

pytestmark = pytest.mark.stack


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


def test_a_collector_s_life(collector: Collector, kafka: KafkaServer) -> None:
    said = collector.until_ready(503)
    assert said["checks"]["catalog"] == "no catalog yet: roundtrip catalog apply FILE"
    assert said["checks"]["journal"] == "ok"
    assert collector.ask("/postback?transaction_id=x")[0] == 503
    kafka.start()
    prepare(collector.settings)
    asyncio.run(apply(collector.settings))
    collector.until_ready(200)
    status, verdict = collector.ask("/postback?transaction_id=x")
    assert (status, verdict["outcome"]) == (400, "refused")
    assert collector.get("/click?offer_id=9&aff_id=42")[0] == 302
    (click,) = held(collector.settings, "clicks")
    status, verdict = collector.ask(f"/postback?transaction_id={click.transaction_id}&amount=1")
    assert (status, verdict["outcome"]) == (200, "accepted")
    assert [fact.receipt_id for fact in held(collector.settings, "postbacks")] == [verdict["receipt"]]
    collector.process.send_signal(signal.SIGTERM)
    assert collector.process.wait(120) == 0
    lines = collector.log.read_text().splitlines()
    assert not [line for line in lines if "Traceback" in line]
    assert len([line for line in lines if "cannot be reached:" in line]) <= 2, lines
