"""A restore writes without a sync for each batch: what a power cut may undo of it is read again."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from prometheus_client import CollectorRegistry

from schemas.facts import AnyFact
from service.kafka import Record, Stretch
from service.settings import Settings
from streams.batch.batch import Batch
from streams.kafka.topics import EMITTED
from streams.metrics import Metrics
from streams.restoring.restore import Span
from streams.restoring.restorer import Job, Restorer
from streams.state.layout import Position
from streams.state.partition import FAMILIES, Partition
from streams.state.store import Store
from streams.storing import Storing
from tests.streams.joining import NOON_MS, click, decide, postback, record


class WatchedDisk:
    """In place of the database; knows whether a power cut now would undo a write."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.may_forget = False

    def write(self, batch: Any, options: Any) -> None:
        self._db.write(batch, options)
        self.may_forget = not options.sync

    def flush_wal(self, *, sync: bool) -> None:
        self._db.flush_wal(sync)
        self.may_forget = self.may_forget and not sync

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


TOLD: list[AnyFact] = [click("t1", 1), postback("t1", 2), click("t2", 3), postback("t2", 4), click("t3", 5)]
Part = tuple[str, list[Record]]


def restored_parts(directory: Path) -> list[Part]:
    """All that a restore reads, a batch each: what was sent, then what was told."""
    before = Store(directory).open(0)
    batch = Batch(before, decide, NOON_MS)
    batch.absorb([*map(record, TOLD)])
    before.close()
    sent = [each for each in batch.changes.outbox if each.topic == EMITTED]
    told = [record(fact) for fact in sorted(TOLD, key=lambda fact: type(fact).__name__)]
    emitted = [Record(EMITTED, 0, 0, NOON_MS, each.key, each.value) for each in sent]
    return [(each.topic, [each]) for each in (*emitted, *told)]


def keep(state: Partition, parts: Sequence[Part]) -> None:
    storing = Storing(decide, 1, Metrics(CollectorRegistry()), lambda: None)
    for topic, records in parts:
        at = state.positions[topic].offset if topic in state.positions else 0
        storing.keep(state, records, {topic: Position(at + 1, "log")})


def everything(state: Partition) -> list[tuple[str, bytes, bytes]]:
    return [(name, *pair) for name in FAMILIES for pair in state._family[name].items()]


def write_ahead_log(state: Partition) -> Path:
    return max(state.path.glob("*.log"))


def test_a_power_cut_while_a_state_is_restored_goes_on_from_an_earlier_position(tmp_path: Path) -> None:
    """Cut anywhere in what was not synced: after it as many batches are there as the positions say."""
    parts = restored_parts(tmp_path / "before")
    state = Store(tmp_path / "whole").open(0)
    sizes = [write_ahead_log(state).stat().st_size]
    for part in parts:
        keep(state, [part])
        sizes.append(write_ahead_log(state).stat().st_size)
    for number, cut in enumerate(size + more for size in sizes[:-1] for more in (0, 1, 40, 100)):
        shutil.copytree(state.path, tmp_path / f"{number}" / "0")
        os.truncate(tmp_path / f"{number}" / "0" / write_ahead_log(state).name, cut)
        found = Store(tmp_path / f"{number}").open(0)
        read = sum(position.offset for position in found.positions.values())
        assert read == sum(size <= cut for size in sizes[1:])
        keep(found, parts[read:])
        assert everything(found) == everything(state)
        found.close()


async def test_a_restored_state_outlasts_a_power_cut_before_it_takes_part(tmp_path: Path) -> None:
    parts = restored_parts(tmp_path / "before")
    state = Store(tmp_path / "whole").open(0)
    disk = state._db = WatchedDisk(state._db)
    undone: list[bool] = []

    def kept(partition: Partition, topic: str, records: Sequence[Record], _: int) -> None:
        keep(partition, [(topic, list(records))])
        undone.append(disk.may_forget)

    async def whole(_: Partition) -> None:
        undone.append(disk.may_forget)

    async def say(_: str) -> None: ...

    class Topics:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read(self, topic: str, _: int, start: int, end: int, __: int) -> Iterator[Stretch]:
            mine = [each._replace(offset=at) for at, each in enumerate(topics[topic])]
            yield Stretch(mine[start:end], end)

    topics = {name: [each for topic, some in parts for each in some if topic == name] for name, _ in parts}
    restorer = Restorer(
        Settings(dir=tmp_path), Metrics(CollectorRegistry()), kept, whole, say, lambda _: Topics()
    )
    restorer.begin([Job(state, tuple(Span(name, 0, len(some)) for name, some in topics.items()))])
    await restorer._restore(restorer._jobs[0])
    assert undone == [True] * len(topics) + [False]
