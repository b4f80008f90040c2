"""Topics made anew, emptied or compacted, on the real Kafka: no right row becomes a wrong one."""

import itertools
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from deploy.kafka_server import KafkaServer
from schemas import decisions
from schemas.decisions import Case
from schemas.facts import AnyFact, Click
from service.kafka import Admin, Outgoing
from tests.streams.installation import STORY, Installation, JoinerProcess, expected, installed, story
from tests.streams.joining import cases, last_cases, postback
from tests.streams.test_restore_stack import LATE, MORE, ends, never_falls, restored, settled

pytestmark = pytest.mark.stack

CLICKS = [each for each in STORY if isinstance(each, Click)]
STATED = [each for each in STORY if not isinstance(each, Click)]


def admin(here: Installation) -> AdminClient:
    return AdminClient({"bootstrap.servers": here.settings.kafka})


def emptied(here: Installation, *topics: str) -> None:
    """As retention does it: the logs begin at their ends."""
    with Admin(here.settings) as asked:
        places = asked.end_offsets(topics)
    prefix = here.settings.topic_prefix
    gone = [TopicPartition(prefix + topic, number, end) for (topic, number), end in places.items()]
    asking = admin(here)  # what is asked ends with it
    for each in asking.delete_records(gone).values():
        each.result(120)


def configured(here: Installation, resource: ConfigResource.Type, name: str, **config: str) -> None:
    entries = [
        ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for key, value in config.items()
    ]
    asking = admin(here)  # what is asked ends with it
    changed = asking.incremental_alter_configs([ConfigResource(resource, name, incremental_configs=entries)])
    for each in changed.values():
        each.result(120)


def lost(here: Installation, joiner: JoinerProcess) -> None:
    joiner.kill()
    shutil.rmtree(here.settings.dir / "joiner")


def anew(here: Installation, given: list[AnyFact]) -> None:
    here.delete("clicks", "postbacks")
    here.migrate().feed(given)


def test_topics_made_anew_while_no_joiner_runs_are_read_from_their_start(here: Installation):
    """Also where they are longer by then than what was read of the old ones."""
    settled(here).stop()
    anew(here, MORE + STORY + LATE)
    joiner = here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY + MORE + LATE))
    here.waits_for(here.committed_all)
    assert "a new log" in joiner.said()
    never_falls(here)


def test_topics_made_anew_under_a_joiner_are_read_from_their_start_also_where_they_are_longer(
    here: Installation,
):
    """No fetch can tell it: what comes next is there, but what came before it was never read."""
    here.migrate().feed(STORY)
    joiner = here.joiner("looking", "1")
    here.waits_for(lambda: here.final() == expected(STORY))
    here.waits_for(here.committed_all)
    os.kill(joiner.pid, signal.SIGSTOP)
    anew(here, MORE + STORY + LATE)
    os.kill(joiner.pid, signal.SIGCONT)
    here.waits_for(lambda: here.final() == expected(STORY + MORE + LATE))
    here.waits_for(here.committed_all)
    assert "a new log" in joiner.said()
    never_falls(here)


@pytest.mark.parametrize("with_state", [True, False])
def test_a_broker_that_lost_the_end_of_its_logs_which_others_filled_since(
    tmp_path: Path, *, with_state: bool
):
    """Topic, offsets and commits are as they were. Only what lies there tells that it is another log."""
    with KafkaServer(tmp_path / "kafka") as kafka:
        (here,) = [*itertools.islice(installed(kafka, tmp_path), 1)]
        try:
            settled(here).stop()
            kafka.stop()
            for topic in ("clicks", "postbacks"):
                for part in (kafka.directory / "data").glob(f"{here.settings.topic_prefix}{topic}-*/0*"):
                    part.unlink()
            kafka.start()
            if not with_state:
                shutil.rmtree(here.settings.dir / "joiner")
            here.feed(MORE + STORY + LATE)
            joiner = here.joiner()
            here.waits_for(lambda: here.final() == expected(STORY + MORE + LATE))
            here.waits_for(here.committed_all)
            assert ("a new log" in joiner.said()) is with_state
            never_falls(here)
        finally:
            for each in here.processes:
                each.kill()


def test_facts_that_retention_took_before_a_restore_make_no_worse_rows(here: Installation):
    lost(here, settled(here))
    emptied(here, "clicks", "postbacks")
    joiner = here.joiner()
    restored(here, joiner)
    assert "records are gone from Kafka" in joiner.said()
    assert "Ship the facts again" in joiner.said()
    late = [postback(f"t{number}", 6_000 + number, sale_amount=900) for number in range(1, 41)]
    before = ends(here)
    here.feed(late)
    here.waits_for(here.committed_all)
    assert ends(here) == before, "of 900, without click and what was stated first, it would be another"
    assert "transactions stay as they were sent" in joiner.said()
    here.feed(STATED)
    here.waits_for(lambda: here.final() == expected(STORY + late))
    never_falls(here)


