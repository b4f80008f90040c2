"""A file of adjustments: CSV with a head, each line one adjustment."""

import csv
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from schemas.adjustments import FIELDS
from service.errors import Usage

PIECE: Final = 5_000  # lines that are in memory at a time, with what they mean: 20 MB
MAX_CELL: Final = 2_000  # characters; twice what any field may have, so that the field's own limit is told

# Names that the field's platforms export (vocabulary.md), and by which a conversion may be named.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: () for name in FIELDS if name != "by_file"},
    "conversion_id": (),
    "transaction_id": ("tid", "clickid", "click_id", "cid"),
    "conversion_unique_id": ("order_id", "order_number", "order", "txid"),
    "goal_id": ("goal", "goal_name", "event_id"),
    "amount": ("sale_amount", "sum"),
    "currency": ("sale_currency",),
    "by": ("stated_by", "who"),
    "why": ("comment", "note"),
}
_NAMES: Final = {alias: name for name, aliases in COLUMNS.items() for alias in (name, *aliases)}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One adjustment as it was written.

    number: of the file's line on which it begins, the head is 1; 0 on a command line.
    texts: what its cells say, by field, without empty ones. problem: why it is none; empty where it is one.
    """

    number: int
    texts: dict[str, str] = {}
    problem: str = ""

    @property
    def content_key(self) -> str:
        """A key that the same content has each time; 32 hex digits."""
        return hashlib.sha256(json.dumps(sorted(self.texts.items())).encode()).hexdigest()[:32]


class Lines:
    """Adjustments that can be gone through again and again, a piece at a time. count: how many there are."""

    def __init__(self, source: Callable[[], Iterator[Line]]) -> None:
        self._source = source
        self.count = sum(1 for _ in source())

    def pieces(self) -> Iterator[list[Line]]:
        """All lines in order, PIECE at a time."""
        left = self._source()
        while piece := list(itertools.islice(left, PIECE)):
            yield piece


@contextmanager
def opened(path: Path) -> Iterator[Lines]:
    """The file's lines, all of which can be read; Usage where it is no such file."""
    with ExitStack() as stack:
        with _told(path):
            whole = stack.enter_context(_seekable(stack.enter_context(path.open("rb"))))
            found = Lines(lambda: _read(whole, str(path)))
        yield found


def _read(file: BinaryIO, name: str) -> Iterator[Line]:
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    with open(os.dup(file.fileno()), encoding="utf-8-sig", newline="") as text:  # noqa: PTH123  no path: a pipe's copy
        yield from lines(text, name)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Usage(f"{path} is no UTF-8 text ({error.reason}); save it as CSV UTF-8") from error


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """The file; of a pipe a copy, gone afterwards."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        yield copy


def lines(text: Iterable[str], name: str) -> Iterator[Line]:
    """The adjustments of a CSV text; commas, semicolons or tabs between the cells, as its head has them."""
    rows = _rows(iter(text), name)
    _, head = next(rows, (1, []))
    columns = _columns(head, name)
    for number, cells in rows:
        yield _line(number, cells, columns)


def _rows(text: Iterator[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the number of the line on which it begins."""
    first = next(text, "")
    between = max(",;\t", key=first.count)
    reader = csv.reader(_again(first, text), delimiter=between, strict=True)
    begun = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Usage(f"{name}:{begun}: {error}; mend it first: nothing was sent") from error
        if any(cell.strip() for cell in cells):
            yield begun, cells
        begun = reader.line_num + 1


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _columns(head: Sequence[str], name: str) -> list[str]:
    """The field of each column; Usage where one is unknown or there twice."""
    columns: list[str] = []
    for cell in head:
        word = cell.strip().lower()
        field = _NAMES.get(word)
        if field is None:
            known = ", ".join(COLUMNS)
            raise Usage(f"{name}:1: unknown column {cell[:40]!r}: rename it or leave it out ({known})")
        if field in columns:
            raise Usage(f"{name}:1: two columns for {field}: leave one out")
        columns.append(field)
    if not {"transaction_id", "conversion_id", "conversion_unique_id"} & set(columns):
        raise Usage(f"{name}:1: no column says what is meant: transaction_id, conversion_id or order_id")
    return columns


def _line(number: int, cells: Sequence[str], columns: Sequence[str]) -> Line:
    if len(cells) != len(columns):
        problem = f"{len(cells)} cells where the head has {len(columns)}: put quotes around separators"
        return Line(number=number, problem=problem)
    texts = {name: cell.strip()[:MAX_CELL] for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    return Line(number=number, texts=texts)
