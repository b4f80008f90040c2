"""Histories: what may happen to an edge and its Kafka, in any order; at the end nothing may be missing."""

import asyncio
import random
from typing import Any

from schemas.topics import FACTS
from tests.ingest.shipper.fakes import DEADLINE_S, Edge, FakeKafka

LENGTH = 40


class History:
    """Steps drawn at random; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kafka = FakeKafka()
        self.edge = Edge(self.kafka, segment_bytes=self.random.choice([200, 1_000, 1_000_000]))
        self.copies = [self.kafka.copied()]
        self.tasks: list[asyncio.Task[Any]] = []
        self.told: list[str] = []

    async def play(self) -> list[str]:
        """The receipts that Kafka does not have at the end."""
        steps = [
            (self.accept, 8),
            (self.time_passes, 4),
            (self.crash, 2),
            (self.power_fails, 1),
            (self.kafka.wipe, 1),
            (self.others_fill, 1),
            (self.copy, 1),
            (self.older_copy, 1),
            (self.older_copy_filled, 1),
            (self.remake, 1),
            (self.away, 1),
            (self.back, 2),
            (self.hold, 2),
            (self.kafka.release, 2),
            (self.answer_one, 2),
            (self.cut, 1),
            (self.disk_fails, 1),
        ]
        self.start()
        for _ in range(LENGTH):
            step = self.random.choices([each for each, _ in steps], [weight for _, weight in steps])[0]
            self.told.append(step.__name__)
            step()
            for _ in range(self.random.choice([0, 1, 3, 30])):
                await asyncio.sleep(0)
        return await self.missing()

    async def missing(self) -> list[str]:
        self.kafka.gone = ""
        self.edge.disk.faults.left.clear()
        self.kafka.release()
        if self.random.random() < 0.5:  # the same process goes on, or another begins
            self.crash()
        limit = asyncio.get_running_loop().time() + DEADLINE_S
        while asyncio.get_running_loop().time() < limit:
            await asyncio.sleep(0)
            if not set(self.edge.receipts) - set(self.kafka.receipts):
                break
        await self.stop()
        return sorted(set(self.edge.receipts) - set(self.kafka.receipts))

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.tasks = [
            loop.create_task(self.edge.carrier().run()),
            loop.create_task(self.edge.watch.run()),
        ]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        ended = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert [each for each in ended if not isinstance(each, asyncio.CancelledError)] == []

    def accept(self) -> None:
        try:
            self.edge.accept(self.random.randint(1, 12), topic=self.random.choice(FACTS))
        except OSError:  # nobody was told yes; a new epoch begins
            self.edge.disk.faults.left.clear()
            self.edge.journal.start()

    def time_passes(self) -> None:
        self.edge.seconds += 1

    def crash(self) -> None:
        """The process dies where it is; another begins."""
        for task in self.tasks:
            task.cancel()
        self.edge.reopen()
        self.start()

    def power_fails(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.edge.disk.lose_power(lambda most: self.random.randint(0, most))
        self.edge.reopen()
        self.start()

    def others_fill(self) -> None:
        self.kafka.fill(self.random.choice([1, 5, 50]))

    def copy(self) -> None:
        self.copies.append(self.kafka.copied())

    def older_copy(self) -> None:
        self.kafka.restore(self.random.choice(self.copies))

    def older_copy_filled(self) -> None:
        """As far as the records of ours that it had, and beyond."""
        self.older_copy()
        self.kafka.fill(100)

    def remake(self) -> None:
        self.kafka.remake(self.random.choice(FACTS))

    def away(self) -> None:
        self.kafka.gone = "away"

    def back(self) -> None:
        self.kafka.gone = ""

    def hold(self) -> None:
        self.kafka.hold = True

    def answer_one(self) -> None:
        if self.kafka.held:
            self.kafka.answer()

    def cut(self) -> None:
        self.kafka.cuts += 1

    def disk_fails(self) -> None:
        self.edge.disk.faults.left[self.random.choice(["create", "sync_directory", "remove"])] = 1
