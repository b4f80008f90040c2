"""Complaints about a catalog file: what is wrong where, and on which line."""

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

Place = tuple[str | int, ...]  # ("offers", 3, "goals", 0, "payout", "percent")

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\s-]+?)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


class Complaint(msgspec.Struct, frozen=True):
    """One thing that is wrong with a file.

    level: an error keeps the file from being applied, a warning tells of what cannot work.
    place: `offers[3].goals[0].payout.percent`, counted from 0; empty where the file is no TOML.
    line: counted from 1; 0 where it is not known.
    about: the entry that the place lies in, by its ID: `offer 7`.
    """

    level: Literal["error", "warning"]
    place: str
    reason: str
    line: int = 0
    about: str = ""

    def __str__(self) -> str:
        """One line for people."""
        about = f" ({self.about})" if self.about else ""
        return (
            f"{self.level}: {self.place}{about}: {self.reason}"
            if self.place
            else f"{self.level}: {self.reason}"
        )


def written_place(place: Place) -> str:
    """The place as people read it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


class Lines:
    """Where in a TOML text each place begins.

    Found by headers and keys alone: what stands inside an inline table has the line of that table's key.
    """

    def __init__(self, text: str) -> None:
        self._of: dict[Place, int] = {}
        for number, place in _places(text):
            self._of.setdefault(place, number)

    def line(self, place: Place) -> int:
        """The line of the place, else of the nearest one around it, else 0."""
        for end in range(len(place), 0, -1):
            if place[:end] in self._of:
                return self._of[place[:end]]
        return 0


def _places(text: str) -> Iterator[tuple[int, Place]]:
    inside: Place = ()
    counts: dict[Place, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.fullmatch(line.rstrip("\r")):
            names = [name.strip() for name in header[2].split(".")]
            inside = _entered(names, counts, new=header[1] == "[[")
            yield number, inside
        elif key := _KEY.match(line):
            yield number, (*inside, key[1])


def _entered(names: list[str], counts: dict[Place, int], *, new: bool) -> Place:
    """The place of the table that a header opens; `counts` holds how many entries each array has so far."""
    place: Place = ()
    for depth, name in enumerate(names):
        place = (*place, name)
        if new and depth == len(names) - 1:
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = (*place, counts[place] - 1)
    return place
