"""Faust's losses on the real Kafka: fed, killed with -9, started again. README.md says which and why."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import confluent_kafka as ck
import pytest

from deploy.kafka_server import KafkaServer
from deploy.process import Server
from schemas.topics import FACTS
from service.kafka import Admin, TopicSpec
from service.settings import Settings
from streams.kafka.topics import GROUP
from tests.streams.losses.program import SCENARIOS

pytestmark = pytest.mark.stack

DEADLINE_S = 120.0
TURNS = 3  # of committing, after the program got stuck, before it is killed
MENDED = (
    "stock Faust does not lose this any more: see which release mended it, strike it from the table in"
    " tests/streams/losses/README.md, and what streams/kafka/commit.py overrides for it"
)

# What is fed, in order; in `gap` a transaction's marker follows the first three and takes offset 3.
FED = {
    "head": ["a", "b", "c", "slow", "d", "e", "f"],
    "fresh": ["slow", "a", "b", "c"],
    "gap": ["a", "b", "c", "slow", "d", "e", "f"],
    "raises": ["a", "bad", "b", "c"],
    "take": ["a", "bad", "b"],
}
STUCK = {name: next(each for each in fed if each in ("slow", "bad")) for name, fed in FED.items()}
# What stock Faust never handles: `take` gives the whole batch away, with what came after the error.
LOST = {"head": {"slow"}, "fresh": {"slow"}, "gap": {"slow"}, "raises": {"bad"}, "take": {"bad", "b"}}


class Program(Server):
    name = "program"

    def __init__(self, variant: str, kafka: str, directory: Path) -> None:
        self.prefix = f"{variant}-"
        self.directory = directory / variant
        self.directory.mkdir()
        self.log = self.directory / "log"
        self._given = [variant, kafka, self.prefix, str(self.directory)]
        self.run = "first"
        self._kafka = kafka

    def command(self) -> Sequence[str]:
        return [sys.executable, str(Path(__file__).with_name("program.py")), *self._given, self.run]

    def is_ready(self) -> bool:
        return True

    def settings(self, scenario: str) -> Settings:
        return Settings(kafka=self._kafka, topic_prefix=f"{self.prefix}{scenario}-", partitions=1)

    def migrate(self) -> None:
        for scenario in SCENARIOS:
            with Admin(self.settings(scenario)) as admin:
                admin.ensure_topics(TopicSpec(topic, 1, 1) for topic in FACTS)

    def put(self, scenario: str, values: Sequence[str], *, marked: bool = False) -> None:
        """marked: as a transaction, whose marker takes an offset too."""
        settings = self.settings(scenario)
        identity = {"transactional.id": settings.topic_prefix} if marked else {}
        producer = ck.Producer({"bootstrap.servers": self._kafka, "linger.ms": 0, **identity})
        if marked:
            producer.init_transactions()
            producer.begin_transaction()
        for value in values:
            producer.produce(settings.topic_prefix + "clicks", value.encode())
        if marked:
            producer.commit_transaction()
        assert producer.flush(DEADLINE_S) == 0

    def notes(self, scenario: str) -> list[str]:
        path = self.directory / scenario
        return path.read_text().splitlines() if path.exists() else []

    def done(self, scenario: str) -> set[str]:
        return {line.removeprefix("done ") for line in self.notes(scenario) if line.startswith("done")}

    def committed(self, scenario: str) -> int:
        with Admin(self.settings(scenario)) as admin:
            return admin.committed(GROUP).get(("clicks", 0), (-1, ""))[0]

    def committed_all(self, scenario: str) -> bool:
        """Whether nothing is left to do, as far as Kafka was told; a marker at the end is nothing to do."""
        with Admin(self.settings(scenario)) as admin:
            return self.committed(scenario) >= admin.end_offsets(["clicks"])["clicks", 0]

    def stuck(self, scenario: str) -> bool:
        """It came to what it cannot get done, and has since tried to commit."""
        notes, begun = self.notes(scenario), f"begun {STUCK[scenario]}"
        return begun in notes and notes[notes.index(begun) :].count("turn") >= TURNS

    def waits_for(self, settled: Callable[[], bool]) -> None:
        limit = time.monotonic() + DEADLINE_S
        while not settled():
            assert self.exit_code is None, self.last_words()
            assert time.monotonic() < limit, self.last_words(20)
            time.sleep(0.1)  # the pause between two looks, not the wait for a result


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Program]]:
    """Both programs after they were killed in the middle, started again, and had nothing left to do."""
    directory = tmp_path_factory.mktemp("losses")
    with KafkaServer(directory / "kafka") as kafka:
        both = [Program(variant, kafka.address, directory) for variant in ("stock", "ours")]
        try:
            for each in both:
                each.migrate()
                for scenario, fed in FED.items():
                    if scenario in ("head", "gap"):
                        each.put(scenario, fed[:3], marked=scenario == "gap")
                    else:
                        each.put(scenario, fed)
                each.start()
            for each in both:
                # The rest comes when what was before it is committed: `slow` is then the head of what is not.
                for scenario in ("head", "gap"):
                    each.waits_for(lambda each=each, name=scenario: each.committed(name) >= 3)  # type: ignore[misc]
                    each.put(scenario, FED[scenario][3:])
            for each in both:
                each.waits_for(lambda each=each: all(each.stuck(name) for name in FED))  # type: ignore[misc]
                each.kill()
            for each in both:
                each.run = "again"
                each.start()
            for each in both:
                each.waits_for(lambda each=each: all(each.committed_all(name) for name in FED))  # type: ignore[misc]
        finally:
            for each in both:
                each.kill()
        yield {each.prefix.rstrip("-"): each for each in both}


@pytest.mark.parametrize("scenario", FED)
@pytest.mark.parametrize("variant", ["stock", "ours"])
def test_what_was_not_handled_is_handled_after_a_restart(
    programs: dict[str, Program], variant: str, scenario: str
):
    lost = set(FED[scenario]) - programs[variant].done(scenario)
    if variant == "stock":
        assert lost == LOST[scenario], MENDED
    else:
        assert lost == set()
