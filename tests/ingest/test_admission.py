"""When may we say yes: only after Kafka's acknowledgement; epochs have no holes that nobody explains."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from deploy.kafka_server import KafkaServer
from ingest import admission, receipts
from ingest.admission import KafkaAdmission, Sender
from ingest.receipts import Receipt
from schemas.facts import Click, Predecessor
from service.errors import Refused, Unavailable
from service.kafka import Admin, Producer, TopicSpec, read_range
from service.settings import Settings
from tests.ingest.fakes import KNOWN, MAX_RECORD_BYTES, NOW_MS, Bench, FakeKafka, get, new_id

ID = new_id()


def click(receipt: Receipt) -> Click:
    return Click(
        receipt_id=receipt.receipt_id,
        previous=receipt.previous,
        transaction_id=ID,
        received_at="2026-11-23T12:00:00.000Z",
        occurred_at="2026-11-23T12:00:00.000Z",
        edge="e",
        catalog_version=1,
        offer_id=7,
    )


async def accept(bench: Bench) -> str:
    return await bench.admission.accept("clicks", ID, click)


async def test_receipts_count_without_gaps_within_an_epoch() -> None:
    bench = Bench()
    found = [await accept(bench) for _ in range(3)]
    epoch = found[0].partition("-")[0]
    assert len(epoch) == receipts.EPOCH_CHARACTERS
    assert found == [f"{epoch}-{n}" for n in (1, 2, 3)]
    assert [fact.receipt_id for fact in bench.kafka.facts()] == found
    assert [fact.previous for fact in bench.kafka.facts()] == [None] * 3


def test_an_epoch_sorts_by_its_start_and_keeps_all_its_random_bits() -> None:
    assert receipts.epoch(NOW_MS, b"\xff" * 8) < receipts.epoch(NOW_MS + 1, b"\0" * 8)
    assert receipts.epoch(NOW_MS, b"\0" * 7 + b"\1") != receipts.epoch(NOW_MS, b"\0" * 8)
    assert len(receipts.epoch(0, b"\0" * 8)) == len(receipts.epoch(2**48 - 1, b"\xff" * 8)) == 23


async def test_there_is_no_yes_before_the_acknowledgement() -> None:
    bench = Bench()
    bench.kafka.silent = True
    answer = asyncio.ensure_future(bench.edge.answer(get(f"/postback?transaction_id={ID}")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not answer.done()
    answer.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await answer


async def test_without_an_acknowledgement_in_time_it_is_unavailable_and_nobody_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "ADMIT_S", 0.01)
    bench = Bench()
    bench.kafka.silent = True
    with pytest.raises(Unavailable, match="acknowledge"):
        await accept(bench)
    bench.kafka.silent = False
    with pytest.raises(Unavailable, match="acknowledge"):
        await accept(bench)
    assert bench.kafka.records == []
    bench.admission.found("")
    assert await accept(bench)


async def test_after_a_failure_a_new_epoch_begins_that_names_the_one_with_the_hole() -> None:
    bench = Bench()
    first = await accept(bench)
    bench.kafka.gone = "away"
    with pytest.raises(Unavailable):
        await accept(bench)
    bench.kafka.gone = ""
    bench.admission.found("")
    second, third = await accept(bench), await accept(bench)
    old, new = first.partition("-")[0], second.partition("-")[0]
    assert (second, third) == (f"{new}-1", f"{new}-2")
    assert old != new
    assert [fact.previous for fact in bench.kafka.facts()] == [None, Predecessor(epoch=old, last=2), None]


async def test_several_failures_of_one_epoch_end_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ADMIT_S", 0.01)
    bench = Bench()
    bench.kafka.silent = True
    lost = await asyncio.gather(*(accept(bench) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in lost] == [Unavailable] * 3
    bench.kafka.silent = False
    bench.admission.found("")
    await accept(bench)
    (fact,) = bench.kafka.facts()
    assert fact.previous is not None
    assert (len(fact.previous.epoch), fact.previous.last) == (receipts.EPOCH_CHARACTERS, 3)


async def test_a_fact_that_kafka_refuses_leaves_no_hole_in_a_running_epoch() -> None:
    bench = Bench()
    first = await accept(bench)
    with pytest.raises(Refused):
        await bench.admission.accept("clicks", ID, _large)
    second = await accept(bench)
    assert second.partition("-")[2] == "1"
    assert bench.kafka.facts()[-1].previous == Predecessor(epoch=first.partition("-")[0], last=2)


def _large(receipt: Receipt) -> Click:
    return msgspec.structs.replace(click(receipt), params={"x": "y" * MAX_RECORD_BYTES})


async def test_a_click_that_nothing_can_take_is_redirected_with_its_id_and_counted() -> None:
    bench = Bench()
    bench.kafka.gone = "away"
    found = await bench.edge.answer(get("/click?offer_id=7&aff_id=42"))
    assert found.status == 302
    assert "tid=0" in found.headers["Location"]
    assert "Set-Cookie" not in found.headers
    assert bench.count("roundtrip_unrecorded_clicks_total", offer_id="7", affiliate_id="42") == 1
    assert bench.count("roundtrip_requests_total", endpoint="click", ending="unrecorded") == 1
    assert bench.admission.problem() == "away"


@pytest.mark.parametrize(
    "path", ["/impression?offer_id=7", f"/pixel?transaction_id={ID}", f"/iframe?tid={ID}"]
)
async def test_what_a_browser_shows_is_503_when_nothing_can_take_it(path: str) -> None:
    bench = Bench()
    bench.kafka.gone = "away"
    found = await bench.edge.answer(get(path))
    assert (found.status, found.headers["Retry-After"]) == (503, "5")
    assert "Set-Cookie" not in found.headers


async def test_a_postback_that_nothing_can_take_is_to_come_again() -> None:
    bench = Bench()
    bench.kafka.gone = "away"
    found = await bench.edge.answer(get(f"/postback?transaction_id={ID}"))
    assert (found.status, msgspec.json.decode(found.body)["outcome"]) == (503, "unavailable")


async def test_without_a_catalog_nothing_is_accepted() -> None:
    bench = Bench(known=None)
    for path in (
        "/click?offer_id=7&aff_id=42",
        f"/postback?transaction_id={ID}",
        f"/pixel?transaction_id={ID}",
    ):
        assert (await bench.edge.answer(get(path))).status == 503
    bench.edge.known = KNOWN
    assert (await bench.edge.answer(get(f"/postback?transaction_id={ID}"))).status == 200


async def test_watching_finds_that_kafka_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PROBE_S", 0.001)
    bench = Bench()
    bench.admission.found("away")
    answers = iter(["still away", ""])
    watch = asyncio.ensure_future(bench.admission.watch(lambda: next(answers, "")))
    async with asyncio.timeout(5):
        while bench.admission.problem():  # noqa: ASYNC110  what is waited for is a thread's answer
            await asyncio.sleep(0)
    watch.cancel()
    assert await accept(bench)


async def test_unrecorded_clicks_have_a_bounded_number_of_labels() -> None:
    bench = Bench()
    for offer_id in range(1, 1_500):
        bench.counters.unrecorded(offer_id, 1)
    assert bench.count("roundtrip_unrecorded_clicks_total", offer_id="0", affiliate_id="0") == 500 - 1


class World(Protocol):
    """A Kafka to try the contract on, fake or real."""

    def sender(self) -> Sender: ...

    def holds(self, topic: str) -> list[tuple[bytes, bytes]]: ...

    def leave(self) -> None: ...


class FakeWorld:
    def __init__(self) -> None:
        self.kafka = FakeKafka()

    def sender(self) -> Sender:
        return self.kafka

    def holds(self, topic: str) -> list[tuple[bytes, bytes]]:
        return [(key, value) for name, key, value in self.kafka.records if name == topic]

    def leave(self) -> None:
        self.kafka.gone = "away"


class RealWorld:
    def __init__(self, server: KafkaServer, directory: Path) -> None:
        self._server = server
        self._settings = Settings(dir=directory, kafka=server.address, partitions=2, replication=1)
        self._producer: Producer | None = None

    def sender(self) -> Sender:
        with Admin(self._settings) as admin:
            limit = {"max.message.bytes": str(MAX_RECORD_BYTES)}
            admin.ensure_topics([TopicSpec("clicks", 2, 1, limit)])
        self._producer = Producer(self._settings)
        return self._producer

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

    async def close(self) -> None:
        if self._producer:
            await self._producer.close(0.1)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.stack)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    with KafkaServer(tmp_path / "kafka") as server:
        yield RealWorld(server, tmp_path)


async def test_contract_of_the_sender(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledged record is there; one that is too large is refused for good; away is unavailable."""
    monkeypatch.setattr(admission, "ADMIT_S", 20.0)
    sender = world.sender()
    door = KafkaAdmission(sender, lambda count: b"\7" * count, lambda: NOW_MS)
    door.found("")
    accepted = [await door.accept("clicks", ID, click) for _ in range(3)]
    held = await asyncio.to_thread(world.holds, "clicks")
    assert {key for key, _ in held} == {ID.encode()}
    assert sorted(msgspec.json.decode(value)["receipt_id"] for _, value in held) == accepted
    with pytest.raises(Refused):
        await sender.send("clicks", b"k", os.urandom(MAX_RECORD_BYTES * 2))  # cannot be compressed
    world.leave()
    monkeypatch.setattr(admission, "ADMIT_S", 0.5)
    with pytest.raises(Unavailable):
        await door.accept("clicks", ID, click)
    assert door.problem()
    if isinstance(world, RealWorld):
        await world.close()
