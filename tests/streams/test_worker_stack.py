"""The joiner on the real Kafka: joins, kills at each moment, poison, replays, hand-overs, lost brokers."""

import asyncio
import itertools
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from deploy.kafka_server import KafkaServer
from deploy.ports import free_port
from deploy.process import Server
from schemas import facts, times
from schemas.decisions import Case
from schemas.facts import AnyFact
from schemas.reasons import Reason
from schemas.topics import DAY_MS, TOPICS
from schemas.transaction_id import Keyring
from service import keys, rotation
from service.kafka import Admin, Outgoing, Producer, Record, TopicSpec, read_range
from service.keys import KeyFile
from service.settings import Settings
from streams.app import GROUP, READ
from tests.streams.joining import (
    NOON_MS,
    cases,
    click,
    content,
    decide,
    last_cases,
    postback,
    quarantines,
    unverified_pixel,
)
from tests.streams.joining import TOPICS as TOPIC_OF

pytestmark = pytest.mark.stack

PARTITIONS = 4
DEADLINE_S = 60.0
_prefixes = (f"j{number}-" for number in itertools.count())


class JoinerProcess(Server):
    """A joiner that runs by itself; `moment` is when it kills itself."""

    name = "joiner"

    def __init__(self, settings: Settings, *moment: str) -> None:
        self.settings = settings
        self.moment = moment
        self.port = free_port()
        self.log = settings.dir / "joiner.log"

    def command(self) -> Sequence[str]:
        config = self.settings
        program = Path(__file__).with_name("joiner_process.py")
        given = config.dir, config.kafka, config.topic_prefix, config.partitions, self.port, *self.moment
        return [sys.executable, str(program), *map(str, given)]

    def is_ready(self) -> bool:
        return bool(self.ask("healthz"))

    def ask(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=2) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def ended(self) -> int:
        assert self.process is not None
        return self.process.wait(DEADLINE_S)

    def said(self) -> str:
        return self.log.read_text()


def is_held(joiner: JoinerProcess) -> bool:
    """Whether the process is stopped by a signal."""
    return Path(f"/proc/{joiner.pid}/stat").read_text().rpartition(") ")[2].startswith("T")


class Installation:
    """Topics of one's own in a Kafka, what is put into them and what comes out."""

    def __init__(self, kafka: KafkaServer, directory: Path) -> None:
        self.settings = Settings(
            dir=directory, kafka=kafka.address, topic_prefix=next(_prefixes), partitions=PARTITIONS
        )
        self.processes: list[JoinerProcess] = []

    def migrate(self) -> "Installation":
        with Admin(self.settings) as admin:
            admin.ensure_topics(
                TopicSpec(each.name, 1 if each.single else PARTITIONS, 1, each.config)
                for each in TOPICS.values()
            )
        return self

    def delete(self, *topics: str) -> None:
        """The topics are gone, and so is what groups committed of them."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        gone = admin.delete_topics([self.settings.topic_prefix + each for each in topics])
        for each in gone.values():
            each.result(DEADLINE_S)

    def joiner(self, *moment: str, directory: str = "") -> JoinerProcess:
        settings = self.settings
        if directory:
            settings = Settings(
                **{name: getattr(settings, name) for name in settings.__struct_fields__}
                | {"dir": settings.dir / directory}
            )
        process = JoinerProcess(settings, *moment)
        self.processes.append(process)
        process.spawn() if moment else process.start()
        return process

    def put(self, records: Sequence[Outgoing]) -> None:
        async def send() -> None:
            producer = Producer(self.settings)
            await producer.send_all(records)
            await producer.close()

        asyncio.run(send())

    def feed(self, given: Sequence[AnyFact]) -> None:
        self.put(
            [
                Outgoing(TOPIC_OF[type(each)], each.transaction_id.encode(), facts.encode(each))
                for each in given
            ]
        )

    def read(self, topic: str) -> list[Record]:
        with Admin(self.settings) as admin:
            ends = admin.end_offsets([topic])
        return [
            record
            for (_, number), end in sorted(ends.items())
            for record in read_range(self.settings, topic, number, 0, end)
        ]

    def sent(self, *topics: str) -> list[Outgoing]:
        return [
            Outgoing(each.topic, each.key, each.value, each.partition)
            for topic in topics
            for each in self.read(topic)
        ]

    def final(self) -> dict[tuple[str, int], Case]:
        return {key: content(case) for key, case in last_cases(self.sent("conversions")).items()}

    def committed_all(self) -> bool:
        with Admin(self.settings) as admin:
            ends = admin.end_offsets(READ)
            committed = admin.committed(GROUP)
        return all(committed.get(each, (0, ""))[0] == end for each, end in ends.items())

    def waits_for(self, settled: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        limit = time.monotonic() + deadline_s
        while not settled():
            for process in self.processes:
                assert process.exit_code in (None, 0, -signal.SIGKILL), process.last_words()
            assert time.monotonic() < limit, "\n".join(each.said()[-3000:] for each in self.processes)
            time.sleep(0.1)  # the pause between two looks, not the wait for a result


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def here(kafka: KafkaServer, tmp_path: Path) -> Iterator[Installation]:
    yield from installed(kafka, tmp_path)


def installed(kafka: KafkaServer, directory: Path) -> Iterator[Installation]:
    made = Installation(kafka, directory)
    yield made
    for process in made.processes:
        process.kill()


def story(transactions: int, first: int = 1) -> list[AnyFact]:
    """Per transaction a postback, its click, and two further statements of one goal and another."""
    sequence = itertools.count(10 * first)
    return [
        fact
        for number in range(first, first + transactions)
        for fact in (
            postback(f"t{number}", next(sequence), sale_amount=Decimal(number)),
            click(f"t{number}", next(sequence)),
            postback(f"t{number}", next(sequence), goal_id=3),
            postback(f"t{number}", next(sequence), sale_amount=Decimal(number + 1)),
        )
    ]


def expected(given: Sequence[AnyFact]) -> dict[tuple[str, int], Case]:
    found = {}
    for name in {each.transaction_id for each in given}:
        decided = decide([each for each in given if each.transaction_id == name])
        for goal, conversions in decided.cases.items():
            case = Case(
                transaction_id=name,
                goal_id=goal,
                version=0,
                decided_at="",
                conversions=conversions,
                visits=decided.visits[goal],
            )
            found[name, goal] = content(case)
    return found


STORY = story(40)


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
    usual = [click("old", 10, **at(-38)), click("kept", 11, **at(-36))]
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
        started = time.monotonic()
        joiner.stop()
        assert joiner.exit_code == 0, joiner.said()
        assert time.monotonic() - started < 20
    finally:
        for each in here.processes:
            each.kill()
        kafka.stop()
