"""`roundtrip catalog`: check a catalog file, apply it as a new version, show what is or was in force."""

import argparse
import getpass
import socket
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from console import render
from console.catalog_changes import summary
from console.catalog_log import KafkaLog, Log, history_of, kept_values, publish, restore
from schemas import times
from schemas.catalog import Catalog
from schemas.catalog_check import check
from schemas.catalog_complaints import Complaint
from schemas.catalog_toml import dump
from schemas.catalog_versions import CatalogVersion, History
from service import stack_file
from service.errors import No, Unreachable, Usage
from service.moments import moment
from service.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """`check FILE`, `apply FILE`, `show` and `history`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="check|apply|show|history")
    for name, about in (
        ("check", "every error of a file, with its place and reason"),
        ("apply", "check a file, show what it changes, then make it the version in force"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        action.add_argument("file", metavar="FILE", type=Path, help="the catalog, TOML (docs/catalog.md)")
    show = actions.add_parser("show", help="what is in force", description="what is, or was, in force")
    which = show.add_mutually_exclusive_group()
    which.add_argument(
        "--version", type=int, metavar="N", help="an older version (default: the one in force)"
    )
    which.add_argument("--at", metavar="TIME", help="what was in force then (UTC where no zone is written)")
    show.add_argument("--format", choices=("toml", "json"), default="toml")
    every = "every version: when, by whom, what it changed"
    history = actions.add_parser("history", help=every, description=every)
    history.add_argument("--format", choices=("text", "json"), default="text")
    for name in ("apply", "show", "history"):
        stack_file.add_dir_argument(actions.choices[name])
    apply = actions.choices["apply"]
    apply.add_argument("--by", metavar="NAME", help="who applies it (default: USER@HOST)")
    apply.add_argument("--dry-run", action="store_true", help="show what would change, and apply nothing")
    apply.add_argument("--yes", action="store_true", help="do not ask on a terminal")


def run(args: argparse.Namespace) -> int:
    """0 when valid, applied, or shown; 1 when not."""
    if args.action == "check":
        return _check(args.file)
    settings = stack_file.settings_for(args.dir)
    if args.action == "apply":
        return _apply(args, settings)
    if args.action == "history":
        return tell_history(KafkaLog(settings), args.format)
    at = moment("--at", args.at, ZoneInfo("UTC"), datetime.now(UTC), whole_day=False) if args.at else None
    return show(KafkaLog(settings), args.version, args.format, at)


def _check(file: Path) -> int:
    catalog, complaints = _checked(file)
    if catalog is None:
        _say(f"{file}: {_counted(complaints)}: not valid")
        return 1
    _say(f"{file}: {_counted(complaints)}: valid, {_many(len(catalog.offers), 'offer')}")
    return 0


def _checked(file: Path) -> tuple[Catalog | None, list[Complaint]]:
    """The file's catalog and complaints, which were printed."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Usage(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Usage(f"{file} cannot be read: {error}") from error
    catalog, complaints = check(text)
    for complaint in complaints:
        line = f"{complaint.line}:" if complaint.line else ""
        _say(f"{file}:{line} {complaint}")
    return catalog, complaints


def _counted(complaints: list[Complaint]) -> str:
    errors = sum(complaint.level == "error" for complaint in complaints)
    return f"{_many(errors, 'error')}, {_many(len(complaints) - errors, 'warning')}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _apply(args: argparse.Namespace, settings: Settings) -> int:
    catalog, complaints = _checked(args.file)
    if catalog is None:
        raise No(f"{args.file} has {_counted(complaints)}; nothing was applied")
    log = KafkaLog(settings)
    if args.dry_run:
        current = history_of(log.read()).current
        _say_changes(current, catalog)
        _say("nothing was applied")
        return 0
    asks = not args.yes and sys.stdin.isatty() and sys.stdout.isatty()
    by = args.by or f"{getpass.getuser()}@{socket.gethostname()}"
    return apply_to(log, catalog, settings, by, _agreed if asks else lambda: True)


