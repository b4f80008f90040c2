"""What in aiokafka ends, or waits for ever, is told."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from streams.kafka.liveness import silent

TASKS = {
    "membership": ("_coordinator", "_coordination_task"),
    "fetching": ("_fetcher", "_fetch_task"),
    "metadata": ("_client", "_sync_task"),
}


async def lasting() -> None:
    await asyncio.Event().wait()


async def failing() -> None:
    raise KafkaError("why")


@pytest.fixture
async def consumer() -> Any:
    """Aiokafka's own parts, as a consumer holds them; nothing listens at the other end."""
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    client._sync_task = asyncio.create_task(lasting())
    subscription = SubscriptionState()
    made = SimpleNamespace(
        _client=client,
        _coordinator=GroupCoordinator(client, subscription, group_id="g"),
        _fetcher=Fetcher(client, subscription),
    )
    await asyncio.sleep(0)
    tasks = [getattr(getattr(made, owner), name) for owner, name in TASKS.values()]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_at_work_is_nothing_to_tell(consumer: Any):
    assert silent(consumer) == ""


def test_nor_is_what_was_not_started():
    assert silent(SimpleNamespace(_coordinator=None, _fetcher=None)) == ""


@pytest.mark.parametrize("name", TASKS)
async def test_a_task_that_ended_is_told_with_its_reason(consumer: Any, name: str):
    owner, task = TASKS[name]
    ended = asyncio.create_task(failing())
    await asyncio.wait([ended])
    setattr(getattr(consumer, owner), task, ended)
    assert silent(consumer) == f"{name}: ended with KafkaError('why')"


async def test_a_task_that_was_cancelled_is_told(consumer: Any):
    consumer._fetcher._fetch_task.cancel()
    await asyncio.wait([consumer._fetcher._fetch_task])
    assert silent(consumer).startswith("fetching: ")


async def test_an_error_that_aiokafka_keeps_until_somebody_takes_it_is_told(consumer: Any):
    """Until then its coordination stands still: no heartbeat, no joining."""
    keeping = asyncio.ensure_future(
        consumer._coordinator._push_error_to_user(GroupAuthorizationFailedError("g"))
    )
    await asyncio.sleep(0)
    assert not keeping.done()
    assert silent(consumer).startswith("membership: GroupAuthorizationFailedError")
    keeping.cancel()
