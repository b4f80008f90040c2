"""What we override or lean on in Faust, mode and aiokafka is as it was when ours was written.

A failure here is no fault yet: it says what to read again before a new release of theirs is let in.
"""

import hashlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.consumer.group_coordinator import BaseCoordinator, CoordinatorGroupRebalance, GroupCoordinator
from faust.app.base import App
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage, Message
from mode.threads import MethodQueue

from streams.kafka.transport import WRITTEN_FOR

# By the digest of its source: what client, transport, commit, fence and liveness in streams/ stand on.
RELIED_ON = {
    # Reading: polls, seeks, and what drops a fetch.
    faust_consumer.Consumer._drain_messages: "44a2500309e8",
    faust_consumer.Consumer._wait_next_records: "6218e1969a63",
    faust_consumer.Consumer.track_message: "217d7f1399a4",
    faust_consumer.Consumer._wait_for_ack: "d9c9337d4af8",
    faust_consumer.Consumer.pause_partitions: "27a1c94bdacd",
    faust_consumer.Consumer.resume_partitions: "afe6b7c02a41",
    faust_consumer.Consumer.stop_flow: "cf7e875a2b0d",
    faust_consumer.Consumer.resume_flow: "db59630f25b5",
    driver.AIOKafkaConsumerThread.getmany: "26fc5fc9f3b6",
    driver.AIOKafkaConsumerThread._fetch_records: "39a2c6c79fc1",
    driver.AIOKafkaConsumerThread._seek_wait: "9d221e816d94",
    driver.AIOKafkaConsumerThread.seek: "1498560d05f0",
    driver.AIOKafkaConsumerThread._create_consumer: "a4dc6ba0681a",
    driver.AIOKafkaConsumerThread.on_start: "38b4e8bd1e10",
    driver.AIOKafkaConsumerThread.on_thread_stop: "8dfc004e258b",
    MethodQueue._process_enqueued: "d88a086d148c",
    Stream._py_aiter: "3a48ee257a65",
    Fetcher.fetched_records: "be4348896b9b",
    Fetcher.seek_to: "f0ba6aba6c22",
    Fetcher._fetch_requests_routine: "2a8ec5932644",
    Fetcher._proc_fetch_request: "59bf948fff47",
    Fetcher._update_fetch_positions: "d7774d8241dc",
    FetchResult.getall: "3e717e30de50",
    FetchResult.check_assignment: "b5340df67e3f",
    AIOKafkaConsumer.seek: "a9430f1f3b9a",
    AIOKafkaConsumer.position: "2512259a90a2",
    # Committing: when, and that nothing else does.
    faust_consumer.Consumer.commit: "a354437baaa0",
    faust_consumer.Consumer.force_commit: "cc094614d22c",
    faust_consumer.Consumer._commit_tps: "a20e230b05ae",
    faust_consumer.Consumer._commit_handler.fun: "4e5da5df0730",
    faust_consumer.Consumer.ack: "5fcf41cf4515",
    faust_consumer.Consumer.wait_empty: "e4662fe24f09",
    faust_consumer.Consumer.on_stop: "45b1d2210ce2",
    Message.ack: "4751b72c4ed8",
    ConsumerMessage.on_final_ack: "45d670b6a8ac",
    driver.AIOKafkaConsumerThread.commit: "d31c8558ba25",
    AIOKafkaConsumer.commit: "79b057d88220",
    GroupCoordinator.commit_offsets: "5cbe31af28d6",
    # Assignments: what comes before and after them.
    faust_consumer.Consumer.on_partitions_revoked: "d04b7ae72c6f",
    faust_consumer.Consumer.on_partitions_assigned: "29ce96596f05",
    driver.ConsumerRebalanceListener.on_partitions_revoked: "348c3aec879f",
    driver.ConsumerRebalanceListener.on_partitions_assigned: "1c1f8406ad36",
    App._on_partitions_revoked: "d5c895bbe57d",
    App._on_partitions_assigned: "de932b7927db",
    App._stop_consumer: "55854a5de12c",
    Recovery.on_rebalance: "aa4d997a1795",
    Recovery._restart_recovery.fun: "6bd8a8558a2d",
    Recovery._resume_streams: "d986a6710c1a",
    Recovery._wait: "ec7429b70176",
    GroupCoordinator._on_join_prepare: "4d9524afc0ee",
    GroupCoordinator._on_join_complete: "0b0b3d204b40",
    GroupCoordinator._perform_assignment: "a5cf61fa9732",
    GroupCoordinator.ensure_active_group: "33c84c1a9301",
    CoordinatorGroupRebalance.perform_group_join: "ff2c2109b2e9",
    BaseCoordinator._handle_metadata_update: "b2832b6d82be",
    # Silence and the fence: what ends, what waits, what the group answers.
    GroupCoordinator._coordination_routine: "75273e127d4a",
    GroupCoordinator._push_error_to_user: "743ff515bd7e",
    GroupCoordinator._send_req: "fa4b12e914ce",
    GroupCoordinator.reset_generation: "537aa37c531b",
    GroupCoordinator._heartbeat_routine: "61d010289522",
    GroupCoordinator._do_heartbeat: "dc1d6632aaa6",
    CoordinatorGroupRebalance._send_sync_group_request: "7429ca078ddf",
    AIOKafkaClient._md_synchronizer: "e0421bffa9a7",
}


def test_the_libraries_are_the_ones_that_the_transport_was_written_for():
    found = {name: version(name) for name in WRITTEN_FOR}
    assert found == WRITTEN_FOR, (
        "Faust, mode or aiokafka changed: read again what client, transport, commit, fence and"
        " liveness in streams/ override, run the tests marked `stack`, then write the new versions into"
        " WRITTEN_FOR"
    )


@pytest.mark.parametrize("function", RELIED_ON, ids=lambda each: each.__qualname__)
def test_they_still_do_what_we_rely_on(function: Any):
    digest = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]
    assert digest == RELIED_ON[function], (
        f"{function.__module__}: {function.__qualname__} is no longer what ours was written for: read"
        f" it, see whether each override in streams/ still holds, then write {digest} here"
    )
