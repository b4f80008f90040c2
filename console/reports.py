"""Reports: which there are, and the SQL of each; every value that a person gives is the server's parameter.

All of it is asked of the views, which are exact at any moment. Times are cut to the asked zone's wall clock
by the zone's own offsets (console.moments): half hours and clocks set back give what the raw facts give.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from console.moments import Offsets, Span
from schemas.reasons import Reason
from schemas.topics import CLICK_WINDOW_DAYS, LATENESS_DAYS
from service.errors import Usage

Kind = Literal["number", "text", "time"]


class Dimension(msgspec.Struct, frozen=True):
    """Something that reports can be taken apart by.

    column: in the views; of a time, the wall clock's unit. also: other words for it.
    listed_only: only conversions have it, so it filters lists but takes apart no clicks.
    """

    name: str
    column: str
    kind: Kind = "text"
    also: tuple[str, ...] = ()
    listed_only: bool = False


_DIMENSIONS = (
    Dimension("hour", "hour", "time"),
    Dimension("day", "day", "time"),
    Dimension("month", "month", "time"),
    Dimension("offer_id", "offer_id", "number", ("offer",)),
    Dimension("affiliate_id", "affiliate_id", "number", ("affiliate", "aff_id")),
    Dimension("advertiser_id", "advertiser_id", "number", ("advertiser",)),
    Dimension("source", "source"),
    *(Dimension(f"aff_sub{n}", f"aff_sub{n}", also=(f"sub{n or 1}",)) for n in ("", 2, 3, 4, 5)),
    Dimension("aff_click_id", "aff_click_id", also=("click_id",)),
    Dimension("url_id", "url_id", "number", ("landing_page",)),
    Dimension("creative_id", "creative_id", also=("creative",)),
    Dimension("country_code", "country_code", also=("country",)),
    Dimension("device_type", "device_type", also=("device",)),
    Dimension("device_os", "device_os", also=("os",)),
    Dimension("goal_id", "goal_id", "number", ("goal",), listed_only=True),
    Dimension("status", "status", listed_only=True),
    Dimension("reason", "reason", "number", listed_only=True),
    Dimension("transaction_id", "transaction_id", also=("tid",), listed_only=True),
)
_BY_WORD = {word: each for each in _DIMENSIONS for word in (each.name, *each.also)}


class Report(msgspec.Struct, frozen=True):
    """One report.

    by: how it is taken apart unless asked otherwise; empty for a list, whose rows are single things.
    source: for a list, its FROM; moment: the column by which it is cut and ordered.
    columns: for a list, what it shows.
    """

    name: str
    about: str
    by: tuple[str, ...] = ()
    source: str = ""
    moment: str = ""
    columns: tuple[str, ...] = ()


_CLICKS_WITH_CONVERSIONS = """(
    SELECT c.received_at AS clicked_at, c.aff_click_id AS aff_click_id, c.transaction_id AS transaction_id,
        c.offer_id AS offer_id, c.affiliate_id AS affiliate_id, c.advertiser_id AS advertiser_id,
        c.source AS source, c.aff_sub AS aff_sub, c.aff_sub2 AS aff_sub2, c.aff_sub3 AS aff_sub3,
        c.aff_sub4 AS aff_sub4, c.aff_sub5 AS aff_sub5, c.url_id AS url_id, c.creative_id AS creative_id,
        c.country_code AS country_code,
        c.device_type AS device_type, c.device_os AS device_os, c.is_bot AS is_bot, v.goal_id AS goal_id,
        v.conversion_id AS conversion_id, v.status AS status, v.reason AS reason,
        v.occurred_at AS converted_at, v.payout AS payout, v.payout_currency AS payout_currency
    FROM clicks AS c
    LEFT JOIN (SELECT * FROM conversions WHERE NOT test) AS v ON v.click_receipt_id = c.receipt_id
    WHERE c.received_at >= {since:DateTime64(3, 'UTC')} AND c.received_at < {until:DateTime64(3, 'UTC')}
    SETTINGS join_use_nulls = 1
)"""

# A click is received before its sale, and kept for so long: a sale that is older finds none any more.
_CREDITED_DAYS = CLICK_WINDOW_DAYS + LATENESS_DAYS
_AWAITING = f"""(
    SELECT *, received_at + toIntervalDay({_CREDITED_DAYS}) AS credited_until,
        credited_until >= now64(3, 'UTC') AS may_be_credited
    FROM conversions WHERE reason = {int(Reason.AWAITING_CLICK)} AND NOT test
)"""  # noqa: S608  numbers of ours

REPORTS = {
    report.name: report
    for report in (
        Report("offers", "clicks, conversions and money by offer", ("offer_id",)),
        Report("affiliates", "the same by affiliate", ("affiliate_id",)),
        Report("hours", "the same by hour, offer and affiliate", ("hour", "offer_id", "affiliate_id")),
        Report("days", "the same by day", ("day",)),
        Report(
            "conversions",
            "each conversion as it stands, tests too, by when it occurred",
            source="conversions",
            moment="occurred_at",
            columns=(
                "occurred_at",
                "conversion_id",
                "transaction_id",
                "offer_id",
                "goal_id",
                "affiliate_id",
                "aff_click_id",
                "conversion_unique_id",
                "status",
                "reason",
                "sale_amount",
                "sale_currency",
                "payout",
                "payout_currency",
                "revenue",
                "revenue_currency",
                "test",
            ),
        ),
        Report(
            "awaiting",
            "each conversion whose click is not known: which one may still come for, and which none",
            source=_AWAITING,
            moment="received_at",
            columns=(
                "received_at",
                "conversion_id",
                "transaction_id",
                "offer_id",
                "goal_id",
                "conversion_unique_id",
                "sale_amount",
                "sale_currency",
                "credited_until",
                "may_be_credited",
            ),
        ),
        Report(
            "clicks",
            "each click with what came of it: for the affiliate's own list, by its own click IDs",
            source=_CLICKS_WITH_CONVERSIONS,
            moment="clicked_at",
            columns=(
                "clicked_at",
                "aff_click_id",
                "transaction_id",
                "offer_id",
                "affiliate_id",
                "is_bot",
                "conversion_id",
                "goal_id",
                "converted_at",
                "status",
                "reason",
                "payout",
                "payout_currency",
            ),
        ),
    )
}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a report, checked: dimensions that exist, values of their kind."""

    report: Report
    by: tuple[Dimension, ...]
    where: tuple[tuple[Dimension, tuple[str | int, ...]], ...]
    span: Span
    offsets: Offsets
    limit: int


