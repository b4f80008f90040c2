"""What a power cut or the process's end leaves on the disk: each write synced, and a batch in one of them.

Kill -9 forgets nothing that was written, so no kill finds a missing sync, and few come between two.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.kafka import Outgoing
from streams.batch.batch import Batch
from streams.state.bundles import Bundle
from streams.state.changes import Changes
from streams.state.layout import Position
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams.joining import NOON_MS, click, decide, postback, record
from tests.streams.rig import Rig, fetch


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


async def test_so_does_what_a_fetch_brought(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    joiner = await rig.started()
    state = joiner.assignment.open[0]
    state._db = ForgetfulDisk(state._db)
    await joiner.handle(fetch(record(postback())))
    await joiner.close()
    found = Store(tmp_path / "joiner").open(0)
    assert found.positions["postbacks"].offset == 1
    found.close()


class CountingDisk:
    """In place of the database: counts what a power cut now would forget."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.forgettable = 0

    def write(self, batch: Any, options: Any) -> None:
        self._db.write(batch, options)
        self.forgettable = 0 if options.sync else self.forgettable + 1

    def flush_wal(self, *, sync: bool) -> None:
        self._db.flush_wal(sync=sync)
        self.forgettable = 0 if sync else self.forgettable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def test_what_was_written_without_a_sync_outlasts_it_after_one(tmp_path: Path) -> None:
    state = Store(tmp_path).open(0)
    disk = state._db = CountingDisk(state._db)
    for _ in range(2):
        state.apply(Changes(positions={"clicks": Position(17, "log", 5)}), synced=False)
    assert disk.forgettable == 2
    state.sync()
    assert disk.forgettable == 0
    state.close()


class End(BaseException):
    """The process is no more."""


class LastingDisk:
    """In place of the database: after so many writes of any kind the process ends."""

    def __init__(self, db: Any, writes: list[int]) -> None:
        self._db = db
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._db, name)
        return self._counted(found) if name in ("write", "put", "delete", "delete_range") else found

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> None:
            if not self._writes[0]:
                raise End
            self._writes[0] -= 1
            write(*given)

        return counted


def held(directory: Path) -> tuple[object, ...]:
    """All that a batch may have put into the state."""
    state = Store(directory).open(0)
    t1 = Bundle("t1")
    found = state.positions, state.unsent(), state.facts("t1"), state.headers([t1]), state.cases(t1)
    state.close()
    return found


def brought(state: Partition) -> Changes:
    batch = Batch(state, decide, NOON_MS)
    batch.absorb([record(click()), record(postback())])
    batch.move({"clicks": Position(1, "log"), "postbacks": Position(1, "log")})
    return batch.changes


@pytest.mark.parametrize("writes", range(4))
def test_a_batch_is_on_the_disk_whole_or_not_at_all_after_whichever_write_the_process_ends(
    tmp_path: Path, writes: int
) -> None:
    """Facts, cases, positions and what is to be sent: each without the others would lose or double."""
    whole = Store(tmp_path / "whole").open(0)
    whole.apply(brought(whole))
    whole.close()
    state = Store(tmp_path / "state").open(0)
    db, left = state._db, [writes]
    state._db = LastingDisk(db, left)
    state._family = {name: LastingDisk(each, left) for name, each in state._family.items()}
    with contextlib.suppress(End):
        state.apply(brought(state))
    state._db = db
    state.close()
    assert held(tmp_path / "state") == held(tmp_path / ("whole" if writes else "empty"))
