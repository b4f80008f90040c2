"""What a shipment tells: where its records lie, which were turned away, and whether one log took them all."""

from typing import Any

import pytest

from service.kafka import Outgoing, Producer
from service.kafka import producer as producer_module
from service.settings import Settings
from tests.service.library import ERROR, Client

LARGE = Outgoing("t", b"k", b"x" * 101)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def make(_kind: object, config: dict[str, Any]) -> Client:
        made.append(Client())
        made[-1].config = config
        return made[-1]

    monkeypatch.setattr(producer_module, "made", make)
    return made


def records(*values: bytes) -> list[Outgoing]:
    return [Outgoing("t", b"k", value) for value in values]


async def test_the_last_record_of_each_partition_is_known_with_its_place(clients: list[Client]) -> None:
    producer = Producer(Settings())
    outcome = await producer.ship(records(b"a", b"b", b"c"))
    (record,) = outcome.last.values()
    assert (record.topic, record.partition, record.offset, record.value) == ("t", 0, 2, b"c")
    assert outcome[1:] == ([], "", 0)
    assert len(clients) == 1
    await producer.close()


async def test_a_record_that_kafka_turns_away_comes_back_whole_and_the_others_are_there(
    clients: list[Client],
) -> None:
    producer = Producer(Settings())
    clients[0].refused = {b"odd": ERROR.INVALID_RECORD, b"beside": ERROR._INVALID_DIFFERENT_RECORD}
    outcome = await producer.ship([*records(b"a", b"odd", b"beside", b"b"), LARGE])
    assert sorted(turned.record.value for turned in outcome.turned) == sorted(
        [b"odd", b"beside", LARGE.value]
    )
    assert {turned.record.value: turned.too_large for turned in outcome.turned}[LARGE.value]
    assert [record.value for record in outcome.last.values()] == [b"b"]
    assert outcome.lost == ""
    await producer.close()


async def test_what_may_not_be_there_is_said(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].refused = {b"late": ERROR._MSG_TIMED_OUT}
    assert (await producer.ship(records(b"a", b"late"))).lost
    clients[0].refused = {b"late": ERROR._UNKNOWN_TOPIC}
    assert "roundtrip migrate" in (await producer.ship(records(b"late"))).lost
    await producer.close()


async def test_a_record_of_which_kafka_does_not_say_where_it_lies_counts_as_lost(
    clients: list[Client],
) -> None:
    """Its place could not be read back, so that nobody would notice when it goes."""
    producer = Producer(Settings())
    clients[0]._offsets = iter([-1001])
    assert (await producer.ship(records(b"a"))).lost
    await producer.close()


async def test_a_full_queue_loses_what_did_not_fit_and_the_future_still_ends(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].room = 2
    clients[0].silent = True
    future = producer.ship(records(b"a", b"b", b"c", b"d"))
    clients[0].silent = False
    clients[0]._wake.set()
    assert "full" in (await future).lost
    await producer.close()


async def test_a_connection_that_ended_is_counted_before_what_comes_after_it(clients: list[Client]) -> None:
    producer = Producer(Settings())
    before = await producer.ship(records(b"a"))
    complain = clients[0].config["error_cb"]
    complain(ERROR(ERROR._TRANSPORT, "Disconnected"))
    complain(ERROR(ERROR._MSG_TIMED_OUT, "no connection ended"))
    after = await producer.ship(records(b"b"))
    assert (before.cuts, after.cuts, producer.cuts) == (0, 1, 1)
    await producer.close()


async def test_a_client_that_gave_up_counts_as_a_connection_that_ended(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].silent = True
    held = producer.ship(records(b"held"))
    clients[0].break_down()
    assert (await held).lost
    outcome = await producer.ship(records(b"a"))
    assert (outcome.lost, outcome.cuts, producer.cuts) == ("", 1, 1)
    await producer.close()


async def test_after_close_everything_is_lost_and_nothing_waits(clients: list[Client]) -> None:  # noqa: ARG001
    producer = Producer(Settings())
    await producer.close()
    assert "stops" in (await producer.ship(records(b"a", b"b"))).lost