class Query(msgspec.Struct, frozen=True):
    """SQL with the server's parameters."""

    sql: str
    parameters: dict[str, Any]


def named(name: str) -> Report:
    """The report of that name; Usage where there is none."""
    if name not in REPORTS:
        raise Usage(f"no report {name!r}; there are: {', '.join(REPORTS)}")
    return REPORTS[name]


def taken_apart(report: Report, words: Sequence[str]) -> tuple[Dimension, ...]:
    """The dimensions of `--by`, or the report's own."""
    if words and not report.by:
        raise Usage(f"--by: {report.name} is a list; taken apart are: {_names(_reports(lists=False))}")
    found = tuple(dict.fromkeys(_dimension("--by", word) for word in words or report.by))
    if wrong := [each.name for each in found if each.listed_only]:
        raise Usage(f"--by {wrong[0]}: only lists have it; there are: {_names(_apart())}")
    return found


def narrowed(
    report: Report, pairs: Sequence[tuple[str, str]]
) -> tuple[tuple[Dimension, tuple[str | int, ...]], ...]:
    """The filters of `--where`: several values of one dimension mean any of them."""
    found: dict[Dimension, list[str | int]] = {}
    for word, value in pairs:
        dimension = _dimension("--where", word)
        if dimension.kind == "time":
            raise Usage(f"--where {word}: times are chosen by --from and --to")
        if dimension.listed_only and report.by:
            raise Usage(f"--where {word}: only lists have it: {_names(_reports(lists=True))}")
        found.setdefault(dimension, []).append(_value(dimension, value))
    return tuple((dimension, tuple(values)) for dimension, values in found.items())


def _dimension(option: str, word: str) -> Dimension:
    if word not in _BY_WORD:
        raise Usage(f"{option} {word}: unknown; there are: {_names(each.name for each in _DIMENSIONS)}")
    return _BY_WORD[word]


def _reports(*, lists: bool) -> list[str]:
    return [each.name for each in REPORTS.values() if bool(each.by) is not lists]


def _apart() -> list[str]:
    return [each.name for each in _DIMENSIONS if not each.listed_only]


def _names(names: Any) -> str:
    return ", ".join(names)


def _value(dimension: Dimension, value: str) -> str | int:
    if dimension.kind == "text":
        return value
    if not value.isdecimal() or not value.isascii() or len(value) > 9:  # noqa: PLR2004  IDs are below 2^31
        raise Usage(f"--where {dimension.name}={value}: not a whole number")
    return int(value)


def query(question: Question) -> Query:
    """The report's rows, at most limit + 1 of them, so that a cut can be told."""
    parameters: dict[str, Any] = {
        "since": _utc(question.span.start),
        "until": _utc(question.span.end),
        "zone_first": question.offsets.first_s,
        "zone_moments": question.offsets.moments,
        "zone_changes": question.offsets.changes_s,
        "rows": question.limit + 1,
    }
    conditions = []
    for number, (dimension, values) in enumerate(question.where):
        kind = "String" if dimension.kind == "text" else "UInt32"
        parameters[f"where{number}"] = list(values)
        conditions.append(f" AND {dimension.column} IN {{where{number}:Array({kind})}}")
    narrow = "".join(conditions)
    sql = _measured(question.by, narrow) if question.report.by else _listed(question.report, narrow)
    return Query(sql, parameters)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}"


