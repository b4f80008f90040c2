"""`roundtrip adjust`: what the network itself states, one conversion or a file; shown before it is done."""

import argparse
import getpass
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from console import adjust_file
from console.adjust_file import Line, Lines
from console.adjust_forecast import Forecaster
from console.adjust_plan import Defaults, Effect
from console.adjust_report import Report
from console.adjust_sender import Sender
from schemas.adjustments import ACTIONS, STATUSES
from service import stack_file
from service.errors import No, Usage
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
    with _lines(args) as lines:
        settings = stack_file.settings_for(args.dir)
        defaults = Defaults(
            by=args.by or f"{getpass.getuser()}@{socket.gethostname()}",
            at=datetime.now(UTC),
            why=args.why,
            again=f":{secrets.token_hex(8)}" if args.again else "",
        )
        report = Report(is_json=args.format == "json")
        with Forecaster(settings, defaults) as forecaster:
            if args.dry_run:
                for effects in forecaster.effects(lines):
                    report.tell(effects)
                return report.end("nothing was sent")
            if not args.apply and _is_asked() and not _agreed(forecaster.effects(lines)):
                raise No("nothing was sent")
            return _applied(forecaster, lines, report, settings)


def _applied(forecaster: Forecaster, lines: Lines, report: Report, settings: Settings) -> int:
    """What is to be sent is sent, a piece at a time, each told before the next; 3 where some could not be."""
    sender: Sender | None = None
    with Progress("adjusting", lines.count) as progress:
        for effects in forecaster.effects(lines):
            to_send = [effect for effect in effects if effect.sent]
            sender = sender or (Sender(settings) if to_send else None)
            report.tell(effects, sender.verdicts(to_send, progress) if sender else None)
            progress.show(report.told)
            if sender and sender.is_gone:
                break
    end = "" if sender else "nothing is to be sent"
    return report.end(end, unsent=lines.count - report.told)


@contextmanager
def _lines(args: argparse.Namespace) -> Iterator[Lines]:
    texts = {field: str(value) for option, field in BY_HAND.items() if (value := getattr(args, option))}
    if args.file:
        if texts or args.test:
            raise Usage("a file says everything itself: leave out the options for one adjustment")
        with adjust_file.opened(args.file) as lines:
            yield lines
        return
    if not texts:
        raise Usage(
            "name a file, or one conversion: --transaction ID --status rejected (roundtrip adjust --help)"
        )
    # By hand the same words twice are meant twice; the key lets what was unavailable be sent again.
    texts.setdefault("key", f"hand:{secrets.token_hex(8)}")
    line = Line(number=0, texts=texts | ({"test": "1"} if args.test else {}))
    yield Lines(lambda: iter([line]))


def _is_asked() -> bool:
    """Whether there is a person to ask; a program has asked for it."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _agreed(pieces: Iterable[Sequence[Effect]]) -> bool:
    """Whether the person goes on, who was shown what would change."""
    preview = Report(is_json=False)
    for effects in pieces:
        preview.preview(effects)
    preview.end("")
    sys.stderr.write("apply? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
