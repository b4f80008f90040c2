"""The order of effects: state, then Kafka, then the commit point; and where reading begins."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from schemas import facts
from schemas.reasons import Reason
from schemas.topics import FACTS
from schemas.transaction_id import Keyring
from service.errors import Problem, RecordsRefused, Unavailable
from service.settings import Settings
from streams import outbox
from streams.joiner import Joiner
from streams.kafka import logs, ties
from streams.kafka.fetch import Fetch
from streams.kafka.logs import Logs
from streams.kafka.topics import READ
from streams.state import layout
from streams.state.layout import Position
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams.joining import (
    NOON_MS,
    cases,
    click,
    decide,
    postback,
    quarantines,
    record,
    unverified_pixel,
    version,
)
from tests.streams.rig import ASSIGNED, LOGS, Rig, fetch

CLICKS, POSTBACKS = TP("clicks", 0), TP("postbacks", 0)


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(ties, "RETRY_S", 0.0)
    return Rig(tmp_path)


async def test_a_fetch_is_stored_then_sent_then_may_be_committed(rig: Rig):
    joiner = await rig.started()
    joiner.assignment.open[0].apply = partial(_noting, rig.kafka.events, joiner.assignment.open[0].apply)  # type: ignore[method-assign]
    await joiner.handle(fetch(record(click()), record(postback())))
    assert rig.kafka.events == ["stored", "sent", "sent", "handled"]
    assert [case.version for case in cases(rig.kafka.sent)] == [version(2)]
    assert rig.kafka.commits == {CLICKS: 1, POSTBACKS: 1}


def _noting(events: list[str], apply: Callable[[Any], None], changes: Any) -> None:
    apply(changes)
    events.append("stored")


async def test_partners_are_told_nothing_that_kafka_does_not_have_yet(rig: Rig):
    """Else one is told of a case that never was, where the state is lost between the two."""
    joiner = await rig.started()
    work = await stuck(rig, joiner, fetch(record(click()), record(postback())))
    rig.kafka.answers = [Unavailable("away")]
    rig.kafka.on_send = lambda: None
    rig.kafka.there.set()
    await work
    assert [each.topic for each in rig.kafka.sent] == ["conversions", "notices"]
    assert rig.kafka.asked == [["conversions"], ["conversions"], ["notices"]]


async def test_nothing_may_be_committed_before_kafka_acknowledged(rig: Rig):
    joiner = await rig.started()
    work = await stuck(rig, joiner, fetch(record(postback())))
    assert rig.kafka.commits == {}
    work.cancel()


async def test_what_was_stored_and_not_sent_is_sent_first_at_the_next_start(rig: Rig):
    joiner = await rig.started()
    work = await stuck(rig, joiner, fetch(record(postback())))
    work.cancel()  # as a crash would
    await asyncio.gather(work, return_exceptions=True)
    await joiner.close()
    rig.kafka.there.set()

    again = rig.joiner()
    offsets = await again.start_at(ASSIGNED)
    assert [case.version for case in cases(rig.kafka.sent)] == [version(1)]
    assert offsets is not None
    assert offsets[POSTBACKS] == 1
    await again.close()
    assert rig.outbox() == []


async def stuck(rig: Rig, joiner: Joiner, brought: Fetch) -> "asyncio.Future[None]":
    """The fetch is stored, and Kafka does not answer its sending."""
    called = asyncio.Event()
    rig.kafka.there.clear()
    rig.kafka.on_send = called.set
    work = asyncio.ensure_future(joiner.handle(brought))
    await asyncio.wait_for(called.wait(), 60)
    return work


async def test_a_partition_that_comes_while_others_send_is_not_taken_for_sent(rig: Rig):
    """Its outbox was not in what Kafka acknowledges."""
    first = await rig.started()
    (await stuck(rig, first, fetch(record(click(), partition=1)))).cancel()
    await first.close()
    again = rig.joiner()
    rig.kafka.there.set()
    await again.start_at(frozenset(TP(topic, 0) for topic in FACTS))
    work = await stuck(rig, again, fetch(record(postback())))
    coming = asyncio.ensure_future(again.start_at(ASSIGNED))
    await asyncio.wait({coming}, timeout=0.1)
    rig.kafka.there.set()
    await asyncio.wait_for(asyncio.gather(work, coming), 60)
    assert [each.partition for each in quarantines(rig.kafka.sent)] == [1]
    await again.close()
    assert rig.outbox(1) == []


async def test_a_record_below_the_states_offset_is_passed_over(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(postback())))
    await joiner.handle(fetch(record(postback()), record(postback("t2", 3), 1)))
    assert [(case.transaction_id, case.version) for case in cases(rig.kafka.sent)] == [
        ("t1", version(1)),
        ("t2", version(1)),
    ]


async def test_what_was_all_read_before_moves_nothing_back(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(postback()), record(postback("t2", 3), 1)))
    await joiner.handle(fetch(record(postback())))
    assert rig.kafka.commits == {POSTBACKS: 2}
    assert joiner.assignment.open[0].positions["postbacks"].offset == 2


async def test_what_kafka_does_not_take_now_is_sent_until_it_does(rig: Rig):
    joiner = await rig.started()
    rig.kafka.answers = [Unavailable("away"), Unavailable("away")]
    await joiner.handle(fetch(record(postback())))
    assert rig.kafka.events == ["sent", "handled"]


async def test_what_kafka_never_takes_is_kept_in_quarantine(rig: Rig):
    joiner = await rig.started()
    rig.kafka.answers = [RecordsRefused({0: "too large"})]
    await joiner.handle(fetch(record(postback())))
    (kept,) = quarantines(rig.kafka.sent)
    assert (kept.topic, kept.key) == ("conversions", "t1:0")
    assert rig.kafka.events == ["sent", "handled"]


async def test_where_kafka_takes_not_even_that_the_process_ends(rig: Rig):
    joiner = await rig.started()
    rig.kafka.answers = [RecordsRefused({0: "too large"})] * 2
    await joiner.handle(fetch(record(postback())))
    assert [type(each) for each in rig.failures] == [RecordsRefused]
    assert rig.kafka.commits == {}


async def test_what_cannot_be_handled_ends_the_process_uncommitted_and_nothing_follows(rig: Rig):
    joiner = await rig.started()
    apply, full = joiner.assignment.open[0].apply, Problem("the disk is full")

    def failing(_: object) -> None:
        raise full

    joiner.assignment.open[0].apply = failing  # type: ignore[method-assign]
    await joiner.handle(fetch(record(postback())))
    joiner.assignment.open[0].apply = apply  # type: ignore[method-assign]
    await joiner.handle(fetch(record(postback("t2", 3))))
    assert rig.failures == [full]
    assert (rig.kafka.commits, rig.kafka.sent) == ({}, [])


async def test_a_transaction_that_the_rules_fail_on_is_told_in_one_line_and_on_readyz(
    rig: Rig, caplog: pytest.LogCaptureFixture
):
    """It waits like one without its catalog, and is decided as soon as it can be; the others go on."""
    joiner = await rig.started()
    rig.decide = None
    await joiner.handle(fetch(record(postback()), record(postback("t2", 3), 1)))
    assert [each.reason for each in quarantines(rig.kafka.sent)] == [Reason.UNDECIDED] * 2
    assert (await joiner.resume(), joiner.aside, len(caplog.messages)) == (0, True, 1)
    assert "transaction t1 cannot be decided: TypeError" in caplog.text
    assert "(and 1 more alike); set aside" in caplog.text
    rig.decide = decide
    assert (await joiner.resume(), joiner.aside) == (0, False)
    assert {case.transaction_id for case in cases(rig.kafka.sent)} == {"t1", "t2"}
    assert rig.failures == []


async def test_a_fact_in_another_partition_than_its_key_s_goes_to_quarantine(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click(), partition=1)))
    (kept,) = quarantines(rig.kafka.sent)
    assert (kept.reason, kept.partition, kept.receipt_id) == (Reason.MALFORMED_EVENT, 1, click().receipt_id)
    assert rig.kafka.commits == {TP("clicks", 1): 1}


async def test_a_pixel_with_a_forged_id_goes_to_quarantine(rig: Rig):
    rig.keys = Keyring({2: b"ours" * 8}, 2)
    genuine = unverified_pixel(rig.keys, 6)
    forged = unverified_pixel(Keyring({2: b"made up by a stranger" * 2}, 2), 7)
    joiner = await rig.started()
    await joiner.handle(fetch(record(genuine), record(forged, 1)))
    (kept,) = quarantines(rig.kafka.sent)
    assert (kept.reason, kept.receipt_id) == (Reason.INVALID_TRANSACTION_ID, forged.receipt_id)
    assert [case.transaction_id for case in cases(rig.kafka.sent)] == [genuine.transaction_id]


async def test_a_hole_before_a_fetch_is_read_again_and_not_skipped(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click(), 5)))
    assert rig.kafka.rewound == [{CLICKS: 0}]
    assert rig.kafka.commits == {}


async def test_a_hole_in_the_log_itself_is_none(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click(), 5), start=0))
    assert rig.kafka.commits == {CLICKS: 6}


async def test_records_that_kafka_deleted_unread_are_said_and_passed(
    rig: Rig, caplog: pytest.LogCaptureFixture
):
    joiner = await rig.started()
    rig.logs = LOGS._replace(start={**LOGS.start, ("clicks", 0): 5})
    await joiner.handle(fetch(record(click(), 5)))
    assert rig.kafka.commits == {CLICKS: 6}
    assert "records 0 to 4 were deleted before they were read" in caplog.text


async def test_a_revoked_partition_takes_nothing_and_is_free_for_others(rig: Rig):
    joiner = await rig.started()
    await joiner.released(frozenset({CLICKS, POSTBACKS}))
    assert joiner.partitions == [1]
    await joiner.handle(fetch(record(postback())))
    assert (rig.kafka.commits, rig.kafka.sent) == ({}, [])
    assert rig.outbox() == []


async def test_an_assignment_overtaken_by_a_revocation_opens_nothing(rig: Rig):
    joiner = rig.joiner()

    def slow(_: Settings) -> Logs:
        asyncio.run_coroutine_threadsafe(joiner.released(ASSIGNED), loop).result(60)
        return LOGS

    loop = asyncio.get_running_loop()
    joiner.ties._ask = joiner.ties._ask._replace(logs=slow)
    assert await joiner.start_at(ASSIGNED) is None
    assert joiner.partitions == []


async def test_a_directory_that_another_process_still_holds_is_waited_for(rig: Rig):
    held = Store(rig.directory / "joiner").open(0)
    joiner = rig.joiner()
    opened = joiner.assignment.store.open
    tried: list[int] = []

    def open_(number: int) -> Partition:
        tried.append(number)
        if len(tried) == 3:
            held.close()
        return opened(number)

    joiner.assignment.store.open = open_  # type: ignore[method-assign]
    assert await joiner.start_at(ASSIGNED) is not None
    assert tried[:3] == [0, 0, 0]
    assert joiner.partitions == [0, 1]


async def test_a_catalog_that_arrives_late_decides_what_waited(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(postback(catalog_version=2))))
    assert (await joiner.resume(), rig.kafka.sent) == (1, [])
    rig.decide = partial(decide, newest_catalog=2)
    assert await joiner.resume() == 0
    assert [case.version for case in cases(rig.kafka.sent)] == [version(1)]


async def test_a_stop_while_kafka_is_away_ends_soon_and_keeps_what_was_decided(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox, "LAST_SEND_S", 0.01)
    joiner = await rig.started()
    rig.kafka.there.clear()
    rig.kafka.on_send = joiner.stop
    await asyncio.wait_for(joiner.handle(fetch(record(postback()))), 60)
    await joiner.close()
    assert rig.failures == []
    assert rig.kafka.commits == {}
    assert len(cases(rig.outbox())) == 1


async def test_nor_does_what_waits_then_end_the_process_when_it_is_tried(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox, "LAST_SEND_S", 0.01)
    joiner = await rig.started()
    rig.kafka.there.clear()
    rig.kafka.on_send = joiner.stop
    await asyncio.wait_for(joiner.handle(fetch(record(postback()))), 60)
    assert await asyncio.wait_for(joiner.resume(), 60) == 0
    assert rig.failures == []


KNOWN = Position(40, "cluster:clicks")


@pytest.mark.parametrize(
    ("known", "changed", "offset", "said"),
    [
        (None, {}, 0, ""),
        (None, {"committed": {("clicks", 0): 40}}, 0, ""),
        (KNOWN, {"committed": {("clicks", 0): 30}}, 40, ""),
        (KNOWN, {"committed": {("clicks", 0): 60}}, 40, ""),
        (Position(100, "cluster:clicks"), {}, 100, ""),
        (Position(101, "cluster:clicks"), {}, 0, "a new log"),
        (Position(40, "other:clicks"), {}, 0, "a new log"),
        (KNOWN, {"start": {("clicks", 0): 55}}, 55, "records 40 to 54 were deleted"),
        (None, {"start": {("clicks", 0): 55}}, 55, ""),
    ],
)
def test_where_reading_begins(known: Position | None, changed: dict[str, Any], offset: int, said: str):
    found = logs.begin(LOGS._replace(**changed), ("clicks", 0), known)
    assert found[0] == offset
    assert (said in found[1]) if said else not found[1]


async def test_what_happened_to_all_partitions_is_said_in_one_line(
    rig: Rig, caplog: pytest.LogCaptureFixture
):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click()), record(postback())))
    await joiner.close()
    rig.logs = LOGS._replace(identity={topic: f"other:{topic}" for topic in READ})
    await rig.started()
    first = "clicks/0: a new log (100 records; 1 were read of the old), read from 0"
    assert caplog.messages == [f"{first} (and 1 more partitions alike)"]


async def test_facts_of_a_new_log_that_are_known_change_nothing(rig: Rig):
    joiner = await rig.started()
    await joiner.handle(fetch(record(click()), record(postback())))
    await joiner.close()
    rig.logs = LOGS._replace(identity={topic: f"other:{topic}" for topic in FACTS})
    again = await rig.started()
    rig.kafka.sent.clear()
    await again.handle(fetch(record(postback()), record(click())))
    assert [case.version for case in cases(rig.kafka.sent)] == [version(2)]
    await again.close()
    known = Store(rig.directory / "joiner").open(0).positions["clicks"]
    assert known == Position(1, "other:clicks", NOON_MS, layout.digest(facts.encode(click())))
