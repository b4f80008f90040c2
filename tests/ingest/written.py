"""A journal on disk, written by its own code, for the tests of those who read it."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from ingest.inspection.survey import State, state
from ingest.inspection.verification import Verification, Verified
from ingest.journal import frames, segments
from ingest.journal.counters import Counters
from ingest.journal.directory import Directory
from ingest.journal.disk import Disk, RealDisk
from ingest.journal.frames import Entry
from ingest.journal.journal import Journal
from ingest.journal.segments import Position
from tests.ingest.fakes import NOW_MS


class Written:
    """The journal 0 of a directory, its events one second apart and each in a group of its own."""

    def __init__(self, root: Path, *, segment_bytes: int = 1_000_000, disk: Disk | None = None) -> None:
        self.disk = disk or RealDisk()
        self.root = root
        self.path = root / "0"
        self.now_ms = NOW_MS
        self.drawn = 0
        self.segment_bytes = segment_bytes
        self.journal = self.opened()

    def opened(self) -> Journal:
        self.journal = Journal(
            Directory(self.disk, self.root),
            segment_bytes=self.segment_bytes,
            counters=Counters(CollectorRegistry()),
            draw=self.draw,
            clock_ms=lambda: self.now_ms,
        )
        self.journal.start()
        return self.journal

    def draw(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")

    def events(self, count: int) -> list[Position]:
        """So many more; where each begins, if it does not begin a file."""
        places = []
        for _ in range(count):
            places.append(self.journal.committed)
            sequence = self.journal.last + 1
            value = b'{"receipt_id":"%s-%d"}' % (self.journal.epoch.encode(), sequence)
            entry = Entry("clicks", sequence, self.now_ms, b"t1", value)
            self.journal.commit([frames.encode(entry)])
            self.now_ms += 1_000
        return places

    def file(self, number: int) -> Path:
        return self.path / segments.name(number)

    def verified(self) -> Verified:
        return Verification(RealDisk(), self.path, lambda _: None).run()

    def state(self, shipped: Position | None = None) -> State:
        return state(RealDisk(), self.path, shipped or Position())

    def flip(self, number: int, offset: int) -> None:
        data = bytearray(self.file(number).read_bytes())
        data[offset] ^= 0x10
        self.file(number).write_bytes(data)
