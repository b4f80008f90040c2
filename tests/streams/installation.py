"""A joiner of its own process, its topics in a real Kafka, and a story with its known end."""

import asyncio
import itertools
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from confluent_kafka.admin import AdminClient

from deploy.kafka_server import KafkaServer
from deploy.ports import free_port
from deploy.process import Server
from schemas import facts
from schemas.decisions import Case
from schemas.facts import AnyFact
from schemas.topics import TOPICS
from service.kafka import Admin, Outgoing, Producer, Record, TopicSpec, read_range
from service.settings import Settings
from streams.kafka.topics import GROUP, READ
from tests.streams.joining import TOPICS as TOPIC_OF
from tests.streams.joining import (
    click,
    content,
    decide,
    judging,
    last_cases,
    postback,
)

PARTITIONS = 4


DEADLINE_S = 180.0


_prefixes = (f"j{number}-" for number in itertools.count())


class JoinerProcess(Server):
    """A joiner that runs by itself; `moment` is when it kills itself."""

    name = "joiner"
    grace_s = 60.0  # its own bound is some 15 s; a machine that runs tests beside it may take longer

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
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=30) as answer:
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
        with Admin(self.settings, DEADLINE_S) as admin:
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
        with Admin(self.settings, DEADLINE_S) as admin:
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
        with Admin(self.settings, DEADLINE_S) as admin:
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
                visits=judging(decided.visits.values()),
            )
            found[name, goal] = content(case)
    return found


STORY = story(40)
