"""What the journal's tests share: a journal on a disk, and records that name their receipts as facts do."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from ingest.journal import frames, segments
from ingest.journal.counters import Counters
from ingest.journal.directory import Directory
from ingest.journal.disk import Disk
from ingest.journal.frames import Entry
from ingest.journal.journal import Journal
from ingest.journal.reader import Piece, Reader
from ingest.journal.segments import Header, Position

ROOT = Path("/state/journal")
OWN = ROOT / "0"
AT_MS = 1_795_435_200_000
EPOCH = "00t41rptf4kf2sk7dhagm3x"
NEXT = "00t41rptf4kf2sk7dhagm3y"


class Draw:
    """Random bytes that are never the same, and always the same ones."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")


def journal(
    disk: Disk, segment_bytes: int = 1_000_000, draw: Draw | None = None, root: Path = ROOT
) -> Journal:
    return Journal(
        Directory(disk, root),
        segment_bytes=segment_bytes,
        counters=Counters(CollectorRegistry()),
        draw=draw or Draw(),
        clock_ms=lambda: AT_MS,
    )


def entry(sequence: int, epoch: str = EPOCH, pad: int = 0) -> Entry:
    value = msgspec.json.encode({"receipt_id": f"{epoch}-{sequence}", "pad": "x" * pad})
    return Entry("clicks", sequence, AT_MS + sequence, b"0" * 32, value)


def next_entries(journal: Journal, count: int, pad: int = 0) -> list[Entry]:
    return [entry(journal.last + n, journal.epoch, pad) for n in range(1, count + 1)]


def commit(journal: Journal, count: int, pad: int = 0) -> list[Entry]:
    entries = next_entries(journal, count, pad)
    journal.commit([frames.encode(each) for each in entries])
    return entries


def segment_of(entries: Sequence[Entry], header: Header | None = None) -> bytes:
    header = header or Header(epoch=EPOCH, first=1, opened_ms=AT_MS)
    return segments.encode(header) + b"".join(frames.encode(each) for each in entries)


def put(disk: Disk, content: bytes, number: int = 1, directory: Path = OWN) -> None:
    """A segment lies on the disk, synced."""
    disk.make_directory(directory)
    file = disk.create(directory / segments.name(number))
    file.write(content)
    file.sync()
    file.close()
    disk.sync_directory(directory)


def read(
    disk: Disk,
    end: Position | None = None,
    *,
    start: Position | None = None,
    owned: bool = True,
    directory: Path = OWN,
    max_bytes: int = 4_096,
) -> list[Piece]:
    """Every piece from there to the end."""
    reader = Reader(disk, directory, start or Position(), owned=owned)
    pieces, position = [], start or Position()
    while (piece := reader.read(end, max_bytes)).position != position:
        pieces.append(piece)
        position = piece.position
    reader.close()
    return pieces


def entries_of(pieces: Sequence[Piece]) -> list[Entry]:
    return [each for piece in pieces for each in piece.entries]


def receipts_of(pieces: Sequence[Piece]) -> list[str]:
    return [f"{piece.epoch}-{each.sequence}" for piece in pieces for each in piece.entries]
