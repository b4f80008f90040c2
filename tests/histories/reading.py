"""Histories out of their text: steps, and the rows that must stand after them."""

import re
from pathlib import Path
from typing import NamedTuple

_VERB = re.compile(
    r"(click|impression|get|post|head|adjust|k|raw|file|version) (.*?)(?: -> (\S+(?: \w+){0,2}))?(?: ~ (.*))?"
).fullmatch
_MONEY = ("status", "reason", "payout", "payout_currency", "revenue", "revenue_currency")


class Step(NamedTuple):
    """One line: what is done, and what must be answered.

    answer: status, outcome, reason, as far as they are told. holds: what the answer must contain.
    """

    verb: str
    words: str
    answer: tuple[str, ...] = ()
    holds: str = ""


class Row(NamedTuple):
    """A conversion that must stand; goal: `*` for any."""

    name: str
    goal: str
    columns: dict[str, str]


class History(NamedTuple):
    """What happens, in order, and what must come out.

    phases: steps by the catalog version in force. names: transactions of which nothing else may stand.
    """

    title: str
    phases: dict[int, list[Step]]
    rows: list[Row]
    names: set[str]
    quarantined: dict[int, int]


def histories(path: Path) -> list[History]:
    """All of the file; ValueError names a line that cannot be read."""
    found: list[History] = []
    version = 1
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("== "):
            version = 1
            found.append(History(line[3:], {}, [], set(), {}))
        elif line.startswith("version "):
            version = int(line.split()[1])
        elif line.startswith("quarantined "):
            _, reason, count = line.split()
            found[-1].quarantined[int(reason)] = int(count)
        elif line.startswith("= "):
            _expect(found[-1], line[2:].split())
        elif line and not line.startswith("#"):
            found[-1].phases.setdefault(version, []).append(_step(line))
    return found


def _expect(history: History, words: list[str]) -> None:
    name, _, goal = words[0].partition("/") if words[0][0].isalpha() else (words[0], "", "")
    history.names.add(name)
    if words[1:] == ["none"]:
        return
    columns = dict(zip(_MONEY, words[1:7], strict=True))
    columns.update((column, value) for column, _, value in (word.partition("=") for word in words[7:]))
    history.rows.append(Row(name, goal or "0", columns))


def _step(line: str) -> Step:
    found = _VERB(line)
    if found is None:
        raise ValueError(f"cannot be read: {line}")
    return Step(found[1], found[2], tuple((found[3] or "").split()), found[4] or "")
