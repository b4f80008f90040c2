"""When may we say yes: only after the sync; and a disk that fails, hangs or fills holds no answer up."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from ingest import admission, receipts
from ingest.admission import Bounds, JournalAdmission
from ingest.journal.counters import Counters
from ingest.journal.disk import File, RealDisk
from ingest.journal.hand import ThreadHand
from ingest.receipts import Receipt
from schemas import facts
from schemas.facts import Click, Predecessor
from service.errors import Refused, Unavailable
from tests.ingest.fakes import KNOWN, NOW_MS, Bench, get, new_id
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.samples import entries_of, journal, read

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


@pytest.fixture(autouse=True)
def _tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PROBE_S", 0.0)


async def well(bench: Bench) -> None:
    """The journal takes again."""
    async with asyncio.timeout(60):
        while bench.admission.problem():  # noqa: ASYNC110  what is waited for is a timer of this loop
            await asyncio.sleep(0)


async def test_receipts_count_without_gaps_within_an_epoch() -> None:
    bench = Bench()
    found = [await accept(bench) for _ in range(3)]
    epoch = found[0].partition("-")[0]
    assert len(epoch) == receipts.EPOCH_CHARACTERS
    assert found == [f"{epoch}-{n}" for n in (1, 2, 3)]
    assert [fact.receipt_id for fact in bench.facts()] == found
    assert [fact.previous for fact in bench.facts()] == [None] * 3


def test_an_epoch_sorts_by_its_start_and_keeps_all_its_random_bits() -> None:
    assert receipts.epoch(NOW_MS, b"\xff" * 8) < receipts.epoch(NOW_MS + 1, b"\0" * 8)
    assert receipts.epoch(NOW_MS, b"\0" * 7 + b"\1") != receipts.epoch(NOW_MS, b"\0" * 8)
    assert len(receipts.epoch(0, b"\0" * 8)) == len(receipts.epoch(2**48 - 1, b"\xff" * 8)) == 23


async def test_there_is_no_yes_before_the_sync() -> None:
    bench = Bench()
    bench.hand.hold()
    answer = asyncio.ensure_future(bench.edge.answer(get(f"/postback?transaction_id={ID}")))
    await bench.hand.given()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not answer.done()
    assert bench.facts() == []
    bench.hand.release()
    assert (await answer).status == 200
    bench.disk.lose_power(lambda _most: 0)
    assert len(bench.facts()) == 1


async def test_what_comes_together_shares_a_sync_and_what_comes_meanwhile_the_next() -> None:
    bench = Bench()
    first = [asyncio.ensure_future(accept(bench)) for _ in range(3)]
    bench.hand.hold()
    await bench.hand.given()
    second = [asyncio.ensure_future(accept(bench)) for _ in range(5)]
    await asyncio.sleep(0)
    assert bench.admission.fullness == 8 / 1_000
    bench.hand.release()
    told = await asyncio.gather(*first, *second)
    assert [each.partition("-")[2] for each in told] == [str(n) for n in range(1, 9)]
    assert bench.admission.fullness == 0
    assert bench.count("roundtrip_journal_groups_total") == 2
    assert bench.count("roundtrip_journal_events_total") == 8


async def test_the_first_receipt_of_an_epoch_names_the_epoch_before() -> None:
    bench = Bench()
    first = [await accept(bench) for _ in range(2)]
    bench.disk.faults.left["sync"] = 1
    with pytest.raises(Unavailable, match="cannot be written: Input/output error"):
        await accept(bench)
    await well(bench)
    second = [await accept(bench) for _ in range(2)]
    old, new = first[0].partition("-")[0], second[0].partition("-")[0]
    assert old != new
    assert second == [f"{new}-1", f"{new}-2"]
    named = [None, None, Predecessor(epoch=old, last=2), None]
    assert [fact.previous for fact in bench.facts()] == named


async def test_a_failure_refuses_all_who_wait_and_none_of_them_is_shipped() -> None:
    bench = Bench()
    kept = await accept(bench)
    bench.hand.hold()
    waiting = [asyncio.ensure_future(accept(bench)) for _ in range(2)]
    await bench.hand.given()
    waiting += [asyncio.ensure_future(accept(bench)) for _ in range(2)]
    await asyncio.sleep(0)
    bench.disk.faults.left["sync"] = 1
    bench.hand.release()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable] * 4
    await well(bench)
    after = await accept(bench)
    assert [fact.receipt_id for fact in bench.facts()] == [kept, after]
    assert bench.admission.fullness == 0
    assert bench.count("roundtrip_journal_failures_total") == 1
    assert bench.count("roundtrip_journal_epochs_total") == 2


async def test_a_disk_that_fails_for_long_is_tried_until_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.disk.faults.left |= {"sync": 1, "create": 20}
    with pytest.raises(Unavailable):
        await accept(bench)
    with pytest.raises(Unavailable, match="Input/output error"):
        await accept(bench)
    await well(bench)
    assert await accept(bench)
    assert bench.count("roundtrip_journal_failures_total") == 21
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_collector_starts_on_a_disk_that_fails() -> None:
    disk = SimulatedDisk()
    disk.faults.left["create"] = 3
    bench = Bench(disk=disk)
    assert bench.admission.problem() == "the journal cannot be written: Input/output error"
    assert (await bench.edge.answer(get("/click?offer_id=7&aff_id=42"))).status == 302
    await well(bench)
    assert await accept(bench)


async def test_an_event_that_is_larger_than_any_may_be_is_refused_and_takes_no_number() -> None:
    bench = Bench()
    first = await accept(bench)
    with pytest.raises(Refused, match="bytes"):
        await bench.admission.accept("clicks", ID, _large)
    second = await accept(bench)
    assert (first.partition("-")[2], second.partition("-")[2]) == ("1", "2")
    assert len(bench.facts()) == 2


def _large(receipt: Receipt) -> Click:
    return msgspec.structs.replace(click(receipt), params={"x": "y" * facts.MAX_RECORD_BYTES})


async def test_the_queue_is_bounded_in_events_and_in_bytes() -> None:
    for bounds in (Bounds(records=3, wait_s=10.0), Bounds(records=99, bytes=600, wait_s=10.0)):
        bench = Bench()
        bench.admission._bounds = bounds
        bench.hand.hold()
        waiting = [asyncio.ensure_future(accept(bench)) for _ in range(3)]
        await bench.hand.given()
        assert bench.admission.fullness >= 1
        assert bench.count("roundtrip_journal_waiting") == 3
        with pytest.raises(Unavailable, match="too many"):
            await accept(bench)
        bench.hand.release()
        await asyncio.gather(*waiting)
        assert await accept(bench)


async def test_a_caller_that_hangs_up_disturbs_nobody() -> None:
    bench = Bench()
    bench.hand.hold()
    waiting = [asyncio.ensure_future(accept(bench)) for _ in range(3)]
    await bench.hand.given()
    waiting[1].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting[1]
    bench.hand.release()
    told = [await waiting[0], await waiting[2], await accept(bench)]
    assert [each.partition("-")[2] for each in told] == ["1", "3", "4"]
    assert len(bench.facts()) == 4


async def test_a_disk_that_hangs_is_waited_for_once_and_then_answered_at_once() -> None:
    bench = Bench()
    bench.admission._bounds = Bounds(records=1_000, wait_s=0.02)
    bench.hand.hold()
    with pytest.raises(Unavailable, match=r"has not answered for 0\.02 s"):
        await accept(bench)
    assert "has not answered" in bench.admission.problem()
    bench.admission._bounds = Bounds(records=1_000, wait_s=3600.0)  # whoever waited again would wait for long
    async with asyncio.timeout(60):
        for _ in range(100):
            found = await bench.edge.answer(get("/click?offer_id=7&aff_id=42"))
            assert (found.status, "Set-Cookie" in found.headers) == (302, False)
    assert bench.count("roundtrip_unrecorded_clicks_total", offer_id="7", affiliate_id="42") == 100
    bench.hand.release()
    assert bench.admission.problem() == ""
    assert (await accept(bench)).endswith("-2")
    assert len(bench.facts()) == 2  # what the disk took in the end is stored, and shipped


async def test_who_arrives_while_the_disk_hangs_waits_no_longer_than_the_bound() -> None:
    bench = Bench()
    bench.admission._bounds = Bounds(records=1_000, wait_s=0.05)
    bench.hand.hold()
    first = asyncio.ensure_future(accept(bench))
    await bench.hand.given()
    second = asyncio.ensure_future(accept(bench))
    async with asyncio.timeout(60):
        found = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable] * 2
    bench.hand.release()
    assert (await accept(bench)).endswith("-3")


async def test_a_disk_that_fails_after_it_hung_is_a_failure() -> None:
    bench = Bench()
    bench.admission._bounds = Bounds(records=1_000, wait_s=0.01)
    bench.hand.hold()
    with pytest.raises(Unavailable, match="has not answered"):
        await accept(bench)
    bench.disk.faults.left["sync"] = 1
    bench.hand.release()
    await well(bench)
    assert (await accept(bench)).endswith("-1")
    assert len(bench.facts()) == 1


async def test_a_click_that_nothing_can_take_is_redirected_with_its_id_and_counted() -> None:
    bench = Bench()
    bench.disk.faults.left["write"] = 1
    found = await bench.edge.answer(get("/click?offer_id=7&aff_id=42"))
    assert found.status == 302
    assert "tid=0" in found.headers["Location"]
    assert "Set-Cookie" not in found.headers
    assert bench.count("roundtrip_unrecorded_clicks_total", offer_id="7", affiliate_id="42") == 1
    assert bench.count("roundtrip_requests_total", endpoint="click", ending="unrecorded") == 1


@pytest.mark.parametrize(
    "path", ["/impression?offer_id=7", f"/pixel?transaction_id={ID}", f"/iframe?tid={ID}"]
)
async def test_what_a_browser_shows_is_503_when_nothing_can_take_it(path: str) -> None:
    bench = Bench()
    bench.disk.faults.left["sync"] = 1
    found = await bench.edge.answer(get(path))
    assert (found.status, found.headers["Retry-After"]) == (503, "5")
    assert "Set-Cookie" not in found.headers


async def test_a_postback_that_nothing_can_take_is_to_come_again() -> None:
    bench = Bench()
    bench.disk.faults.left["sync"] = 1
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


async def test_the_stop_stores_what_was_accepted_and_gives_the_journal_back() -> None:
    bench = Bench()
    bench.hand.hold()
    first = asyncio.ensure_future(accept(bench))
    await bench.hand.given()
    second = asyncio.ensure_future(accept(bench))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(bench.admission.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="stops"):
        await accept(bench)
    bench.hand.release()
    await closing
    assert len(await asyncio.gather(first, second)) == 2
    assert bench.disk.locked == set()
    bench.disk.lose_power(lambda _most: 0)
    assert len(bench.facts()) == 2


async def test_a_stop_while_the_disk_fails_ends() -> None:
    bench = Bench()
    bench.disk.faults.left |= {"sync": 1, "create": 1_000_000}
    with pytest.raises(Unavailable):
        await accept(bench)
    async with asyncio.timeout(60):
        await bench.admission.close()
    assert "stops" in bench.admission.problem()


class HangingFile:
    """A file whose sync returns when it is let go."""

    def __init__(self, file: File, going: threading.Event) -> None:
        self._file = file
        self._going = going

    def sync(self) -> None:
        self._going.wait()
        self._file.sync()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class HangingDisk(RealDisk):
    def __init__(self) -> None:
        self.going = threading.Event()
        self.going.set()

    def create(self, path: Path) -> File:
        return HangingFile(super().create(path), self.going)


PATIENT = Bounds(records=99, wait_s=60.0)  # of a disk that is only slow
SHORT = Bounds(records=99, wait_s=0.05)


def door_to(disk: HangingDisk, root: Path) -> JournalAdmission:
    counters = Counters(CollectorRegistry())
    own = journal(disk, root=root)
    return JournalAdmission(own, ThreadHand(), PATIENT, counters, lambda: NOW_MS)


async def test_a_sync_that_hangs_in_its_thread_leaves_the_loop_alone(tmp_path: Path) -> None:
    disk = HangingDisk()
    door = door_to(disk, tmp_path)
    await door.open()
    told = [await door.accept("clicks", ID, click)]
    disk.going.clear()
    door._bounds = SHORT
    with pytest.raises(Unavailable, match="has not answered"):
        await door.accept("clicks", ID, click)
    with pytest.raises(Unavailable, match="has not answered"):
        await door.accept("clicks", ID, click)
    door._bounds = PATIENT
    disk.going.set()
    async with asyncio.timeout(60):
        while door.problem():  # noqa: ASYNC110  what is waited for is a thread
            await asyncio.sleep(0)
    told.append(await door.accept("clicks", ID, click))
    await door.close()
    assert [each.partition("-")[2] for each in told] == ["1", "3"]
    assert len(entries_of(read(disk, directory=tmp_path / "0"))) == 3


async def test_an_opening_that_hangs_keeps_nobody_from_starting(tmp_path: Path) -> None:
    disk = HangingDisk()
    disk.going.clear()
    door = door_to(disk, tmp_path)
    door._bounds = SHORT
    await door.open()
    assert door.problem() == "the journal is not open yet"
    door._bounds = PATIENT
    disk.going.set()
    async with asyncio.timeout(60):
        while door.problem():  # noqa: ASYNC110  what is waited for is a thread
            await asyncio.sleep(0)
    assert await door.accept("clicks", ID, click)
    await door.close()


async def test_unrecorded_clicks_have_a_bounded_number_of_labels() -> None:
    bench = Bench()
    for offer_id in range(1, 1_500):
        bench.counters.unrecorded(offer_id, 1)
    assert bench.count("roundtrip_unrecorded_clicks_total", offer_id="0", affiliate_id="0") == 500 - 1
