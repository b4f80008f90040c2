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


def note(state: Path, offsets: Iterable[int]) -> None:
    """The folder of a state says how far it has come; not on a full disk, where nothing depends on it."""
    with contextlib.suppress(OSError):
        (state / NAME).write_text(str(sum(offsets)), "ascii")


def read(directory: Path) -> dict[int, float]:
    """By partition number, how far each state in the directory has come; 1 where that is not said."""
    try:
        states = [each for each in directory.iterdir() if each.name.isdecimal()]
    except OSError:
        return {}
    return {int(state.name): max(1.0, _said(state / NAME)) for state in states}


def _said(path: Path) -> float:
    try:
        return float(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0.0
