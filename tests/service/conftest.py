"""A broker and a ClickHouse for the tests that need the real thing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.clickhouse_server import ClickHouseServer
from deploy.kafka_server import KafkaServer
from service.settings import Settings


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def kafka(broker: KafkaServer, tmp_path: Path) -> Settings:
    """A corner of the broker that is this test's own."""
    return Settings(
        dir=tmp_path, kafka=broker.address, topic_prefix=f"{tmp_path.name}-", replication=1, partitions=4
    )
