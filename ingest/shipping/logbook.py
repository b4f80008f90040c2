"""The logbook: how far a journal is shipped, in memory and, a little later, on disk."""

import asyncio
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from ingest.journal import cursor as cursors
from ingest.journal.cursor import Cursor, Mark
from ingest.journal.disk import Disk
from ingest.journal.reader import Piece
from ingest.journal.segments import Position
from ingest.new_log import receipt_of
from service.kafka import Partition, Record

log = logging.getLogger(__name__)


class Logbook:
    """Keeps the cursor of one journal, which this process has locked."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._cursor = self._on_disk = cursors.trusted(disk, path)
        self._newest: dict[Partition, Record] = {}  # marks in the making: a receipt is read when it is needed
        self._saving = threading.Lock()
        self._complained = False
        self.displaced = ""
        """Why the log cannot be the one that it was; empty while nothing shows it."""

    @property
    def position(self) -> Position:
        """Everything before it was acknowledged."""
        return self._cursor.position

    @property
    def logs(self) -> Mapping[str, str]:
        """The identities for which the position holds."""
        return self._cursor.logs

    @property
    def cursor(self) -> Cursor:
        """How far the journal is shipped."""
        if self._newest:
            marks = {each: Mark(last.offset, receipt_of(last.value)) for each, last in self._newest.items()}
            self._cursor = self._cursor._replace(marks={**self._cursor.marks, **marks})
            self._newest = {}
        return self._cursor

    def acknowledged(self, piece: Piece, last: dict[Partition, Record]) -> bool:
        """The cursor is behind the piece, whose last records lie there.

        Not where an offset fell: a log that goes on only grows, so this is an older copy of it.
        """
        for partition, record in last.items():
            if record.offset <= (known := self._offset(partition)):
                self.displaced = f"{partition[0]}/{partition[1]} fell from offset {known} to {record.offset}"
                return False
        self._newest.update(last)
        receipt_id = (
            f"{piece.epoch}-{piece.entries[-1].sequence}" if piece.entries else self._cursor.receipt_id
        )
        self._cursor = self._cursor._replace(position=piece.position, receipt_id=receipt_id)
        return True

    def _offset(self, partition: Partition) -> int:
        known = self._newest.get(partition) or self._cursor.marks.get(partition)
        return known.offset if known else -1

    def same_log(self, identities: dict[str, str]) -> None:
        """The logs are those of the cursor; a topic that had none is known from now on."""
        self._cursor = self._cursor._replace(logs=identities)

    async def begin_again(self, identities: dict[str, str]) -> None:
        """Nothing is shipped to these logs yet; on disk too.

        The identities come with the beginning, in one write. Stored before it, they would vouch for a
        position that the new log never had: after a crash nobody would notice. The marks were the old log's.
        """
        self._newest = {}
        self._cursor, self.displaced = Cursor(logs=identities), ""
        await self.save()

    async def save(self) -> None:
        """The cursor is on disk; where the disk fails, the older one there costs a second shipping."""
        cursor = self.cursor
        if cursor is self._on_disk:
            return
        try:
            await asyncio.to_thread(self._write, cursor)
        except OSError as error:
            if not self._complained:
                log.warning("%s: the cursor cannot be saved: %s; tried again each second", self._path, error)
            self._complained = True
        else:
            self._on_disk, self._complained = cursor, False

    def _write(self, cursor: Cursor) -> None:
        with self._saving:  # one that was given up at the stop may still be writing
            cursors.save(self._disk, self._path, cursor)
