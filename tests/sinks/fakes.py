"""Fakes of Kafka and ClickHouse for the sinks."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from schemas.topics import TOPICS
from service.errors import Refused, Unavailable, Unreachable
from service.kafka import Admin, Outgoing, Partition, Record, TopicSpec
from service.settings import Settings


class FakeSource:
    """A group member that reads what a test gives it and writes down what is committed."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.waiting = list(records)
        self.commits: list[dict[Partition, int]] = []
        self.notes: dict[Partition, str] = {}
        self.paused: list[frozenset[Partition]] = []
        self.resumed: list[frozenset[Partition]] = []
        self.closed = False
        self.partitions = frozenset((record.topic, record.partition) for record in records)

    async def read(self, max_records: int, timeout_s: float) -> list[Record]:
        if not self.waiting:
            await asyncio.sleep(min(timeout_s, 0.01))
        found, self.waiting = self.waiting[:max_records], self.waiting[max_records:]
        return found

    async def commit(
        self, offsets: Mapping[Partition, int], notes: Mapping[Partition, str] | None = None
    ) -> None:
        self.commits.append(dict(offsets))
        self.notes.update(notes or {})

    def assigned(self) -> frozenset[Partition]:
        return self.partitions

    async def pause(self, partitions: Iterable[Partition]) -> None:
        self.paused.append(frozenset(partitions))

    async def resume(self, partitions: Iterable[Partition]) -> None:
        self.resumed.append(frozenset(partitions))

    async def close(self) -> None:
        self.closed = True


class FakeStorage:
    """Tables in memory: a row with `"bad":true` refuses its insert, and `down` inserts fail first."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, object]]] = defaultdict(list)
        self.inserts: list[tuple[str, int, str]] = []
        self.down = 0
        self.named_rows = True

    def check(self) -> str:
        if self.down:
            raise Unreachable("ClickHouse is away")
        return "26.9"

    def insert_raw(
        self, table: str, body: bytes, *, token: str = "", settings: Mapping[str, object] | None = None
    ) -> int:
        assert settings is not None
        if self.down:
            self.down -= 1
            raise Unavailable("ClickHouse is away")
        rows = [msgspec.json.decode(line) for line in body.split(b"\n")]
        self.inserts.append((table, len(rows), token))
        for number, row in enumerate(rows, 1):
            if row.get("bad"):
                raise Refused("cannot parse", code=27, row=number if self.named_rows else 0)
        self.rows[table] += rows
        return len(rows)


class FakeOutlet:
    """A producer that keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.down = 0

    async def send_all(self, records: Sequence[Outgoing]) -> None:
        if self.down:
            self.down -= 1
            raise Unavailable("Kafka is away")
        self.sent += records


class FakeLogs:
    """Logs that stay what they are."""

    def __init__(self) -> None:
        self.identities: Mapping[str, str] = {topic: f"cluster:{topic}" for topic in TOPICS}

    async def verify(self) -> None:
        return

    def notes(self, partitions: Iterable[Partition]) -> dict[Partition, str]:
        return {each: self.identities[each[0]] for each in partitions}


async def until(true: Callable[[], bool], deadline_s: float = 60.0) -> None:
    """Waits for the thing itself."""
    async with asyncio.timeout(deadline_s):
        while not true():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.01)


def make_topics(config: Settings, partitions: int = 4) -> None:
    with Admin(config) as admin:
        admin.ensure_topics(
            TopicSpec(topic.name, 1 if topic.single else partitions, 1, topic.config)
            for topic in TOPICS.values()
        )