def test_facts_that_retention_took_in_the_middle_of_a_restore_make_no_worse_rows(here: Installation):
    lost(here, settled(here))
    assert here.joiner("kept", "5").ended() == -signal.SIGKILL
    emptied(here, "postbacks")
    joiner = here.joiner()
    restored(here, joiner)
    before = ends(here)
    late = [postback(f"t{number}", 6_000 + number, sale_amount=900) for number in range(1, 41)]
    here.feed(late)
    here.waits_for(here.committed_all)
    assert {key: case for key, case in here.final().items() if not case.conversions} == {}
    here.feed(STATED)
    here.waits_for(lambda: here.final() == expected(STORY + late))
    assert before != ends(here)
    never_falls(here)


def test_a_kafka_that_was_lost_is_filled_in_any_order_and_no_row_is_worse_meanwhile(here: Installation):
    """Kafka and the worker's disk are gone; first come the cases, then what is new, then what was."""
    lost(here, settled(here))
    sent, right = here.sent("conversions"), here.final()
    here.delete("clicks", "postbacks", "conversions", "notices")
    here.migrate().put(sent)
    joiner = here.joiner()
    late = [postback(f"t{number}", 6_000 + number, sale_amount=900) for number in range(1, 41)]
    here.feed(late)
    here.waits_for(here.committed_all)
    assert here.final() == right
    here.feed(CLICKS)
    here.waits_for(here.committed_all)
    assert here.final() == right
    here.feed(STATED)
    here.waits_for(lambda: here.final() == expected(STORY + late))
    assert joiner.exit_code is None
    never_falls(here)


def test_without_state_and_without_what_was_sent_all_is_decided_from_the_facts(here: Installation):
    lost(here, settled(here))
    here.delete("conversions")
    here.migrate()
    here.joiner()
    here.waits_for(lambda: here.final() == expected(STORY))


def test_without_state_without_what_was_sent_and_without_all_facts_nothing_is_decided(here: Installation):
    lost(here, settled(here))
    emptied(here, "clicks")
    here.delete("conversions")
    here.migrate()
    joiner = here.joiner("looking", "30")
    assert joiner.ended() == 1
    assert "what was sent is not known" in joiner.said()
    assert here.read("conversions") == []


def test_a_restore_from_compacted_conversions_and_an_older_case_behind_ours(here: Installation):
    """Compaction keeps the last record of a case. So ours follows another's that is older."""
    topic = f"{here.settings.topic_prefix}conversions"
    joiner = settled(here)
    versions = {each.key: cases([each])[0].version for each in here.sent("conversions")}
    first = here.sent("conversions")[0]
    case = decisions.decode("conversions", first.value)
    assert isinstance(case, Case)
    covered = decisions.encode(msgspec.structs.replace(case, version=1, conversions=(), visits=()))
    here.put([Outgoing("conversions", first.key, covered, first.partition)])
    here.waits_for(
        lambda: [each for each in here.sent("conversions") if each.key == first.key][-1].value != covered
    )
    configured(here, ConfigResource.Type.BROKER, "1", log_cleaner_backoff_ms="100")
    rolled = {"segment_ms": "100", "min_cleanable_dirty_ratio": "0.001", "max_compaction_lag_ms": "100"}
    configured(here, ConfigResource.Type.TOPIC, topic, **rolled)
    time.sleep(0.3)  # a segment is rolled when something comes after so long
    here.feed(MORE)
    here.waits_for(lambda: here.final() == expected(STORY + MORE))
    here.waits_for(lambda: is_compacted(here))
    here.waits_for(here.committed_all)
    lost(here, joiner)
    before = ends(here)
    again = here.joiner()
    restored(here, again)
    here.waits_for(here.committed_all)
    assert ends(here) == before
    here.feed(LATE)
    here.waits_for(lambda: here.final() == expected(STORY + MORE + LATE))
    for (name, goal), each in last_cases(here.sent("conversions")).items():
        assert each.version >= versions.get(f"{name}:{goal}".encode(), 0)


def is_compacted(here: Installation) -> bool:
    """Of each case of the story one record is left."""
    names = {each.transaction_id.encode() for each in STORY}
    kept = [each.key for each in here.read("conversions") if each.key.partition(b":")[0] in names]
    return len(kept) == len(set(kept))


def test_a_restore_while_facts_go_on_coming(here: Installation):
    joiner = settled(here)
    many = story(1_500, 100)
    here.feed(many)
    here.waits_for(here.committed_all)
    lost(here, joiner)
    loads = [story(40, 10_000 + 100 * number) for number in range(8)]
    feeding = threading.Thread(target=lambda: [here.feed(load) for load in loads])
    feeding.start()
    again = here.joiner()
    feeding.join()
    restored(here, again)
    more = [fact for load in loads for fact in load]
    here.waits_for(lambda: here.final() == expected(STORY + many + more))
    here.waits_for(here.committed_all)
    never_falls(here)
