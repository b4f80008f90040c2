"""The joiner on the real Kafka: joins, kills at each moment, poison, replays, hand-overs, lost brokers."""

import itertools
import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.kafka_server import KafkaServer
from schemas import times
from schemas.reasons import Reason
from schemas.topics import DAY_MS
from schemas.transaction_id import Keyring
from service import keys, rotation
from service.kafka import Outgoing
from service.keys import KeyFile
from tests.streams.installation import STORY, Installation, expected, installed, is_held, story
from tests.streams.joining import (
    NOON_MS,
    cases,
    click,
    last_cases,
    postback,
    quarantines,
    unverified_pixel,
)

if TYPE_CHECKING:
    from schemas.decisions import Case

pytestmark = pytest.mark.stack


def test_an_id_that_no_edge_could_verify_is_verified_by_the_joiner(here: Installation):
    keys.write(here.settings.keys_path, rotation.added(KeyFile(), keys.new_secret(), NOON_MS)[0])
    ring = keys.keyring(here.settings.keys_path)
    genuine = unverified_pixel(ring, 1)
    forged = unverified_pixel(Keyring({ring.signing: b"made up by a stranger" * 2}, ring.signing), 2)
    here.migrate().feed([genuine, forged])
    here.joiner()
    here.waits_for(here.committed_all)
    assert [(each.receipt_id, each.reason) for each in quarantines(here.sent("quarantine"))] == [
        (forged.receipt_id, Reason.INVALID_TRANSACTION_ID)
    ]
    assert [transaction for transaction, _ in here.final()] == [genuine.transaction_id]


def test_facts_of_all_topics_meet_and_a_stop_is_ordered(here: Installation):
    here.migrate().feed(STORY)
    joiner = here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    here.waits_for(here.committed_all)
    assert '"assigned":"ok"' in joiner.ask("readyz")
    assert "roundtrip_joiner_facts_total 160.0" in joiner.ask("metrics")
    by_transaction = {
        each.key: each.partition for topic in ("clicks", "postbacks") for each in here.read(topic)
    }
    for each in here.read("conversions"):
        assert each.partition == by_transaction[each.key.rpartition(b":")[0]]
    joiner.stop()
    assert joiner.exit_code == 0
    said = [each.split(" ", 2)[2] for each in joiner.said().splitlines()]
    assert [each.split()[:3] for each in said] == [
        ["INFO", "pixels", "that"],
        ["INFO", "health", "on"],
        ["INFO", "joining;", "state"],
        ["INFO", "stopping:", "SIGTERM"],
    ]


@pytest.mark.parametrize("times", ["1", "3"])
@pytest.mark.parametrize("moment", ["stored", "sent", "handled", "committing"])
def test_a_kill_at_any_moment_changes_no_final_record(here: Installation, moment: str, times: str):
    """Stored and not sent, sent and not committed, and so on: the end is that of an undisturbed run."""
    here.migrate()
    victim = here.joiner(moment, times)
    for part in range(0, len(STORY), 20):
        here.feed(STORY[part : part + 20])
    # Known facts again: where all the story came in one fetch, else nothing more would be handled.
    here.waits_for(lambda: victim.exit_code is not None or bool(here.feed(STORY[:4])))
    assert victim.ended() == -signal.SIGKILL
    here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    here.waits_for(here.committed_all)
    versions: dict[tuple[str, int, int], Case] = {}
    for case in cases(here.sent("conversions")):
        same = versions.setdefault((case.transaction_id, case.goal_id, case.version), case)
        assert case == same, "one version of a case was sent with two contents"


def test_a_joiner_whose_client_stopped_reading_without_a_word_ends_and_says_so(here: Installation):
    here.migrate()
    joiner = here.joiner("deaf")
    assert joiner.ended() == 1
    assert "Kafka's client stopped working: fetching" in joiner.said()


def test_a_log_made_anew_under_a_running_joiner_is_read_from_its_start(here: Installation):
    """Its offsets begin again below what was read of the old one: nothing of it may be taken for known.

    While the joiner is held, so that only its next fetch can tell it, not the absence of a topic.
    """
    here.migrate().feed(STORY)
    joiner = here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    here.waits_for(here.committed_all)
    os.kill(joiner.pid, signal.SIGSTOP)
    here.delete("clicks", "postbacks")
    here.migrate()
    more = story(2, 41)
    here.feed(more)
    os.kill(joiner.pid, signal.SIGCONT)
    here.waits_for(lambda: here.final() == expected(STORY + more))
    here.waits_for(here.committed_all)
    assert "looking where to go on" in joiner.said()


def test_poison_is_quarantined_and_the_rest_goes_on(here: Installation):
    here.migrate()
    poison = [
        Outgoing("clicks", b"t1", b"{"),
        Outgoing("postbacks", b"", b""),
        Outgoing("pixels", b"t1", b"\xff"),
    ]
    here.put(poison)
    here.feed(STORY)
    here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY) and len(here.read("quarantine")) == len(poison))
    kept = quarantines(here.sent("quarantine"))
    assert {each.topic for each in kept} == {"clicks", "postbacks", "pixels"}
    assert {each.reason for each in kept} == {Reason.MALFORMED_EVENT}
    here.waits_for(here.committed_all)


def test_a_replay_sends_each_case_again_with_the_version_that_it_has(here: Installation):
    here.migrate().feed(STORY)
    here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    here.waits_for(here.committed_all)
    before = last_cases(here.sent("conversions"))
    count = len(here.read("conversions"))
    here.feed(STORY)
    here.waits_for(here.committed_all)
    again = here.sent("conversions")
    assert len(again) >= count + len(before)
    assert last_cases(again) == before


