"""Programs of everything that may happen to a journal, against what an owner of promises would expect.

1. Who was told yes is read, once, in order, by the receipt that was told; unless its own bytes were flipped,
   and then damage is counted.
2. What was refused because the disk failed is never read, once the next epoch is there.
3. What is read is on stable storage.
   (2 and 3 are said by the next epoch's header; where its bits flipped, who was refused may be read.)
4. Numbers have no gaps up to the last one that the next epoch names.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from ingest import admission
from ingest.admission import Bounds, JournalAdmission
from ingest.journal import frames, segments
from ingest.journal.counters import Counters
from ingest.journal.directory import Directory
from ingest.journal.journal import Journal
from ingest.journal.reader import Piece, Reader
from ingest.journal.segments import Position
from ingest.receipts import Receipt
from schemas import facts
from schemas.facts import Click, Predecessor
from service.errors import Unavailable
from tests.chance import FIXTURE
from tests.ingest.journal.disks import Inode, SimulatedDisk
from tests.ingest.journal.hands import HeldHand
from tests.ingest.journal.samples import AT_MS, OWN, ROOT, Draw

AT = "2026-11-23T12:00:00.000Z"
Step = tuple[Any, ...]

FAILING = st.sampled_from(["sync", "late", "sync", "late", "write", "create", "sync_directory", "remove"])
SEEDS = st.integers(0, 2**32)
STEPS = st.one_of(
    st.tuples(st.just("accept"), st.integers(1, 4), st.sampled_from([0, 0, 300])),
    st.tuples(st.just("accept"), st.integers(1, 4), st.just(0)),
    st.tuples(st.just("ship"), st.sampled_from([1, 700, 5_000])),
    st.tuples(st.just("fail"), FAILING, st.integers(1, 3)),
    st.tuples(st.just("fail"), FAILING, st.just(1)),
    st.tuples(st.just("fill"), st.integers(0, 900), st.integers(1, 3)),
    st.tuples(st.just("hang")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("power"), st.booleans(), SEEDS),
    st.tuples(st.just("power"), st.just(value=False), SEEDS),
    st.tuples(st.just("adopt"), SEEDS),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("flip"), SEEDS),
    st.tuples(st.just("forget")),
)
PROGRAMS = st.tuples(st.sampled_from([300, 900, 100_000]), st.lists(STEPS, min_size=3, max_size=30))


class Hung(BaseException):
    """A sync that did not return before its process was gone."""


class World:
    """A journal, the events that were told to it, and what its reader found."""

    def __init__(self, segment_bytes: int) -> None:
        self.segment_bytes = segment_bytes
        self.disk = SimulatedDisk()
        self.draw = Draw()
        self.receipts: list[str] = []  # by event: empty where it got no number
        self.yes: set[str] = set()
        self.failed: set[str] = set()  # refused by a disk that failed, in the epoch that is still the newest
        self.never: set[str] = set()
        self.flipped: set[str] = set()
        self.headers_hit = False
        self.cursor = Position()
        self.shipped: list[str] = []
        self.previous: dict[str, Predecessor | None] = {}
        self.set_aside = 0

    async def open(self) -> None:
        self.hand = HeldHand()
        self.journal = Journal(
            Directory(self.disk, ROOT),
            segment_bytes=self.segment_bytes,
            counters=(counters := Counters(CollectorRegistry())),
            draw=self.draw,
            clock_ms=lambda: AT_MS,
        )
        self.admission = JournalAdmission(
            self.journal, self.hand, Bounds(records=100, wait_s=0.0), counters, lambda: AT_MS
        )
        self.admission.try_opening()
        await self.settle()

    async def settle(self) -> None:
        """Nothing moves any more by itself."""
        for _ in range(200):
            await asyncio.sleep(0)
            if self.hand.holding or not self.admission.problem():
                return
        raise AssertionError(self.admission.problem())

    async def accept(self, count: int, pad: int) -> None:
        await asyncio.gather(*(self._one(pad) for _ in range(count)))
        await self.settle()
        self._judge()

    async def _one(self, pad: int) -> None:
        event = len(self.receipts)
        self.receipts.append("")

        def build(receipt: Receipt) -> Click:
            self.receipts[event] = receipt.receipt_id
            return Click(
                receipt_id=receipt.receipt_id,
                previous=receipt.previous,
                transaction_id=f"{event:032d}",
                received_at=AT,
                occurred_at=AT,
                edge="e",
                catalog_version=1,
                offer_id=7,
                aff_sub="x" * pad,
            )

        try:
            told = await self.admission.accept("clicks", f"{event:032d}", build)
        except Unavailable as error:
            if self.receipts[event] and "cannot be written" in str(error):
                self.failed.add(self.receipts[event])
        else:
            assert told == self.receipts[event]
            self.yes.add(told)

    def _judge(self) -> None:
        """What failed in an epoch that is over is gone for good."""
        over = {each for each in self.failed if not each.startswith(self.journal.epoch)}
        self.never |= over
        self.failed -= over

    async def fail(self, operation: str, times: int) -> None:
        self.disk.faults.left[operation] = times

    async def fill(self, room: int, times: int) -> None:
        self.disk.faults.room, self.disk.faults.left["full"] = room, times

    async def hang(self) -> None:
        self.hand.hold()

    async def resume(self) -> None:
        self.hand.release()
        await self.settle()
        self._judge()

    def _end(self, *, in_sync: bool) -> None:
        """The process is gone, whatever it was doing; perhaps while it waited for a sync."""
        if in_sync and self.hand.jobs:
            inode_sync, Inode.sync = Inode.sync, _hang  # type: ignore[method-assign,assignment]
            try:
                self.hand.jobs[0][0]()
            except (Hung, OSError):
                pass
            finally:
                Inode.sync = inode_sync  # type: ignore[method-assign]
        if self.admission._again is not None:
            self.admission._again.cancel()
        self.failed.clear()  # nobody knows any more what was answered

    async def kill(self, in_sync: bool) -> None:  # noqa: FBT001  a step's own
        self._end(in_sync=in_sync)
        self.disk.kill()
        await self.open()

    async def power(self, in_sync: bool, seed: int) -> None:  # noqa: FBT001  a step's own
        self._end(in_sync=in_sync)
        chance = random.Random(seed)
        self.disk.lose_power(lambda most: chance.choice([0, most, chance.randint(0, most)]))
        await self.open()

    async def adopt(self, seed: int) -> None:
        """Another process ships what this one left, before one begins there again."""
        self._end(in_sync=bool(seed & 1))
        self.disk.kill()
        for left in Directory(self.disk, ROOT).left_by_others():
            self._read(None, 5_000)
            left.lock.release()
        await self.open()

    async def reopen(self) -> None:
        await self.resume()
        await self.admission.close()
        self.disk.kill()  # its faults end; its locks are given back already
        await self.open()

    async def flip(self, seed: int) -> None:
        """A bit flips somewhere in the segments; the record that it hits is no longer to be expected."""
        there = [path for path in sorted(self.disk.files) if path.suffix == ".seg"]
        chance = random.Random(seed)
        sizes = [len(self.disk.files[path].content) for path in there]
        if not sum(sizes):
            return
        node = self.disk.files[chance.choices(there, sizes)[0]]
        at = chance.randrange(len(node.content))
        node.flip(at, chance.randrange(8))
        self._hit(bytes(node.pristine), at)

    def _hit(self, pristine: bytes, at: int) -> None:
        end = frames.length(pristine)
        if at < end:
            self.headers_hit = True
        while end and end <= at:
            begin, end = end, end + frames.length(pristine[end:])
            if end <= begin:
                return
            found = frames.decode(pristine[begin:end]).entries
            if found and at < end:
                self.flipped.add(msgspec.json.decode(found[0].value)["receipt_id"])

    async def forget(self) -> None:
        """The cursor is lost: everything that is kept is shipped again."""
        self.cursor, self.shipped = Position(), []

    async def ship(self, max_bytes: int) -> None:
        if (end := self.journal.committed).segment:  # else it is not open yet
            self._read(end, max_bytes)

    def _read(self, end: Position | None, max_bytes: int) -> None:
        """As a carrier does: after an error of the disk it tries again from its cursor."""
        moved = True
        while moved:
            reader = Reader(self.disk, OWN, self.cursor, owned=True)
            with contextlib.closing(reader), contextlib.suppress(OSError):
                while moved := (piece := reader.read(end, max_bytes)).position != self.cursor:
                    self.cursor = piece.position
                    self._take(piece)
        assert self.yes - self.flipped <= set(self.shipped)

    def _take(self, piece: Piece) -> None:
        self.set_aside += piece.damaged + piece.torn
        node = self.disk.durable_names[OWN / segments.name(piece.position.segment)]
        for each in piece.entries:
            fact = facts.decode("clicks", each.value)
            receipt = f"{piece.epoch}-{each.sequence}"
            assert fact.receipt_id == receipt == self.receipts[int(fact.transaction_id)]
            assert each.key.decode() == fact.transaction_id
            assert node.doubted or self.headers_hit or frames.encode(each) in node.durable
            assert not self.shipped or order(self.shipped[-1]) < order(receipt)
            assert receipt not in self.never or self.headers_hit
            self.shipped.append(receipt)
            self.previous[receipt] = fact.previous

    async def end(self) -> None:
        """Everything is read once more from the beginning, by a process to which nothing happens."""
        await self.reopen()
        await self.forget()
        await self.ship(5_000)
        if self.yes - set(self.shipped):
            assert self.set_aside
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Without a gap, and each epoch names the last number of the one before; unless bits flipped.

        A sync that failed, a kill before the next epoch, and a loss of power together may leave a gap: of
        events that nobody was told yes for.
        """
        if self.flipped or self.headers_hit or any(node.doubted for node in self.disk.files.values()):
            return
        before: Predecessor | None = None
        for receipt in self.shipped:
            epoch, number = order(receipt)
            if number == 1:
                assert self.previous[receipt] == before
            else:
                assert before == Predecessor(epoch=epoch, last=number - 1)
            before = Predecessor(epoch=epoch, last=number)


