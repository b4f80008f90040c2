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
    """Tells what would change, and what did."""

    def __init__(self, effects: Sequence[Effect], *, is_json: bool) -> None:
        self._effects = effects
        self._is_json = is_json

    def preview(self) -> None:
        """Lines that are not taken, and the summary."""
        self._say([_told(effect) for effect in self._effects if effect.kind == "wrong"] + self.summary())

    def dry(self, *, is_dry_run: bool) -> int:
        """What would change; nothing was sent."""
        end = "nothing was sent" if is_dry_run else "nothing is to be sent"
        if self._is_json:
            self._json({})
        else:
            self._say([*map(_told, self._effects), *self.summary(), end])
        return 1 if any(effect.kind == "wrong" for effect in self._effects) else 0

    def done(self, verdicts: Mapping[int, Verdict]) -> int:
        """Each line's verdict, and what changes."""
        if self._is_json:
            self._json(verdicts)
        else:
            self._say(
                [*(_told(each, verdicts.get(each.number)) for each in self._effects), *self.summary(verdicts)]
            )
        outcomes = {verdict.outcome for verdict in verdicts.values()}
        if "unavailable" in outcomes:
            return UNREACHABLE
        return 1 if "refused" in outcomes or any(each.kind == "wrong" for each in self._effects) else 0

    def summary(self, verdicts: Mapping[int, Verdict] | None = None) -> list[str]:
        """How many of each, which statuses become which, and the money per currency."""
        counted = [each for each in self._effects if verdicts is None or _is_accepted(each, verdicts)]
        left = len(self._effects) - len(counted)
        kinds = Counter(each.kind for each in counted)
        parts = [f"{kinds[kind]} {word}" for kind, word in _DONE.items() if kinds[kind]]
        parts += [f"{left} not accepted"] if left else []
        moves = Counter(
            f"{each.before} -> {each.after}" for each in counted if each.after and each.before != each.after
        )
        lines = [f"{_many(len(self._effects), 'adjustment')}: {', '.join(parts) or 'none'}"]
        lines += [f"{move}: {_many(count, 'conversion')}" for move, count in sorted(moves.items())]
        lines += [
            f"{side}: {total.normalize():+f} {currency}".rstrip()
            for (side, currency), total in _sums(counted)
        ]
        if is_open := sum(each.is_open for each in counted):
            lines.append(f"what {_many(is_open, 'of them', '')} will owe follows the rules, and is in no sum")
        return lines

    def _json(self, verdicts: Mapping[int, Verdict]) -> None:
        told = [_as_row(effect, verdicts.get(effect.number)) for effect in self._effects]
        sys.stdout.write(render.as_json({"lines": told, "summary": self.summary(verdicts or None)}).decode())

    def _say(self, lines: Iterable[str]) -> None:
        sys.stdout.writelines(f"{render.plain(line)}\n" for line in lines)


def _is_accepted(effect: Effect, verdicts: Mapping[int, Verdict]) -> bool:
    verdict = verdicts.get(effect.number)
    return verdict is None or verdict.outcome == "accepted"


def _sums(effects: Iterable[Effect]) -> list[tuple[tuple[str, str], Decimal]]:
    sums: dict[tuple[str, str], Decimal] = {}
    for effect in effects:
        for amount in effect.amounts:
            name = (amount.side, amount.currency)
            sums[name] = sums.get(name, Decimal(0)) + amount.by
    return sorted(sums.items())


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