def _agreed() -> bool:
    """Whether the person at the terminal says yes."""
    sys.stdout.write("apply? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say_changes(current: CatalogVersion | None, catalog: Catalog) -> None:
    if current:
        _say(f"against version {current.version}, in force since {current.applied_at}:")
    lines = summary(current.catalog if current else None, catalog) or ["nothing changes"]
    for line in lines:
        _say(f"  {render.plain(line)}")


def apply_to(
    log: Log,
    catalog: Catalog,
    settings: Settings,
    applied_by: str,
    agreed: Callable[[], bool] = lambda: True,
) -> int:
    """The catalog is in force in this log, and what it changes is told before.

    No where somebody else was quicker, or the person who was asked does not agree.
    """
    if again := restore(log, _kept(settings)):
        _say(f"Kafka had no catalog: versions {again[0]} to {again[-1]} published again from {settings.dir}")
    current = history_of(log.read()).current
    if current is None or current.catalog != catalog:
        _say_changes(current, catalog)
        if not agreed():
            raise No("nothing was applied")
    version, is_new = publish(log, catalog, times.from_ms(time.time_ns() // 1_000_000), applied_by)
    if is_new:
        _say(f"version {version.version} is in force: {_many(len(catalog.offers), 'offer')}")
    else:
        _say(f"nothing to do: version {version.version}, in force since {version.applied_at}, says the same")
    return 0


def _kept(settings: Settings) -> Iterable[bytes]:
    """What the directory's services keep of this Kafka's catalog; another Kafka's does not belong here."""
    try:
        is_its_own = stack_file.read(settings.dir).kafka == settings.kafka
    except (Unreachable, Usage):
        return []
    return kept_values(settings.dir) if is_its_own else []


def show(log: Log, number: int | None, form: str, at: datetime | None = None) -> int:
    """The version with this number, the one that was in force then, else the one in force, is told.

    No where there is none.
    """
    history = history_of(log.read())
    if history.current is None:
        raise No("there is no catalog yet; apply one: roundtrip catalog apply FILE")
    version = history.current if number is None else history.at(number)
    if at is not None:
        version = _in_force(history, at)
    if version is None:
        raise No(f"there is no version {number}; there are {history.versions[0]} to {history.versions[-1]}")
    sys.stdout.write(_written(version, form))
    return 0


def _in_force(history: History, at: datetime) -> CatalogVersion:
    """The version with the greatest number that had been applied by then; No where none had."""
    known = [version for number in history.versions if (version := history.at(number))]
    at_ms = at.timestamp() * 1_000
    applied = [version for version in known if times.to_ms(version.applied_at) <= at_ms]
    if not applied:
        first = known[0]
        raise No(f"nothing was in force then: version {first.version} was the first, {first.applied_at}")
    return applied[-1]


def tell_history(log: Log, form: str) -> int:
    """Every version is told, the oldest first: when, by whom, what it changed."""
    history, told, before = history_of(log.read()), [], None
    for number in history.versions:
        version = history.at(number)
        assert version is not None  # noqa: S101  it is among the numbers
        told.append((version, summary(before, version.catalog)))
        before = version.catalog
    if form == "json":
        rows = [{**_head(each), "changes": what} for each, what in told]
        sys.stdout.write(render.as_json(rows).decode())
        return 0
    for each, what in told:
        says = what[0] if what else "nothing changed"
        _say(render.plain(f"version {each.version}  {each.applied_at}  {each.applied_by}  {says}"))
    return 0


def _head(version: CatalogVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "applied_at": version.applied_at,
        "applied_by": version.applied_by,
    }


def _written(version: CatalogVersion, form: str) -> str:
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(version), indent=2).decode() + "\n"
    who = version.applied_by.replace("\n", " ").replace("\r", " ")
    return f"# version {version.version}, applied {version.applied_at} by {who}\n{dump(version.catalog)}"
