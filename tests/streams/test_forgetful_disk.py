"""A power cut forgets what was written and not synced: kill -9 does not, so no kill finds a missing sync."""

from pathlib import Path
from typing import Any

from service.kafka import Outgoing
from streams.layout import Position
from streams.state import Changes
from streams.store import Store


class ForgetfulDisk:
    """In place of the database: a write that is not synced never comes to the disk."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def write(self, batch: Any, options: Any) -> None:
        if options.sync:
            self._db.write(batch, options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def test_what_was_applied_outlasts_a_power_cut(tmp_path: Path) -> None:
    state = Store(tmp_path).open(0)
    state._db = ForgetfulDisk(state._db)
    kept = Outgoing("conversions", b"t1:0", b"{}", 0)
    state.apply(Changes(positions={"clicks": Position(17, "log", 5)}, outbox=[kept]))
    state.close()
    found = Store(tmp_path).open(0)
    assert found.positions == {"clicks": Position(17, "log", 5)}
    assert found.unsent() == [kept]
