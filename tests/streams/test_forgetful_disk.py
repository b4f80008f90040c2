"""What a power cut or the process's end leaves on the disk: each write synced, and a batch in one of them.

Kill -9 forgets nothing that was written, so no kill finds a missing sync, and few come between two.
"""

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from schemas import facts, times
from schemas.topics import DAY_MS
from service.kafka import Outgoing
from streams.batch.batch import Batch
from streams.state import layout
from streams.state.bundles import Bundle
from streams.state.changes import Changes
from streams.state.layout import Expired, Position
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams.joining import NOON_MS, click, decide, postback, record
from tests.streams.rig import LOGS, Rig, fetch

T1: Final = Bundle("t1")


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
    """In place of the database: counts what a power cut now would forget; synced: of each write whether."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.forgettable = 0
        self.synced: list[bool] = []

    def write(self, batch: Any, options: Any) -> None:
        self._db.write(batch, options)
        self.synced.append(options.sync)
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


async def test_whatever_a_joiner_writes_is_synced(tmp_path: Path) -> None:
    """Also where nothing is to be sent of it, no position moves by it, or facts only go."""
    rig = Rig(tmp_path)
    rig.logs = LOGS._replace(end=dict.fromkeys(LOGS.end, 0))
    joiner = await rig.started()
    state = joiner.assignment.open[0]
    disk = state._db = CountingDisk(state._db)

    async def written(work: Awaitable[object]) -> list[bool]:
        before = len(disk.synced)
        await work
        return disk.synced[before:]

    assert await written(joiner.handle(fetch(record(postback(catalog_version=2))))) == [True]
    assert await written(joiner.handle(fetch(record(click())))) == [True]
    rig.decide = partial(decide, newest_catalog=2)
    assert await written(joiner.resume()) == [True]
    later = times.from_ms(NOON_MS + 45 * DAY_MS)
    old = record(click("t2", 3, received_at=later), 1)._replace(timestamp_ms=NOON_MS + 45 * DAY_MS)
    assert await written(joiner.handle(fetch(old))) == [True]
    assert await written(joiner.expire()) == [True]
    assert not state.seen([layout.seen_key("clicks", click())])[0]
    assert await written(joiner.handle(fetch(record(postback("t3", 4), 1)))) == [True]
    assert await written(joiner.close()) == [True], "what was sent is forgotten"


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


def held(directory: Path) -> list[tuple[str, bytes, bytes]]:
    """All that is on the disk."""
    state = Store(directory).open(0)
    families = {"": state._db, **state._family}
    found = [
        (name, key, value)
        for name, family in families.items()
        for key, value in family.items()
        if not key.startswith((b"write:", b"format"))
    ]
    state.close()
    return found


def filled(directory: Path) -> Partition:
    """A state that holds what the batch takes out."""
    state = Store(directory).open(0)
    fact = click("t0", 9)
    old = layout.stored("clicks", fact, facts.encode(fact), layout.seen_key("clicks", fact))
    state.apply(
        Changes(facts=[old], births=[(3, T1)], waiting=[(5, T1)], outbox=[Outgoing("notices", b"t0", b"{}")])
    )
    return state


def brought(state: Partition) -> Changes:
    """Something of everything that a write may hold."""
    batch = Batch(state, decide, NOON_MS)
    waits = click("t2", 8), postback("t2", 3, catalog_version=2)
    batch.absorb([record(each) for each in (click(), postback(), *waits)])
    batch.move({"clicks": Position(1, "log"), "postbacks": Position(1, "log")})
    changes = batch.changes
    gone = layout.fact_key("clicks", click("t0", 9))
    changes.dropped += [("facts", gone), ("seen", layout.seen_key("clicks", click("t0", 9)))]
    changes.unborn.append((3, T1))
    changes.resumed.append((5, T1))
    changes.times.append((NOON_MS, Bundle("a" + "0" * 31)))
    changes.expired = Expired(7, b"\x01")
    empty = [name for name in Changes.__struct_fields__ if not getattr(changes, name)]
    assert empty == []
    return changes


@pytest.mark.parametrize("writes", range(4))
def test_a_batch_is_on_the_disk_whole_or_not_at_all_after_whichever_write_the_process_ends(
    tmp_path: Path, writes: int
) -> None:
    """Facts, cases, positions, what is to be sent, what goes: each without the others loses or doubles."""
    filled(tmp_path / "empty").close()
    whole = filled(tmp_path / "whole")
    whole.sent()
    whole.apply(brought(whole))
    whole.close()
    state = filled(tmp_path / "state")
    state.sent()
    changes = brought(state)
    db, left = state._db, [writes]
    state._db = LastingDisk(db, left)
    state._family = {name: LastingDisk(each, left) for name, each in state._family.items()}
    with contextlib.suppress(End):
        state.apply(changes)
    state._db = db
    state.close()
    assert held(tmp_path / "state") == held(tmp_path / ("whole" if writes else "empty"))
