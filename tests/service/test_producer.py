"""The producer's promises at the edges of librdkafka: full queue, refusal, fatal error, stop."""

import asyncio
from typing import Any

import pytest

from service.errors import RecordsRefused, Refused, Unavailable, Usage
from service.kafka import Outgoing, Producer
from service.kafka import producer as producer_module
from service.kafka.admin import _suffices
from service.settings import Settings
from tests.service.library import ERROR, Client


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def make(_kind: object, _config: object) -> Client:
        made.append(Client())
        return made[-1]

    monkeypatch.setattr(producer_module, "made", make)
    return made


async def test_an_acknowledged_record_ends_well(clients: list[Client]) -> None:
    producer = Producer(Settings())
    await producer.send("t", b"k", b"v")
    await producer.close()
    assert len(clients) == 1


async def test_a_full_queue_is_unavailable_at_once(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].silent, clients[0].room = True, 1
    first = producer.send("t", b"k", b"held")
    with pytest.raises(Unavailable, match="full"):
        await producer.send("t", b"k", b"v")
    assert not first.done()
    await producer.close(0.01)
    with pytest.raises(Unavailable):
        await first


async def test_what_kafka_never_takes_is_refused(clients: list[Client]) -> None:
    producer = Producer(Settings())
    with pytest.raises(Refused):
        await producer.send("t", b"k", b"x" * 101)
    clients[0].refused = {b"odd": ERROR.INVALID_RECORD}
    with pytest.raises(Refused):
        await producer.send("t", b"k", b"odd")
    await producer.close()


async def test_refused_records_of_a_sending_are_named_and_the_others_are_there(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].refused = {b"odd": ERROR.INVALID_RECORD}
    with pytest.raises(RecordsRefused) as caught:
        await producer.send_all([Outgoing("t", b"k", value) for value in (b"a", b"odd", b"b", b"x" * 101)])
    assert sorted(caught.value.indexes) == [1, 3]
    await producer.close()


async def test_a_sending_that_may_be_tried_again_is_unavailable_whatever_else(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].refused = {b"odd": ERROR.INVALID_RECORD, b"late": ERROR._MSG_TIMED_OUT}
    with pytest.raises(Unavailable):
        await producer.send_all([Outgoing("t", b"k", value) for value in (b"odd", b"late")])
    await producer.close()


async def test_a_missing_topic_says_what_to_run(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].refused = {b"v": ERROR._UNKNOWN_TOPIC}
    with pytest.raises(Unavailable, match="roundtrip migrate"):
        await producer.send("t", b"k", b"v")
    await producer.close()


async def test_after_a_fatal_error_a_new_client_takes_over(clients: list[Client]) -> None:
    producer = Producer(Settings())
    clients[0].silent = True
    lost = producer.send("t", b"k", b"held by the old one")
    clients[0].break_down()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(lost, 60)
    await asyncio.wait_for(producer.send("t", b"k", b"v"), 60)
    assert len(clients) == 2
    await producer.close()


async def test_after_close_nothing_is_taken(clients: list[Client]) -> None:
    producer = Producer(Settings())
    await producer.close()
    with pytest.raises(Unavailable, match="stops"):
        await producer.send("t", b"k", b"v")
    assert len(clients[0]) == 0


async def test_a_waiter_that_left_harms_nobody(clients: list[Client]) -> None:  # noqa: ARG001  the fixture is the library
    producer = Producer(Settings())
    producer.send("t", b"k", b"v").cancel()
    await producer.send("t", b"k", b"w")
    await producer.close()


async def test_a_batch_wakes_the_loop_once(clients: list[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """A wake a record is what costs: a hundred records that Kafka answers together make one."""
    producer = Producer(Settings())
    clients[0].silent = True
    futures = [producer.send("t", b"k", b"v") for _ in range(100)]
    wakes = []
    loop = asyncio.get_running_loop()
    wake = loop.call_soon_threadsafe

    def counted(*arguments: Any) -> object:
        wakes.append(arguments)
        return wake(*arguments)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    clients[0].silent = False
    clients[0]._wake.set()
    await asyncio.gather(*futures)
    assert len([each for each in wakes if each[0].__name__ == "_conclude"]) == 1
    await producer.close()


async def test_settings_that_librdkafka_does_not_take_are_wrong_usage() -> None:
    with pytest.raises(Usage, match="ROUNDTRIP_KAFKA"):
        Producer(Settings(kafka_security="ssl", kafka_ca="/nowhere/ca.pem"))


@pytest.mark.parametrize(
    ("name", "wanted", "present", "enough"),
    [
        ("retention.ms", "100", "200", True),
        ("retention.ms", "100", "-1", True),
        ("retention.ms", "-1", "200", False),
        ("retention.ms", "200", "100", False),
        ("cleanup.policy", "compact", "delete", False),
        ("cleanup.policy", "compact", "compact", True),
    ],
)
def test_a_longer_retention_than_asked_for_stays(
    name: str, wanted: str, present: str, *, enough: bool
) -> None:
    assert _suffices(name, wanted, present) is enough
