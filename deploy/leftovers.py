"""Processes that an earlier run in the same directory left: found by a mark in their environment, ended.

The kernel ends a stack's children with their supervisor (deploy/process.py), so usually there are none, or
they are just ending. The mark is exact, where a recorded process ID may belong to another process by now.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import psutil

MARK = "STACK_DIRECTORY"  # not ROUNDTRIP_*: it is no setting
GRACE_S = 15.0


def mark(directory: Path) -> dict[str, str]:
    """What each child of a stack in the directory has in its environment."""
    return {MARK: str(directory.resolve())}


def leftovers(directory: Path) -> list[psutil.Process]:
    """Every living process that carries the directory's mark, except the caller and its parents."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    wanted = str(directory.resolve())
    return [each for each in psutil.process_iter() if each.pid not in ours and _mark_of(each) == wanted]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        value: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):  # ended meanwhile, or another user's
        return None
    return value


def end_leftovers(directory: Path) -> list[int]:
    """None is left; the IDs of those that had to be ended."""
    found = leftovers(directory)
    for process in found:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(found, timeout=GRACE_S)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=GRACE_S)
    return [process.pid for process in found]


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()