def order(receipt: str) -> tuple[str, int]:
    """Epochs sort by their beginning."""
    epoch, _, number = receipt.partition("-")
    return epoch, int(number)


def _hang(_self: Inode) -> None:
    raise Hung


async def run(segment_bytes: int, steps: list[Step]) -> None:
    world = World(segment_bytes)
    async with asyncio.timeout(60):
        await world.open()
        for name, *arguments in steps:
            await getattr(world, name)(*arguments)
        await world.end()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all programs; a disk is tried again at once."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as running:
        patch.setattr(admission, "PROBE_S", 0.0)
        logging.getLogger("ingest").setLevel(logging.CRITICAL)  # a program's disasters are no news
        yield running
        logging.getLogger("ingest").setLevel(logging.NOTSET)


def check(programs: int) -> settings:
    return settings(
        max_examples=programs,
        deadline=None,
        suppress_health_check=FIXTURE,
    )


@check(100)
@given(PROGRAMS)
def test_the_journal_keeps_its_promises(runner: asyncio.Runner, program: tuple[int, list[Step]]) -> None:
    runner.run(run(*program))


@pytest.mark.stack  # for its time
@check(2_000)
@given(PROGRAMS)
def test_the_journal_keeps_its_promises_often(
    runner: asyncio.Runner, program: tuple[int, list[Step]]
) -> None:
    runner.run(run(*program))
