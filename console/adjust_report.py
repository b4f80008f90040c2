"""What a run of `roundtrip adjust` says: each line's verdict, then the sums."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from console import render
from console.adjust_plan import Effect, Kind
from console.adjust_post import Verdict

UNREACHABLE: Final = 3
_DONE: Final[dict[Kind, str]] = {
    "wrong": "not sent",
    "again": "nothing to do",
    "waits": "waiting for their conversion",
    "creates": "created",
    "releases": "released",
    "same": "stated as they are",
    "changes": "changed",
}


class Report:
    """Tells what would change, and what did, a piece of the lines after another. told: how many so far."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self.told = 0
        self._kinds: Counter[Kind] = Counter()
        self._moves: Counter[str] = Counter()
        self._sums: dict[tuple[str, str], Decimal] = {}
        self._outcomes: Counter[str] = Counter()
        self._wrong = self._left = self._open = 0
        self._has_begun = self._has_rows = False  # of the JSON document

    def preview(self, effects: Sequence[Effect]) -> None:
        """These lines are counted; only what is not taken of them is told."""
        self._say(map(_told, (effect for effect in effects if effect.kind == "wrong")))
        self._count(effects, {})

    def tell(self, effects: Sequence[Effect], verdicts: Mapping[int, Verdict] | None = None) -> None:
        """Each of these lines: what it would change, or its verdict where it was sent."""
        given = verdicts or {}
        if self._is_json:
            self._write_rows([_as_row(effect, given.get(effect.number)) for effect in effects])
        else:
            self._say(_told(effect, given.get(effect.number)) for effect in effects)
        self._count(effects, given)

    def end(self, end: str, unsent: int = 0) -> int:
        """The summary, and the exit code. unsent: how many lines were not come to."""
        if self._is_json:
            self._write_rows([])
            sys.stdout.write("],\n")
            sys.stdout.write(f'"summary": {render.as_json(self.summary(unsent)).decode()}}}\n')
        else:
            self._say([*self.summary(unsent), *([end] if end else [])])
        if unsent or self._outcomes["unavailable"]:
            return UNREACHABLE
        return 1 if self._outcomes["refused"] or self._wrong else 0

    def summary(self, unsent: int = 0) -> list[str]:
        """How many of each, which statuses become which, and the money per currency."""
        parts = [f"{self._kinds[kind]} {word}" for kind, word in _DONE.items() if self._kinds[kind]]
        parts += [f"{self._left} not accepted"] if self._left else []
        parts += [f"{unsent} not come to: the collector was gone"] if unsent else []
        lines = [f"{_many(self.told + unsent, 'adjustment')}: {', '.join(parts) or 'none'}"]
        lines += [f"{move}: {_many(count, 'conversion')}" for move, count in sorted(self._moves.items())]
        lines += [
            f"{side}: {total.normalize():+f} {currency}".rstrip()
            for (side, currency), total in sorted(self._sums.items())
        ]
        if self._open:
            lines.append(
                f"what {_many(self._open, 'of them', '')} will owe follows the rules, and is in no sum"
            )
        return lines

    def _count(self, effects: Iterable[Effect], verdicts: Mapping[int, Verdict]) -> None:
        for effect in effects:
            self.told += 1
            self._wrong += effect.kind == "wrong"
            if (verdict := verdicts.get(effect.number)) is not None:
                self._outcomes[verdict.outcome] += 1
                if verdict.outcome != "accepted":
                    self._left += 1
                    continue
            self._kinds[effect.kind] += 1
            self._open += effect.is_open
            if effect.after and effect.before != effect.after:
                self._moves[f"{effect.before} -> {effect.after}"] += 1
            for amount in effect.amounts:
                name = (amount.side, amount.currency)
                self._sums[name] = self._sums.get(name, Decimal(0)) + amount.by

    def _write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """One document in all, whose rows follow one another."""
        if not self._has_begun:
            sys.stdout.write('{"lines": [\n')
        for row in rows:
            sys.stdout.write((",\n" if self._has_rows else "") + render.as_json(row).decode().rstrip())
            self._has_rows = True
        self._has_begun = True

    def _say(self, lines: Iterable[str]) -> None:
        sys.stdout.writelines(f"{render.plain(line)}\n" for line in lines)


def _told(effect: Effect, verdict: Verdict | None = None) -> str:
    """One line's verdict."""
    where = f"line {effect.number}: " if effect.number else ""
    if verdict is None:
        wrong = "not taken: " if effect.kind == "wrong" else ""
        return f"{where}{wrong}{effect.told}"
    if verdict.outcome == "accepted":
        return f"{where}accepted, receipt {verdict.receipt}: {effect.told}"
    return f"{where}{verdict.outcome}: {verdict.sentence}"


def _as_row(effect: Effect, verdict: Verdict | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "line": effect.number,
        "effect": effect.kind,
        "told": effect.told,
        "conversion_id": effect.conversion_id,
        "before": effect.before,
        "after": effect.after,
        "amounts": [
            {"side": each.side, "currency": each.currency, "by": f"{each.by:f}"} for each in effect.amounts
        ],
    }
    if verdict is not None:
        row |= {"outcome": verdict.outcome, "reason": verdict.reason, "sentence": verdict.sentence}
        row["receipt"] = verdict.receipt
    return row


def _many(count: int, what: str, plural: str = "s") -> str:
    return f"{count} {what}{plural if count != 1 else ''}"
