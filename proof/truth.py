"""The truth file: what must come out, one JSON object a line; beside it FILE.sent.json: what was accepted."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from proof.expected import Expected
from service.errors import Usage


class Truth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conversion that must stand in ClickHouse, exactly so.

    observations_at_most: more than `observations` where answers were lost, and so the knowledge whether
    the request had been accepted; it was sent again, and may count twice as an observation, never as money.
    """

    transaction_id: str
    goal_id: int
    conversion_unique_id: str
    status: str
    reason: int
    affiliate_id: int
    payout: Decimal
    revenue: Decimal
    payout_currency: str
    revenue_currency: str
    observations: int
    kinds: tuple[str, ...]
    test: bool = False
    observations_at_most: int = 0


class Count(msgspec.Struct, kw_only=True):
    """Requests of one kind that were accepted; `lost` of them had no answer, and may or may not have been."""

    accepted: int = 0
    lost: int = 0

    def holds(self, stored: int) -> bool:
        """Whether that many stored facts agree."""
        return self.accepted <= stored <= self.accepted + self.lost


class Sent(msgspec.Struct, kw_only=True):
    """What a simulation sent, by the answers that it got.

    tag: stands in aff_sub5 and adv_sub5 of everything that was sent.
    uncertain: transactions left out of the truth: an answer was lost where two truths are possible.
    """

    tag: str
    seed: int
    facts: dict[str, Count] = msgspec.field(
        default_factory=lambda: {
            kind: Count() for kind in ("click", "impression", "pixel", "iframe", "postback")
        }
    )
    refused: int = 0
    uncertain: list[str] = msgspec.field(default_factory=list)


def truth(transaction_id: str, expected: Expected, lost: int) -> Truth:
    """The line of an expected conversion; `lost` answers may each have been an observation more."""
    return Truth(
        transaction_id=transaction_id,
        goal_id=expected.goal_id,
        conversion_unique_id=expected.number,
        status=expected.status,
        reason=expected.reason,
        affiliate_id=expected.affiliate_id,
        payout=expected.payout,
        revenue=expected.revenue,
        payout_currency=expected.payout_currency,
        revenue_currency=expected.revenue_currency,
        observations=expected.observations,
        kinds=expected.kinds,
        test=expected.test,
        observations_at_most=expected.observations + lost if lost else 0,
    )


class Writer:
    """Writes a truth file line by line; for a `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._encode = msgspec.json.Encoder().encode
        self.lines = 0

    def write(self, lines: Iterable[Truth]) -> None:
        """The lines are in the file."""
        for line in lines:
            self._file.write(self._encode(line) + b"\n")
            self.lines += 1

    def close(self, sent: Sent) -> None:
        """The file is complete, and what was sent stands beside it."""
        self._file.close()
        sent_path(self._path).write_bytes(msgspec.json.format(msgspec.json.encode(sent)) + b"\n")


def sent_path(path: Path) -> Path:
    """Where the counts of a truth file are."""
    return path.with_name(f"{path.name}.sent.json")


def read(path: Path) -> list[Truth]:
    """Every line; Usage names the first that is none."""
    decoder = msgspec.json.Decoder(Truth)
    found = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    found.append(decoder.decode(line))
                except msgspec.MsgspecError as error:
                    raise Usage(f"{path}:{number}: no line of a truth file: {error}") from error
    except OSError as error:
        raise Usage(
            f"--truth {path}: {error.strerror or error}; roundtrip simulate --truth writes one"
        ) from error
    return found


def read_sent(path: Path) -> Sent | None:
    """What was sent, by the file beside; None where there is none."""
    try:
        return msgspec.json.decode(sent_path(path).read_bytes(), type=Sent)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Usage(f"{sent_path(path)} cannot be read: {error}") from error


COMPARED = (
    *("status", "reason", "affiliate_id", "payout", "revenue", "payout_currency", "revenue_currency"),
    *("observations", "kinds", "test"),
)


def differences(truths: Iterable[Truth], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each way in which the rows differ from the truth, a line each; none where they are equal.

    rows: conversions of the same transactions, with the names of Truth. Conversions without order number of
    one transaction and goal are matched by their content, since nothing else names them.
    """
    found: dict[tuple[str, int, str, bool], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(
            _name(row["transaction_id"], row["goal_id"], row["conversion_unique_id"], row["test"]), []
        ).append(row)
    for line in truths:
        name = _name(line.transaction_id, line.goal_id, line.conversion_unique_id, line.test)
        candidates = found.get(name)
        if not candidates:
            yield f"missing: {_told(*name)}, {line.status}, reason {line.reason}"
            continue
        best = min(candidates, key=lambda row: len(_unlike(line, row)))
        candidates.remove(best)
        for field in _unlike(line, best):
            yield f"differs: {_told(*name)}: {field} {_shown(best[field])}, expected {_wanted(line, field)}"
    for name, rest in found.items():
        for row in rest:
            yield f"unexpected: {_told(*name)}, {row['status']}, reason {row['reason']}"


def _name(transaction_id: str, goal_id: int, number: str, test: Any) -> tuple[str, int, str, bool]:
    return transaction_id, goal_id, number, bool(test)


def _told(transaction_id: str, goal_id: int, number: str, test: bool) -> str:  # noqa: FBT001  a name's last part
    return (
        f"{transaction_id} goal {goal_id}"
        + (f" order {number}" if number else "")
        + (" (test)" if test else "")
    )


def _unlike(line: Truth, row: Mapping[str, Any]) -> list[str]:
    """Names of the fields that differ."""
    unlike = [
        name
        for name in COMPARED
        if name != "observations" and _comparable(getattr(line, name)) != _comparable(row[name])
    ]
    if not line.observations <= row["observations"] <= max(line.observations, line.observations_at_most):
        unlike.append("observations")
    return unlike


def _comparable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Any) -> str:
    return "+".join(value) if isinstance(value, list | tuple) else str(value)


def _wanted(line: Truth, field: str) -> str:
    if field == "observations" and line.observations_at_most > line.observations:
        return f"{line.observations} to {line.observations_at_most}"
    return _shown(getattr(line, field))
