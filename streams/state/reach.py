"""How far each state on this disk has come: a small file in its folder, for who must not open it.

It says how many records the state has taken in, by the sum of its positions. Written after the positions
themselves and without a sync: it may be behind, never ahead, and only decides who saves most by getting a
partition.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

NAME: Final = "reach"
_MOST: Final = 1 << 64  # records: what a file says that was written by halves, or by others, is bounded


def note(state: Path, offsets: Iterable[int]) -> None:
    """The folder of a state says how far it has come; not on a full disk, where nothing depends on it."""
    with contextlib.suppress(OSError):
        (state / NAME).write_text(str(sum(offsets)), "ascii")


def read(directory: Path, partitions: int) -> dict[int, float]:
    """By partition number, how far each state in the directory has come; 1 where that is not said."""
    states = {number: directory / str(number) for number in range(partitions)}
    return {number: max(1.0, _said(state / NAME)) for number, state in states.items() if state.is_dir()}


def _said(path: Path) -> float:
    try:
        return float(min(int(path.read_text("ascii")), _MOST))
    except (OSError, ValueError):
        return 0.0
