"""Render: rows as an aligned table, CSV or JSON; nothing that a stranger sent can steer a terminal."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

_WIDEST = 60  # characters of a cell in a table


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns, numbers to the right; a cell that is too long ends in an ellipsis."""
    cells = [list(columns), *([_cut(plain(shown(value))) for value in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    right = [bool(rows) and all(_is_number(row[n]) for row in rows) for n in range(len(columns))]
    lines = [
        "  ".join(_padded(cell, widths[n], to_right=right[n]) for n, cell in enumerate(row)).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def _padded(cell: str, width: int, *, to_right: bool) -> str:
    return cell.rjust(width) if to_right else cell.ljust(width)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | Decimal | Mapping) and not isinstance(value, bool))


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """RFC 4180 with plain line ends; every value whole."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([shown(value) for value in row] for row in rows)
    return out.getvalue()


def as_json(value: Any) -> bytes:
    """One JSON document; money as decimal text, times as RFC 3339."""
    return msgspec.json.format(msgspec.json.encode(jsonable(value)), indent=2) + b"\n"


def jsonable(value: Any) -> Any:
    """The value in types that JSON has."""
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    return value


def shown(value: Any) -> str:
    """A value for people: exact money, UTC times, nothing for nothing."""
    for kind, words in _SHOWN:
        if isinstance(value, kind):
            return words(value)
    return str(value)


def exact(amount: Decimal) -> str:
    """The amount without zeros that say nothing, but with two places at least: 1.50, 0.004, 12.00."""
    whole, _, places = f"{amount:f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _utc(at: datetime) -> str:
    """`2026-11-23T02:55:00.123Z`; ClickHouse's times without a zone are UTC."""
    utc = at.astimezone(UTC) if at.tzinfo else at
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_SHOWN: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (type(None), lambda _: ""),
    (bool, lambda value: "yes" if value else "no"),
    (Decimal, exact),
    (datetime, _utc),
    (Mapping, lambda value: ", ".join(f"{shown(each)} {key}".strip() for key, each in sorted(value.items()))),
    ((list, tuple), lambda value: ", ".join(map(shown, value))),
)


def plain(text: str) -> str:
    """The text without line breaks and control characters, each shown as its escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
