"""The real ClickHouse and Kafka, for what only they can show."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.clickhouse_server import ClickHouseServer
from deploy.kafka_server import KafkaServer
from schemas.tables import migrations
from service.clickhouse import ClickHouse
from service.settings import Settings


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server.address


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def stored(
    clickhouse_server: ClickHouseServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Settings]:
    """Settings with a fresh database of all tables on the real ClickHouse."""
    name = "t_" + str(abs(hash(request.node.nodeid)))
    config = Settings(dir=tmp_path, clickhouse=clickhouse_server.url, clickhouse_database=name)
    client = ClickHouse(config)
    client.command(f"CREATE DATABASE {name}", database=False)
    for migration in migrations():
        for statement in migration.statements:
            client.command(statement)
    yield config
    client.command(f"DROP DATABASE {name}", database=False)
    client.close()
