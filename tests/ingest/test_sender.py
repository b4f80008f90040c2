"""What refusals and tails need of Kafka: the fake keeps the same contract as the real producer."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from deploy.kafka_server import KafkaServer
from ingest.admission import Sender
from service.errors import Refused, Unavailable
from service.kafka import Admin, Producer, TopicSpec, read_range
from service.settings import Settings
from tests.ingest.fakes import MAX_RECORD_BYTES, FakeKafka


class World(Protocol):
    """A Kafka to try the contract on, fake or real."""

    @property
    def sender(self) -> Sender: ...

    def holds(self, topic: str) -> list[tuple[bytes, bytes]]: ...

    def leave(self) -> None: ...


class FakeWorld:
    def __init__(self) -> None:
        self.kafka = FakeKafka()
        self.sender = self.kafka

    def holds(self, topic: str) -> list[tuple[bytes, bytes]]:
        return [(key, value) for name, key, value in self.kafka.records if name == topic]

    def leave(self) -> None:
        self.kafka.gone = "away"


class RealWorld:
    def __init__(self, server: KafkaServer, directory: Path) -> None:
        self._server = server
        self._settings = Settings(dir=directory, kafka=server.address, partitions=2, replication=1)
        with Admin(self._settings) as admin:
            limit = {"max.message.bytes": str(MAX_RECORD_BYTES)}
            admin.ensure_topics([TopicSpec("refusals", 2, 1, limit)])
        self.sender = Producer(self._settings)

    def holds(self, topic: str) -> list[tuple[bytes, bytes]]:
        with Admin(self._settings) as admin:
            ends = admin.end_offsets([topic])
        return [
            (record.key, record.value)
            for (name, partition), end in ends.items()
            for record in read_range(self._settings, name, partition, 0, end)
        ]

    def leave(self) -> None:
        self._server.kill()


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.stack)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    with KafkaServer(tmp_path / "kafka") as server:
        real = RealWorld(server, tmp_path)
        yield real
        await real.sender.close(0.1)


async def test_contract_of_the_sender(world: World) -> None:
    """An acknowledged record is there; one that is too large is refused for good; away is no answer."""
    for n in range(3):
        await world.sender.send("refusals", b"key", b"%d" % n)
    assert sorted(await asyncio.to_thread(world.holds, "refusals")) == [(b"key", b"%d" % n) for n in range(3)]
    with pytest.raises(Refused):
        await world.sender.send("refusals", b"k", os.urandom(MAX_RECORD_BYTES * 2))  # cannot be compressed
    world.leave()
    with pytest.raises((Unavailable, TimeoutError)):
        await asyncio.wait_for(world.sender.send("refusals", b"k", b"v"), 1.0)
