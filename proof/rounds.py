"""Rounds of kills: each with its own seed, so that one is repeated alone; a run goes on where it was."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from deploy.terminal import say
from service.errors import Usage

A_ROUND: Final = 10  # kills

_Step = TypeVar("_Step")


class Over(Protocol):
    """A round that is over. sorts: how many differences there are of each sort. lines: what is told of it."""

    @property
    def number(self) -> int: ...  # noqa: D102  above, as the rest
    @property
    def seed(self) -> str: ...  # noqa: D102
    @property
    def sorts(self) -> Mapping[str, int]: ...  # noqa: D102
    def lines(self) -> Iterable[str]: ...  # noqa: D102


def rounds(
    seed: int, kills: int, plan: Callable[[str, int], list[_Step]]
) -> Iterator[tuple[int, str, list[_Step]]]:
    """Number, seed and steps of each round; plan: the steps of a round, by its seed and its kills."""
    for number, left in enumerate(range(kills, 0, -A_ROUND), 1):
        yield number, f"{seed}/{number}", plan(f"{seed}/{number}", min(left, A_ROUND))


def arguments(module: str, what: str, kills: int, rate: float) -> argparse.ArgumentParser:
    """What each such command takes. kills, rate: of a second, where nothing is said."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=what)
    parser.add_argument(
        "--kills", type=int, default=kills, metavar="N", help="how many kills (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="draws all that is drawn (default: 1)"
    )
    parser.add_argument("--round", type=int, metavar="K", help="only this round")
    parser.add_argument(
        "--rate", type=float, default=rate, metavar="R", help="of the load, a second (default: %(default)s)"
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep finished rounds there, and leave out those that held",
    )
    parser.add_argument("--program", type=Path, metavar="FILE", help="in place of `roundtrip`")
    return parser


def told(found: Iterable[Over], resume: Path | None, good: str) -> int:
    """0 where every round held, else 1; each was told, and kept in the file. good: the last word then."""
    failed = 0
    for each in found:
        for line in each.lines():
            say(line)
        failed += bool(each.sorts)
        if resume:
            with resume.open("ab") as file:
                file.write(msgspec.json.encode(each) + b"\n")
    say(f"{failed} rounds failed" if failed else good)
    return 1 if failed else 0


def held(path: Path | None, seed: int, kind: type[Over]) -> set[int]:
    """The rounds of this seed that held, by the file of earlier runs."""
    if path is None or not path.exists():
        return set()
    try:
        past = [msgspec.json.decode(line, type=kind) for line in path.read_bytes().splitlines()]
    except msgspec.MsgspecError as error:
        raise Usage(f"--resume {path}: {error}") from error
    return {each.number for each in past if each.seed == f"{seed}/{each.number}" and not each.sorts}
