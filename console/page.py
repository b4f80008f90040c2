"""The console's HTML: one light page of reports, lag and a search; every value is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any, Final

from console import lag, render, report
from console.lag import Lag
from console.report import Answer

REPORTS: Final = ("offers", "affiliates", "hours")  # what the front page shows
MOST_ROWS: Final = 100  # of a report on the front page; the command and the API give all
REFRESH_S: Final = 15

STYLE: Final = """
body { margin: 0 auto; max-width: 96rem; padding: 1.5rem 1.25rem 4rem; color: #1c2430; background: #fafaf8;
       font: .95rem/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; justify-content: space-between;
         border-bottom: 1px solid #d9dde3; padding-bottom: .8rem; }
header a { color: inherit; text-decoration: none; font-weight: 650; font-size: 1.15rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
p.note { color: #5a6573; margin: .3rem 0; }
p.well::before, p.bad::before { content: "●"; margin-right: .45rem; }
p.well::before { color: #2c8a4b; } p.bad::before { color: #c0392b; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92em; }
th, td { padding: .28rem .6rem .28rem 0; text-align: left; vertical-align: top; white-space: pre;
         border-bottom: 1px solid #e7eaee; }
th { color: #5a6573; font-weight: 550; vertical-align: bottom; white-space: normal; }
td.number, th.number { text-align: right; }
input { font: inherit; padding: .4rem .6rem; width: 24rem; max-width: 60vw; border: 1px solid #b8bec8;
        border-radius: .3rem; }
button { font: inherit; padding: .4rem .9rem; border: 0; border-radius: .3rem; background: #1c5d99;
         color: #fff; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #fff; border: 1px solid #e7eaee;
      border-radius: .3rem; padding: 1rem; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{title}</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header><a href="/">Roundtrip</a>
<form action="/trace"><input name="id" aria-label="ID to trace" value="{asked}"
 placeholder="transaction, conversion, order or click ID"> <button>Trace</button></form></header>
{body}
</body>
</html>
"""


def front(reports: Iterable[Answer], lags: Sequence[Lag]) -> str:
    """The front page: how far the consumers are, then the reports."""
    parts = [_consumers(lags), *(_report(each) for each in reports)]
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_S}">\n'
    return _PAGE.format(title="Roundtrip", refresh=refresh, asked="", body="\n".join(parts))


def story(asked: str, told: str) -> str:
    """The page of a trace."""
    body = f"<h2>Trace of {escape(asked)}</h2>\n<pre>{escape(told)}</pre>"
    return _PAGE.format(title="Trace", refresh="", asked=escape(asked), body=body)


def _consumers(lags: Sequence[Lag]) -> str:
    groups: dict[str, list[Lag]] = {}
    for each in lags:
        groups.setdefault(each.group, []).append(each)
    rows = [
        (group, sum(each.lag for each in found), _oldest(found), lag.summary(found))
        for group, found in groups.items()
    ]
    verdict = "well" if all(each.verdict == "well" for each in lags) else "bad"
    table = _table(("consumer", "records waiting", "seconds behind", "verdict"), rows)
    return f'<h2>Consumers</h2>\n<p class="{verdict}">{escape(lag.summary(lags))}</p>\n{table}'


def _oldest(lags: Iterable[Lag]) -> float:
    return max((each.behind_s or 0.0 for each in lags), default=0.0)


def _report(found: Answer) -> str:
    notes = "".join(f'<p class="note">{escape(line)}</p>\n' for line in report.footer(found))
    return f"<h2>{escape(found.name.capitalize())}</h2>\n{_table(found.columns, found.rows)}\n{notes}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return '<p class="note">Nothing yet.</p>'
    numbers = [all(_is_number(row[n]) for row in rows) for n in range(len(columns))]
    head = "".join(
        _cell("th", name.replace("_", " "), is_number)
        for name, is_number in zip(columns, numbers, strict=True)
    )
    lines = [
        "".join(_cell("td", _text(value), is_number) for value, is_number in zip(row, numbers, strict=True))
        for row in rows
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _text(value: Any) -> str:
    """The value; of money in several currencies each on a line of its own, or half of it is out of sight."""
    parts = [{key: value[key]} for key in sorted(value)] if isinstance(value, Mapping) else [value]
    return "\n".join(render.plain(render.shown(part)) for part in parts)


def _cell(tag: str, text: str, is_number: bool) -> str:  # noqa: FBT001  one of two looks
    kind = ' class="number"' if is_number else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _is_number(value: Any) -> bool:
    return value is None or (
        isinstance(value, int | float | Decimal | Mapping) and not isinstance(value, bool)
    )
