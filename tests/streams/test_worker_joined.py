"""A worker that cannot join its group ends, so that another takes its place; one without Kafka waits."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from service.errors import Problem
from service.outage import Outage
from streams.worker import joined


async def test_a_group_that_is_not_joined_although_kafka_is_there_ends_the_worker() -> None:
    with pytest.raises(Problem, match="not joined"):
        await joined(SimpleNamespace(consumer_generation_id=0), Outage("Kafka"), within_s=0.02, pause_s=0.001)


async def test_a_joined_group_is_all_that_is_waited_for() -> None:
    await joined(SimpleNamespace(consumer_generation_id=1), Outage("Kafka"), within_s=0.0)


async def test_while_kafka_is_away_the_time_does_not_run() -> None:
    kafka = Outage("Kafka")
    kafka.lost("gone")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await joined(SimpleNamespace(consumer_generation_id=0), kafka, within_s=0.01, pause_s=0.001)
    assert kafka.since
