"""The keys of a file's lines: on disk, so that a file may have any number of lines in the same memory."""

import hashlib
import sqlite3
from typing import Final

_TABLE: Final = "CREATE TABLE stated (name BLOB PRIMARY KEY, line INTEGER) WITHOUT ROWID"


class Keys:
    """Which line stated something under a key first; a temporary database, gone with this object."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute(_TABLE)

    def first(self, name: tuple[str, str], line: int) -> int:
        """The line that named this transaction and key first: an earlier one, else this one from now on."""
        digest = hashlib.blake2b("\0".join(name).encode(), digest_size=16).digest()
        self._database.execute("INSERT OR IGNORE INTO stated VALUES (?, ?)", (digest, line))
        ((first,),) = self._database.execute("SELECT line FROM stated WHERE name = ?", (digest,))
        return int(first)
