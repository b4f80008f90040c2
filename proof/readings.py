"""Two readings of the rules on invented histories: decide and the batch against the naive proof.expected.

`python -m proof.readings --histories 100000 --seed 1`: 0 where they agree and everything was reached, else 1.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from deploy.terminal import say
from proof import aging, agreement, batched, invented, replayed
from proof.invented import CROWDED, History
from proof.reached import ENOUGH, Reached
from schemas.transaction_id import Kind, kind
from service.errors import Usage
from service.progress import Progress

SHOWN: Final = 3  # disagreements that are told whole
MOST_SHOWN: Final = 300  # characters of a difference
OF_BATCH: Final = 20  # of so many histories one goes through the batch, too
OF_AGED: Final = 100  # of so many one is played over most of a year, too


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    given = _parser().parse_args(arguments)
    if given.replay:
        return _replayed(given.replay)
    if given.histories < 1:
        raise Usage(f"--histories {given.histories}: there is nothing to compare")
    reached, disagreements = Reached(), 0
    say(f"{given.histories} histories of seed {given.seed}, each by decide and by the naive reading:")
    for history, lines in compared(given.seed, given.histories, reached):
        disagreements += 1
        if disagreements <= SHOWN:
            _tell(history, lines)
    for title, counts in (
        ("reason", reached.reasons),
        ("setting", reached.settings),
        ("fact", reached.facts),
    ):
        say(f"{title}: " + ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())))
    missing = reached.missing() if given.histories >= ENOUGH else []
    if missing:
        say(f"never came up: {', '.join(missing)}")

    for history, lines in _through_all(given):
        disagreements += 1
        if disagreements <= SHOWN:
            _tell(history, lines, of_batch=True)
    say(f"{disagreements} disagreements, {len(missing)} never came up")
    return 1 if disagreements or missing else 0


def _through_all(given: argparse.Namespace) -> Iterator[tuple[History, list[str]]]:
    batch = min(given.histories, max(given.histories // OF_BATCH, batched.TOGETHER))
    say(f"{batch} of them through the batch and a state, in any order, cut, repeated, restarted, restored:")
    yield from through_batch(given.seed, batch)
    aged = min(given.histories, max(given.histories // OF_AGED, aging.TOGETHER))
    say(f"{aged} of them over most of a year, in {aging.ORDERS} orders, while what is too old leaves:")
    yield from through_age(given.seed, aged, persons=given.persons)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proof.readings", description="two readings of the rules on invented histories"
    )
    parser.add_argument(
        "--histories", type=int, default=20_000, metavar="N", help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="draws all that is drawn (default: 1)"
    )
    parser.add_argument(
        "--persons",
        action="store_true",
        help="over a year also derived identifiers, of which some are known to differ (docs/joiner.md)",
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="only the history in this file, as it was told"
    )
    return parser


def compared(seed: int, count: int, reached: Reached) -> Iterator[tuple[History, list[str]]]:
    """The histories of which decide says something else than the naive reading, and how."""
    with Progress("decided", count) as progress:
        for number in range(count):
            history = invented.history(f"{seed}/{number}")
            wanted = agreement.naive(history)
            reached.count(history, wanted)
            found = agreement.decided(history)
            if lines := agreement.differences(found, wanted) + agreement.paid_twice(history, found):
                yield history, lines
            progress.show(number + 1)


def through_batch(seed: int, count: int) -> Iterator[tuple[History, list[str]]]:
    """The same of what the batch says in the end."""
    with Progress("through the batch", count) as progress:
        for start in range(0, count, batched.TOGETHER):
            numbers = range(start, min(start + batched.TOGETHER, count))
            histories = [invented.history(f"{seed}/{number}") for number in numbers]
            yield from batched.disagreements(histories, f"{seed}/{start}")
            progress.show(numbers[-1] + 1)


def through_age(seed: int, count: int, *, persons: bool = True) -> Iterator[tuple[History, list[str]]]:
    """The same of what stands when all has come and has aged, in several orders of arrival."""
    with Progress("aged", count) as progress:
        for start in range(0, count, aging.TOGETHER):
            numbers = range(start, min(start + aging.TOGETHER, count))
            histories = [invented.history(f"{seed}/{number}") for number in numbers]
            some = [each for each in histories if persons or kind(each.identifier) is not Kind.DERIVED]
            yield from aging.disagreements(
                [each for each in some if len(each.facts) <= CROWDED], f"{seed}/{start}"
            )
            progress.show(numbers[-1] + 1)


def _tell(history: History, lines: Sequence[str], *, of_batch: bool = False) -> None:
    """The least of it that still differs, and how to play it again."""
    if not of_batch:
        history = agreement.least(history, lambda fewer: bool(agreement.disagreement(fewer)))
        lines = agreement.disagreement(history)
    say(f"history {history.seed}:")
    for line in lines:
        say(f"  {line[:MOST_SHOWN]}")
    if len(history.facts) <= CROWDED:
        say(f"  {replayed.written(history).decode()}")


def _replayed(path: Path) -> int:
    lines = agreement.disagreement(replayed.read(path.read_bytes()))
    for line in lines:
        say(line)
    say("they differ" if lines else "both readings agree")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
