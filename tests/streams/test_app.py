"""What Faust is told: each of these settings, as Faust has it by itself, loses records, memory or time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.types import TP
from faust.types.enums import ProcessingGuarantee

from service.settings import Settings
from streams.kafka import app
from streams.kafka.topics import READ
from streams.kafka.transport import FetchTransport

HOUR_S = 3600.0


@pytest.fixture
async def built(tmp_path: Path) -> faust.App:
    async def nothing(*_: Any) -> None: ...

    async def start_at(_: frozenset[TP]) -> Mapping[TP, int]:
        return {}

    settings = Settings(dir=tmp_path, topic_prefix="p-")
    return app.build(settings, nothing, start_at, nothing)


def test_one_agent_takes_one_fetch_after_another_of_all_topics(built: faust.App):
    """With two at a time a later fetch would be decided, sent and committed before an earlier one."""
    (agent,) = built.agents.values()
    assert agent.concurrency == 1
    assert {*agent.channel.topics} == {"p-" + name for name in READ}
    assert isinstance(built.transport, FetchTransport)


def test_one_fetch_waits_while_one_is_in_work_and_a_rebalance_lets_that_finish(built: faust.App):
    assert (built.conf.stream_buffer_maxsize, built.conf.stream_wait_empty) == (1, True)


def test_what_was_handled_is_committed_soon_and_by_offsets_alone(built: faust.App):
    assert built.conf.broker_commit_interval <= 1.0
    assert built.conf.processing_guarantee is ProcessingGuarantee.AT_LEAST_ONCE
    assert not built.boot_strategy.enable_kafka_producer


def test_faust_makes_no_topic_opens_no_port_and_keeps_no_table(built: faust.App):
    assert not built.conf.topic_allow_declare
    assert built.conf.topic_disable_leader
    assert not built.conf.web_enabled
    assert not built.boot_strategy.enable_web
    assert built.conf.table_standby_replicas == 0


def test_an_assignment_and_a_fetch_may_wait_for_a_broker_that_is_away(built: faust.App):
    """Faust would give up the one and warn of the other; ours wait until Kafka is there or a stop comes."""
    assert built.conf.broker_request_timeout >= HOUR_S
    assert built.conf.stream_processing_timeout >= HOUR_S
