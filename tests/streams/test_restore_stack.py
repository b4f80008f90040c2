"""Lost and stale states on the real Kafka: what comes back, and that nothing is sent meanwhile."""

import shutil
import signal

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from schemas import decisions
from schemas.decisions import Case, Notice
from service.kafka import Admin, Outgoing
from service.outage import Outage
from streams.kafka import commit
from streams.kafka.topics import GROUP, READ
from tests.streams.installation import STORY, Installation, JoinerProcess, expected, story
from tests.streams.joining import cases, postback

pytestmark = pytest.mark.stack

DECIDED = ("conversions", "notices", "quarantine")
MORE = story(10, 41)
LATE = [postback(f"t{number}", 5_000 + number, goal_id=9) for number in range(1, 41)]


def ends(here: Installation) -> dict[tuple[str, int], int]:
    with Admin(here.settings) as admin:
        return admin.end_offsets(DECIDED)


def settled(here: Installation) -> JoinerProcess:
    """The story was decided and committed by a joiner that still runs."""
    here.migrate().feed(STORY)
    joiner = here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    here.waits_for(here.committed_all)
    return joiner


def restored(here: Installation, joiner: JoinerProcess) -> None:
    here.waits_for(lambda: "restored: " in joiner.said() and '"restoring":"ok"' in joiner.ask("readyz"))


def never_falls(here: Installation) -> None:
    last: dict[bytes, int] = {}
    for each in here.sent("conversions"):
        (case,) = cases([each])
        assert case.version >= last.get(each.key, 0)
        last[each.key] = case.version


def test_a_lost_state_comes_back_and_nothing_is_sent_meanwhile(here: Installation):
    settled(here).kill()
    before = ends(here)
    shutil.rmtree(here.settings.dir / "joiner")
    joiner = here.joiner()
    restored(here, joiner)
    here.waits_for(here.committed_all)
    assert ends(here) == before
    assert "roundtrip_joiner_restored_rows_total 0.0" not in joiner.ask("metrics")
    here.feed(LATE)
    here.waits_for(lambda: here.final() == expected(STORY + LATE))
    never_falls(here)
    here.waits_for(here.committed_all)
    told = [decisions.decode("notices", each.value) for each in here.sent("notices")]
    assert len(told) == len(LATE) + 2 * 40, "each goal of each transaction, once"
    assert len({each.notice_id for each in told if isinstance(each, Notice)}) == len(told)


def test_a_stale_state_takes_in_what_others_decided_since(here: Installation):
    settled(here).stop()
    shutil.copytree(here.settings.dir / "joiner", here.settings.dir / "kept")
    two = here.joiner()
    here.feed(MORE + LATE)
    here.waits_for(lambda: here.final() == expected(STORY + MORE + LATE))
    here.waits_for(here.committed_all)
    two.stop()
    before = ends(here)
    shutil.rmtree(here.settings.dir / "joiner")
    (here.settings.dir / "kept").rename(here.settings.dir / "joiner")
    three = here.joiner()
    restored(here, three)
    here.waits_for(here.committed_all)
    assert ends(here) == before
    last = [postback("t1", 9_000, goal_id=9)]
    here.feed(last)
    here.waits_for(lambda: here.final() == expected(STORY + MORE + LATE + last))
    never_falls(here)


@pytest.mark.parametrize("lost", [False, True])
def test_a_case_that_another_worker_decided_from_a_part_is_taken_back(here: Installation, *, lost: bool):
    """At once, whether or not the state was lost, and without a further fact."""
    joiner = settled(here)
    if lost:
        joiner.kill()
        shutil.rmtree(here.settings.dir / "joiner")
    phantom(here)
    if lost:
        here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    never_falls(here)


def phantom(here: Installation) -> None:
    """The first case again, of fewer facts and with a greater version."""
    (record,) = [each for each in here.read("conversions") if each.key == b"t1:0"][-1:]
    case = decisions.decode("conversions", record.value)
    assert isinstance(case, Case)
    partial = msgspec.structs.replace(
        case.conversions[0], receipts=case.conversions[0].receipts[:1], observations=1
    )
    wrong = msgspec.structs.replace(case, version=case.version + 7, conversions=(partial,), visits=())
    here.put([Outgoing("conversions", record.key, decisions.encode(wrong), record.partition)])


def test_a_kill_in_the_middle_of_a_restore_changes_nothing(here: Installation):
    settled(here).kill()
    before = ends(here)
    shutil.rmtree(here.settings.dir / "joiner")
    victim = here.joiner("kept", "4")
    assert victim.ended() == -signal.SIGKILL
    joiner = here.joiner()
    restored(here, joiner)
    here.waits_for(here.committed_all)
    assert ends(here) == before
    here.feed(LATE)
    here.waits_for(lambda: here.final() == expected(STORY + LATE))
    never_falls(here)


def test_a_worker_that_joins_in_the_middle_of_a_restore_changes_nothing(here: Installation):
    settled(here).kill()
    before = ends(here)
    shutil.rmtree(here.settings.dir / "joiner")
    one = here.joiner()
    two = here.joiner(directory="elsewhere")
    here.waits_for(
        lambda: (
            all("roundtrip_joiner_restoring_partitions 0.0" in each.ask("metrics") for each in (one, two))
            and all("roundtrip_joiner_partitions 2.0" in each.ask("metrics") for each in (one, two))
        )
    )
    here.waits_for(here.committed_all)
    assert ends(here) == before
    here.feed(LATE)
    here.waits_for(lambda: here.final() == expected(STORY + LATE))
    never_falls(here)


async def test_a_note_beside_an_offset_is_read_as_it_was_said(here: Installation):
    """Whatever its length: librdkafka copies it without an end, into memory that held other things before."""
    here.migrate()
    prefix = here.settings.topic_prefix
    place = TP(f"{prefix}clicks", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=here.settings.kafka, group_id=prefix + GROUP)
    await consumer.start()
    consumer.assign([TopicPartition(*place)])
    kafka = Outage("Kafka")
    try:
        for note in ("é" + "x" * length for length in range(80)):
            assert await commit.told(kafka, consumer, {place: 1}, note)
            with Admin(here.settings) as admin:
                assert admin.committed(GROUP) == {("clicks", 0): (1, note)}
    finally:
        await consumer.stop()


def test_what_the_joiner_reads_is_all_that_it_commits(here: Installation):
    settled(here)
    with Admin(here.settings) as admin:
        assert {topic for topic, _ in admin.committed("roundtrip-joiner")} == set(READ)
