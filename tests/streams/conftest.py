"""States in directories of a test's own, and the real Kafka that the stack's tests here share."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.kafka_server import KafkaServer
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams.installation import Installation, installed


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Partition]:
    """Opens a new state at each call."""
    numbers = itertools.count()
    store = Store(tmp_path)
    return lambda: store.open(next(numbers))


@pytest.fixture
def state(fresh: Callable[[], Partition]) -> Iterator[Partition]:
    made = fresh()
    yield made
    made.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def here(kafka: KafkaServer, tmp_path: Path) -> Iterator[Installation]:
    yield from installed(kafka, tmp_path)