def _listed(report: Report, narrow: str) -> str:
    return f"""
SELECT {", ".join(report.columns)}
FROM {report.source}
WHERE {_between(report.moment)}{narrow}
ORDER BY {report.moment}, {report.columns[1]}, {report.columns[2]}, conversion_id
LIMIT {{rows:UInt64}}"""  # noqa: S608  names of ours; values are parameters


def _between(moment: str) -> str:
    return f"{moment} >= {{since:DateTime64(3, 'UTC')}} AND {moment} < {{until:DateTime64(3, 'UTC')}}"


_MONEY = "Map(String, Decimal(38, 6))"
_SUMS = (
    "clicks",
    "unique_clicks",
    "bot_clicks",
    "impressions",
    "conversions",
    "approved",
    "pending",
    "rejected",
)
_ZEROS = dict.fromkeys(_SUMS, "toUInt64(0)") | dict.fromkeys(
    ("payout", "revenue"), f"CAST(map(), '{_MONEY}')"
)
_COUNTS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "clicks": (
        "received_at",
        "1",
        {"clicks": "count()", "unique_clicks": "countIf(is_unique)", "bot_clicks": "countIf(is_bot)"},
    ),
    "impressions": ("received_at", "1", {"impressions": "count()"}),
    "conversions": (
        "occurred_at",
        "NOT test",
        {
            "conversions": "countIf(status IN ('approved', 'pending') AND reason != 200)",
            "approved": "countIf(status = 'approved')",
            "pending": "countIf(status = 'pending' AND reason != 200)",
            "rejected": "countIf(status = 'rejected')",
            "payout": "sumMapIf(map(payout_currency, toDecimal128(payout, 6)), status = 'approved')",
            "revenue": "sumMapIf(map(revenue_currency, toDecimal128(revenue, 6)), status = 'approved')",
        },
    ),
}


def _measured(by: Sequence[Dimension], narrow: str) -> str:
    """Counts and money of each group, from each of the three views what it knows."""
    keys = _keys(by)
    parts = "\n    UNION ALL\n".join(_part(view, by, narrow) for view in _COUNTS)
    sums = [f"sum({name}) AS {name}" for name in _SUMS]
    money = [f"sumMap({name}) AS {name}" for name in ("payout", "revenue")]
    return f"""
SELECT {", ".join([*keys, *sums, *money])}
FROM
(
{parts}
)
GROUP BY {", ".join(keys)}
ORDER BY {", ".join(keys)}
LIMIT {{rows:UInt64}}"""  # noqa: S608  names of ours; values are parameters


def _part(view: str, by: Sequence[Dimension], narrow: str) -> str:
    moment, condition, counts = _COUNTS[view]
    offset = _OFFSET.format(moment=moment)
    expressions = [*(_key(each, moment, offset) for each in by), *([offset] if has_hours(by) else [])]
    keys = [f"{expression} AS {name}" for expression, name in zip(expressions, _keys(by), strict=True)]
    measures = [f"{counts.get(name, zero)} AS {name}" for name, zero in _ZEROS.items()]
    return f"""    SELECT {", ".join([*keys, *measures])}
    FROM {view}
    WHERE {_between(moment)} AND {condition}{narrow}
    GROUP BY {", ".join(_keys(by))}"""  # noqa: S608  names of ours; values are parameters


def _keys(by: Sequence[Dimension]) -> list[str]:
    """A key for each dimension; after them, where there are hours, the zone's offset."""
    return [*(f"k{number}" for number in range(len(by))), *(["zone_offset"] if has_hours(by) else [])]


def has_hours(by: Sequence[Dimension]) -> bool:
    """Whether hours are told apart, which a clock set back shows twice."""
    return any(each.column == "hour" for each in by)


# Seconds that the zone is ahead of UTC at a row's moment.
_SECOND = "intDiv(toUnixTimestamp64Milli({moment}), 1000)"
_OFFSET = (
    "({{zone_first:Int32}} + arraySum(arrayMap((m, c) -> if("
    + _SECOND
    + " >= m, c, 0), {{zone_moments:Array(Int64)}}, {{zone_changes:Array(Int32)}})))"
)


def _key(dimension: Dimension, moment: str, offset: str) -> str:
    """A group's key; of a time the wall clock's seconds, as if it stood in UTC."""
    if dimension.kind != "time":
        return dimension.column
    wall = f"({_SECOND.format(moment=moment)} + {offset})"
    if dimension.column == "month":
        return f"toInt64(toUnixTimestamp(toDateTime(toStartOfMonth(toDateTime({wall}, 'UTC')), 'UTC')))"
    unit_s = 3600 if dimension.column == "hour" else 86_400
    return f"toInt64(intDiv({wall}, {unit_s}) * {unit_s})"
