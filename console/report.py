"""`roundtrip report`: clicks, conversions and money, exact, each report saying how fresh it is."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from console import freshness, moments, render, reports
from console.freshness import Freshness
from console.reports import REPORTS, Dimension, Question
from schemas.reasons import Reason
from service import stack_file
from service.clickhouse import ClickHouse
from service.errors import Refused, Usage
from service.moments import text, zone
from service.settings import Settings

MOST_ROWS = (
    10_000  # unless asked for more: a person reads less, and a list of a year need not fill the memory
)
QUERY_S = 60  # ClickHouse gives a report up after so long
_SIXTH = Decimal("0.000001")
_MEASURES = ("clicks", "unique_clicks", "impressions", "conversions", "approved", "pending", "rejected")


class Answer(msgspec.Struct, frozen=True):
    """A report: its columns and rows of Python values, how fresh, and whether more rows were there."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    span: moments.Span
    tz: str
    fresh: Freshness
    cut: bool


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a person writes for a report, as words."""

    name: str
    start: str = ""
    end: str = ""
    by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    tz: str = "UTC"
    limit: int = MOST_ROWS


def answer(
    asked: Asked,
    settings: Settings,
    clickhouse: ClickHouse,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Answer:
    """The report; Usage where it is asked wrongly."""
    question = checked(asked, clock())
    fresh = freshness.measure(settings, clickhouse, question.span, clock)
    asking = reports.query(question)
    try:
        rows = clickhouse.query(asking.sql, asking.parameters, {"max_execution_time": QUERY_S}).rows
    except Refused as error:
        raise Usage(f"the report cannot be made: {error}") from error
    cut = len(rows) > question.limit
    columns, shown = presented(question, rows[: question.limit])
    return Answer(asked.name, columns, shown, question.span, asked.tz, fresh, cut)


def checked(asked: Asked, now: datetime) -> Question:
    """The question that the words mean."""
    report, in_zone = reports.named(asked.name), zone(asked.tz)
    span = moments.span(asked.start, asked.end, in_zone, now)
    return Question(
        report=report,
        by=reports.taken_apart(report, asked.by),
        where=reports.narrowed(report, [_pair(each) for each in asked.where]),
        span=span,
        offsets=moments.offsets(span, in_zone),
        limit=asked.limit,
    )


def _pair(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals:
        raise Usage(f"--where {written}: write NAME=VALUE, like offer_id=7")
    return name.strip(), value


def presented(
    question: Question, rows: Sequence[Sequence[Any]]
) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """The columns and rows as people get them."""
    if not question.report.by:
        return question.report.columns, tuple(_listed(question.report.columns, row) for row in rows)
    columns = (*(each.name for each in question.by), *_MEASURES, "cr", "epc", "payout", "revenue")
    return columns, tuple(_measured(question.by, row) for row in rows)


def _listed(columns: Sequence[str], row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(
        _sentence(value) if name == "reason" else value for name, value in zip(columns, row, strict=True)
    )


def _sentence(reason: int | None) -> str:
    """`12 duplicate conversion: …`; nothing for no reason."""
    if not reason:
        return ""
    known = reason in Reason.__members__.values()
    return f"{reason} {Reason(reason).sentence}" if known else str(reason)


def _measured(by: Sequence[Dimension], row: Sequence[Any]) -> tuple[Any, ...]:
    """Keys, counts, CR (conversions / clicks without bots), EPC (approved payout / the same), money."""
    hours = reports.has_hours(by)
    offset_s = row[len(by)] if hours else 0
    keys = [
        moments.wall_text(value, offset_s, each.column) if each.kind == "time" else value
        for each, value in zip(by, row, strict=False)
    ]
    clicks, unique, bots, impressions, conversions, approved, pending, rejected, payout, revenue = row[
        len(by) + hours :
    ]
    people = clicks - bots
    epc = {currency: _ratio(amount, people) for currency, amount in payout.items()} if people else None
    cr = _ratio(Decimal(conversions), people) if people else None
    return (
        *keys,
        clicks,
        unique,
        impressions,
        conversions,
        approved,
        pending,
        rejected,
        cr,
        epc,
        payout,
        revenue,
    )


def _ratio(amount: Decimal, clicks: int) -> Decimal:
    return (amount / clicks).quantize(_SIXTH, ROUND_HALF_EVEN)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The report's name and how it is cut."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="which report; without it, what there are")
    parser.add_argument(
        "--from",
        dest="start",
        default="",
        metavar="WHEN",
        help="a day or a time; a day from its first moment",
    )
    parser.add_argument(
        "--to",
        dest="end",
        default="",
        metavar="WHEN",
        help="a day or a time; a day to its last moment (default: now)",
    )
    parser.add_argument("--by", default="", metavar="A,B", help="what the rows are taken apart by")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only these; the same name again: or that",
    )
    parser.add_argument(
        "--tz",
        default="UTC",
        metavar="ZONE",
        help="time zone of days and hours, like Europe/Berlin (default: UTC)",
    )
    parser.add_argument(
        "--limit", type=int, default=MOST_ROWS, metavar="N", help=f"most rows (default: {MOST_ROWS})"
    )
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    stack_file.add_dir_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0: the report is on standard output; how fresh it is too, for CSV on standard error."""
    if args.name is None:
        sys.stdout.write(listing())
        return 0
    asked = Asked(
        name=args.name,
        start=args.start,
        end=args.end,
        by=tuple(word for word in args.by.split(",") if word),
        where=tuple(args.where),
        tz=args.tz,
        limit=max(args.limit, 1),
    )
    checked(asked, datetime.now(UTC))  # wrong words are told before anything is connected
    settings = stack_file.settings_for(args.dir)
    clickhouse = ClickHouse(settings)
    try:
        _write(answer(asked, settings, clickhouse), args.format)
    finally:
        clickhouse.close()
    return 0


def listing() -> str:
    """Which reports there are."""
    rows = [(each.name, ", ".join(each.by) or "a list", each.about) for each in REPORTS.values()]
    return (
        render.table(("report", "by", "what it shows"), rows)
        + "\nroundtrip report NAME --help tells how to cut them.\n"
    )


def _write(found: Answer, form: str) -> None:
    if form == "json":
        sys.stdout.write(render.as_json(document(found)).decode())
        return
    (render_rows, notes) = (render.as_csv, sys.stderr) if form == "csv" else (render.table, sys.stdout)
    sys.stdout.write(render_rows(found.columns, found.rows))
    sys.stdout.flush()
    notes.write("".join(f"{line}\n" for line in footer(found)))


def footer(found: Answer) -> list[str]:
    """What people must know beside the rows."""
    in_zone = zone(found.tz)
    start, end = (text(each, in_zone) for each in found.span)
    lines = [f"{start} to {end}; {found.fresh.line(in_zone)}"]
    if found.cut:
        lines.append(f"only the first {len(found.rows)} rows; --limit N gives more")
    return lines


def document(found: Answer) -> Mapping[str, Any]:
    """The report as JSON has it."""
    return {
        "report": found.name,
        "from": found.span.start,
        "to": found.span.end,
        "tz": found.tz,
        "complete_to": found.fresh.complete_to,
        "waiting": found.fresh.waiting,
        "quarantined": found.fresh.quarantined,
        "problem": found.fresh.problem,
        "cut": found.cut,
        "rows": [dict(zip(found.columns, row, strict=True)) for row in found.rows],
    }
