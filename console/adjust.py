"""`roundtrip adjust`: what the network itself states, one conversion or a file; shown before it is done."""

import argparse
import getpass
import secrets
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from console import adjust_file, adjust_rows
from console.adjust_file import Line
from console.adjust_plan import Defaults, Effect, Plan, canonical_id
from console.adjust_post import Collector, Verdict
from console.adjust_report import Report
from console.catalog_log import KafkaLog, history_of
from schemas.adjustments import ACTIONS, MOST, STATUSES, number
from schemas.catalog_versions import History
from service import adjust_token, stack_file
from service.clickhouse import ClickHouse
from service.errors import No, Unreachable, Usage
from service.progress import Progress
from service.settings import Settings

# option -> field, of one adjustment by hand
BY_HAND: Final = {
    "transaction": "transaction_id",
    "conversion": "conversion_id",
    "order": "conversion_unique_id",
    "goal": "goal_id",
    "offer": "offer_id",
    "action": "action",
    "status": "status",
    "payout": "payout",
    "revenue": "revenue",
    "amount": "amount",
    "currency": "currency",
    "datetime": "datetime",
    "key": "key",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """A file, or one adjustment; how far to go."""
    parser.add_argument(
        "file",
        metavar="FILE.csv",
        type=Path,
        nargs="?",
        help="an adjustment a line (docs/operations.md)",
    )
    one = parser.add_argument_group("one adjustment")
    one.add_argument("--transaction", metavar="ID", help="of this transaction")
    one.add_argument("--conversion", metavar="ID", help="of this conversion")
    one.add_argument("--order", metavar="NUMBER", help="of this order number")
    one.add_argument("--goal", metavar="GOAL", help="ID, name or alias (default: the offer's default goal)")
    one.add_argument("--offer", metavar="ID", help="lets a goal's name and a local --datetime be read")
    one.add_argument("--status", choices=STATUSES)
    one.add_argument("--payout", metavar="SUM", help="owed to the affiliate, in the goal's currency")
    one.add_argument("--revenue", metavar="SUM", help="owed by the advertiser, in the goal's currency")
    one.add_argument("--amount", metavar="SUM", help="the order's total")
    one.add_argument("--currency", metavar="CODE", help="of --amount")
    one.add_argument(
        "--action",
        choices=ACTIONS,
        help="state (default), create one that nobody reported, release it",
    )
    one.add_argument("--datetime", metavar="TIME", help="with --action create: when it happened")
    one.add_argument("--test", action="store_true", help="of a test conversion")
    one.add_argument("--key", metavar="KEY", help="a name for it: the same key twice changes nothing")
    parser.add_argument("--by", metavar="NAME", help="who states it (default: USER@HOST)")
    parser.add_argument("--why", metavar="TEXT", default="", help="why, where a line does not say")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and send nothing")
    parser.add_argument("--apply", action="store_true", help="do not ask on a terminal")
    parser.add_argument("--again", action="store_true", help="state anew what was applied before")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    stack_file.add_dir_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0: every line was accepted, or would be; 1: some were not; 3: some could not be sent."""
    lines = _lines(args)
    settings = stack_file.settings_for(args.dir)
    defaults = Defaults(
        by=args.by or f"{getpass.getuser()}@{socket.gethostname()}",
        why=args.why,
        again=f":{secrets.token_hex(8)}" if args.again else "",
    )
    effects = forecast(lines, settings, defaults)
    report = Report(effects, is_json=args.format == "json")
    to_send = [effect for effect in effects if effect.sent]
    if args.dry_run or not to_send:
        return report.dry(is_dry_run=args.dry_run)
    if not args.apply and not _agreed(report):
        raise No("nothing was sent")
    return report.done(sent(to_send, settings))


def _lines(args: argparse.Namespace) -> list[Line]:
    texts = {field: str(value) for option, field in BY_HAND.items() if (value := getattr(args, option))}
    if args.file:
        if texts or args.test:
            raise Usage("a file says everything itself: leave out the options for one adjustment")
        return adjust_file.read(args.file)
    if not texts:
        raise Usage(
            "name a file, or one conversion: --transaction ID --status rejected (roundtrip adjust --help)"
        )
    # By hand the same words twice are meant twice; the key lets what was unavailable be sent again.
    texts.setdefault("key", f"hand:{secrets.token_hex(8)}")
    return [Line(number=0, texts=texts | ({"test": "1"} if args.test else {}))]


def forecast(lines: Sequence[Line], settings: Settings, defaults: Defaults) -> list[Effect]:
    """What each line would change, as ClickHouse shows the conversions now."""
    named = [line.texts for line in lines if not line.problem]
    clickhouse = ClickHouse(settings)
    try:
        known = adjust_rows.known(
            clickhouse,
            [canonical_id(texts["transaction_id"]) for texts in named if "transaction_id" in texts],
            [texts["conversion_unique_id"] for texts in named if _is_by_order(texts)],
            [texts["conversion_id"].lower() for texts in named if "conversion_id" in texts],
        )
    finally:
        clickhouse.close()
    return Plan(known, _history(named, settings), defaults).effects(lines)


def _is_by_order(texts: dict[str, str]) -> bool:
    return "conversion_unique_id" in texts and not {"transaction_id", "conversion_id"} & texts.keys()


def _history(named: Iterable[dict[str, str]], settings: Settings) -> History:
    """The catalog's, where a line needs it: for a goal's name, or a price of a new amount."""
    needed = any("amount" in each or number(each.get("goal_id", "0")) is None for each in named)
    return history_of(KafkaLog(settings).read()) if needed else History()


def _agreed(report: Report) -> bool:
    """Whether to go on: a person is asked, a program has asked for it."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return True
    report.preview()
    sys.stderr.write("apply? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def sent(effects: Sequence[Effect], settings: Settings) -> dict[int, Verdict]:
    """The collector's verdicts, by line; a line that it never got to is told so."""
    collector = Collector(settings.collector, adjust_token.read(settings))
    verdicts: dict[int, Verdict] = {}
    with Progress("adjusting", len(effects)) as progress:
        for at in range(0, len(effects), MOST):
            part = effects[at : at + MOST]
            try:
                answers = collector.state([effect.sent for effect in part])
            except Unreachable as error:
                if not verdicts:
                    raise
                sys.stderr.write(f"roundtrip adjust: {error}\n")
                break
            verdicts |= {effect.number: answer for effect, answer in zip(part, answers, strict=True)}
            progress.advance(len(part))
    missing = Verdict(outcome="unavailable", sentence="not sent: the collector was gone")
    return {effect.number: verdicts.get(effect.number, missing) for effect in effects}