@pytest.mark.parametrize("second", ["", "elsewhere"])
def test_workers_share_the_partitions_and_hand_them_over(here: Installation, second: str):
    """Of one directory, or each with its own: a state that did not come along is restored from Kafka."""
    here.migrate().feed(STORY)
    one = here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    two = here.joiner(directory=second)
    here.waits_for(
        lambda: all("roundtrip_joiner_partitions 2.0" in each.ask("metrics") for each in (one, two))
    )
    more = story(40, 41)
    here.feed(more)
    here.waits_for(lambda: here.final() == expected(STORY + more))
    one.stop()
    assert one.exit_code == 0
    here.waits_for(lambda: "roundtrip_joiner_partitions 4.0" in two.ask("metrics"))
    last = story(10, 81)
    here.feed(last)
    here.waits_for(lambda: here.final() == expected(STORY + more + last))
    here.waits_for(here.committed_all)


def test_a_worker_that_was_killed_is_replaced(here: Installation):
    here.migrate().feed(STORY)
    one = here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    one.kill()
    here.joiner()
    more = story(10, 41)
    here.feed(more)
    here.waits_for(lambda: here.final() == expected(STORY + more))


def test_a_lost_state_is_restored_and_says_so(here: Installation):
    here.migrate().feed(STORY)
    one = here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))
    here.waits_for(here.committed_all)
    one.stop()
    two = here.joiner(directory="empty")
    late = [postback("t1", 9_999, sale_amount=Decimal(500))]
    here.feed(late)
    here.waits_for(lambda: here.final() == expected(STORY + late))
    assert "is lost or stale: restoring" in two.said()


def test_what_is_too_old_expires_and_wrong_clocks_change_nothing_for_the_others(here: Installation):
    now_ms = time.time_ns() // 1_000_000

    def at(days: float) -> dict[str, str]:
        moment = times.from_ms(now_ms + int(days * DAY_MS))
        return {"received_at": moment, "occurred_at": moment}

    in_2099 = "2099-01-01T00:00:00.000Z"
    usual = [click("old", 10, **at(-45)), click("kept", 11, **at(-36))]
    today = [click(f"t{number}", 100 + number, **at(0)) for number in range(40)]  # in each partition some
    odd = [
        click("ahead", 13, received_at=in_2099, occurred_at=in_2099),
        click("behind", 14, **at(-10)),
        postback("claims", 15, **{**at(0), "occurred_at": in_2099}),
    ]
    here.migrate().feed(usual + odd + today)
    joiner = here.joiner()
    here.waits_for(lambda: 'roundtrip_joiner_expired_total{kind="clicks"} 1.0' in joiner.ask("metrics"))
    here.feed([postback("kept", 20, **at(0)), postback("old", 21, **at(-128))])
    here.waits_for(here.committed_all)
    kept = last_cases(here.sent("conversions"))["kept", 0]
    assert kept.visits == (usual[1],)
    assert [(each.receipt_id, each.reason) for each in quarantines(here.sent("quarantine"))] == [
        (postback("old", 21).receipt_id, Reason.TOO_LATE_TO_CORRECT)
    ]


def test_kafka_may_go_away_just_before_the_first_connection_of_the_consumer(tmp_path: Path):
    """One line says so; the group is joined once Kafka is back."""
    kafka = KafkaServer(tmp_path / "kafka").start()
    (here,) = [*itertools.islice(installed(kafka, tmp_path), 1)]
    try:
        here.migrate().feed(STORY)
        joiner = here.joiner("joining", "1", "STOP")
        here.waits_for(lambda: is_held(joiner))
        kafka.kill()
        os.kill(joiner.pid, signal.SIGCONT)
        here.waits_for(lambda: "cannot be reached" in joiner.said())
        kafka.start()
        here.waits_for(lambda: here.final() == expected(STORY))
        assert "Traceback" not in joiner.said()
        assert joiner.said().count("cannot be reached") == joiner.said().count("can be reached again")
    finally:
        for process in here.processes:
            process.kill()
        kafka.kill()


def test_kafka_may_be_absent_at_the_start_and_go_away_later(tmp_path: Path):
    kafka = KafkaServer(tmp_path / "kafka")
    (here,) = [*itertools.islice(installed(kafka, tmp_path), 1)]
    try:
        joiner = here.joiner()
        here.waits_for(lambda: "cannot be reached" in joiner.said())
        kafka.start()
        here.waits_for(lambda: "lacks the topics" in joiner.said())
        here.migrate().feed(STORY)
        here.waits_for(lambda: here.final() == expected(STORY))
        kafka.kill()
        here.waits_for(
            lambda: '"ready":false' in joiner.ask("readyz") and '"kafka":"ok"' not in joiner.ask("readyz")
        )
        kafka.start()
        more = story(20, 41)
        here.feed(more)
        here.waits_for(lambda: here.final() == expected(STORY + more))
        here.waits_for(here.committed_all)
        assert joiner.exit_code is None
        here.waits_for(lambda: "cannot be reached" not in joiner.said().rpartition("can be reached again")[2])
        assert joiner.said().count("cannot be reached") == joiner.said().count("can be reached again")
        assert len(joiner.said().splitlines()) < 12, joiner.said()
        kafka.kill()
        joiner.stop()
        assert joiner.exit_code == 0, joiner.said()
    finally:
        for each in here.processes:
            each.kill()
        kafka.stop()
