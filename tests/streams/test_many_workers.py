"""Workers that join, leave, are killed and held still under load, on the real Kafka: the end is the same.

MANY_WORKERS=N plays six times N random steps for each number of partitions and each way to keep states,
instead of the short script; MANY_SEED=S draws others.
"""

import itertools
import os
import random
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient

from deploy.kafka_server import KafkaServer
from proof import histories, joined, joiner_kills
from proof.histories import Histories
from proof.joined import Outcome
from proof.joiner_scene import Scene, Step, act, enact
from proof.joiner_stack import GROUP, Joiner, JoinerStack
from schemas.topics import FACTS
from service.kafka import Outgoing

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

NOW_MS = 1_795_435_200_000
ROUNDS = int(os.environ.get("MANY_WORKERS", "0"))
SEED = os.environ.get("MANY_SEED", "20261123")
RATE = 40.0  # so that facts still come at the last step
TRANSACTIONS = 700 * (ROUNDS or 1)
LOOK_S = 0.2
ALL = ("joins", "leaves", "joiner", "joiner, for good", "held still")
SCRIPT = ("joins", "leaves", "held still", "joiner", "joins")
DEALT_S = 240.0  # until a group has settled, also where one was killed


class Dealt(NamedTuple):
    """What Kafka said of a settled group: by worker, what it reads of each topic."""

    workers: dict[str, dict[str, frozenset[int]]]

    def numbers(self, worker: str) -> frozenset[int]:
        return frozenset().union(*self.workers[worker].values())


class Watcher:
    """Looks at the group all the while."""

    def __init__(self, stack: JoinerStack) -> None:
        self._admin = AdminClient({"bootstrap.servers": stack.kafka.address})
        self._prefix = stack.settings.topic_prefix
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.seen: list[Dealt] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _main(self) -> None:
        while not self._over.wait(LOOK_S):
            (future,) = self._admin.describe_consumer_groups([self._prefix + GROUP]).values()
            try:
                group = future.result(10)
            except ck.KafkaException:
                continue
            if group.state == ck.ConsumerGroupState.STABLE and (dealt := self._dealt(group)) != self.last:
                self.seen.append(dealt)

    def settled(self, scene: Scene) -> None:
        """Those that run now have been dealt their partitions."""
        limit = time.monotonic() + DEALT_S
        while self.last is None or {each.rpartition("-")[2] for each in self.last.workers} != {
            str(scene.worker(name).pid) for name in scene.names
        }:
            assert time.monotonic() < limit, (self.last, scene.ended)
            scene.nap(LOOK_S)

    @property
    def last(self) -> Dealt | None:
        return self.seen[-1] if self.seen else None

    def _dealt(self, group: Any) -> Dealt:
        workers: dict[str, dict[str, set[int]]] = {}
        for member in group.members:
            topics = workers.setdefault(member.client_id, {})
            for each in member.assignment.topic_partitions:
                topics.setdefault(each.topic.removeprefix(self._prefix), set()).add(each.partition)
        return Dealt(
            {
                name: {topic: frozenset(numbers) for topic, numbers in topics.items()}
                for name, topics in workers.items()
            }
        )


def moves(before: Dealt, after: Dealt, partitions: int) -> tuple[int, int]:
    """How many numbers were taken from a worker that stayed; how many had to be, for the balance."""
    stayed = sorted(
        (before.numbers(name) for name in before.workers if name in after.workers), key=len, reverse=True
    )
    moved = sum(
        len(before.numbers(name) - after.numbers(name)) for name in before.workers if name in after.workers
    )
    least, over = divmod(partitions, len(after.workers))
    needed = sum(max(0, len(owned) - least - (place < over)) for place, owned in enumerate(stayed))
    return moved, needed


class Sharing(JoinerStack):
    """All workers in one directory."""

    def joiner(self, _name: str = "worker") -> Joiner:
        return super().joiner("shared")


def told() -> Histories:
    return histories.histories(SEED, TRANSACTIONS, NOW_MS)


@pytest.fixture(scope="module")
def undisturbed(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    stack = JoinerStack(kafka, tmp_path_factory.mktemp("plain"), prefix="plain-", partitions=4)
    enact(stack.install(histories.catalogs()), records(), 0.0, lambda scene: scene.join("w0"))
    return joiner_kills.outcome(stack)


def records() -> list[Outgoing]:
    return [histories.record(fact) for fact in told().shipped]


def disturb(watcher: Watcher, scene: Scene) -> None:
    """Two workers, then joins, leavings, kills and stops past the session's time."""
    scene.join("w0")
    scene.join("w1")
    watcher.settled(scene)
    chance = random.Random(SEED)
    drawn = [(chance.uniform(0.5, 6.0), chance.choice(ALL)) for _ in range(6 * ROUNDS)]
    for pause_s, what in drawn or [(1.0, what) for what in SCRIPT]:
        act(scene, Step(pause_s, what, chance.randrange(64)))
        if not ROUNDS:  # else steps come into rebalances that still run
            watcher.settled(scene)


WAYS = [(4, JoinerStack), (64, Sharing)]
if ROUNDS:
    WAYS = [(count, kind) for count in (4, 64) for kind in (JoinerStack, Sharing)]


@pytest.mark.parametrize(("partitions", "kind"), WAYS, ids=lambda each: str(getattr(each, "__name__", each)))
def test_workers_that_come_and_go_change_nothing(
    kafka: KafkaServer, tmp_path: Path, undisturbed: Outcome, partitions: int, kind: type[JoinerStack]
) -> None:
    """Nor does a number's facts ever lie with two workers, and no state moves that need not."""
    stack = kind(kafka, tmp_path, prefix=f"{kind.__name__}-{partitions}-", partitions=partitions)
    stack.install(histories.catalogs())
    with Watcher(stack) as watcher:
        ended = enact(stack, records(), RATE, partial(disturb, watcher))
    catalogs = dict(enumerate(histories.catalogs(), 1))
    found = joiner_kills.outcome(stack)
    assert list(joined.differences(found, undisturbed, told(), catalogs)) == []
    for dealt in watcher.seen:
        for worker, topics in dealt.workers.items():
            assert {*topics.values()} <= {dealt.numbers(worker)}, f"{worker} has parts of numbers: {topics}"
            assert set(topics) >= set(FACTS) or not topics
    counted = [moves(one, two, partitions) for one, two in itertools.pairwise(watcher.seen)]
    assert len(counted) > 3
    assert all(moved == needed for moved, needed in counted), (counted, watcher.seen)
    sys.stdout.write(
        f"{partitions} {kind.__name__}: moved and needed {counted}; {len(ended)} ended by themselves\n"
    )
