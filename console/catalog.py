"""`roundtrip catalog`: check a catalog file, apply it as a new version, show what is in force."""

import argparse
import getpass
import socket
import sys
import time
from pathlib import Path

import msgspec

from console.catalog_log import KafkaLog, Log, history_of, kept_values, publish, restore
from schemas import times
from schemas.catalog import Catalog
from schemas.catalog_check import check
from schemas.catalog_complaints import Complaint
from schemas.catalog_toml import dump
from schemas.catalog_versions import CatalogVersion
from service import stack_file
from service.errors import No, Unreachable, Usage
from service.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """`check FILE`, `apply FILE` and `show`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="check|apply|show")
    for name, about in (
        ("check", "every error of a file, with its place and reason"),
        ("apply", "check a file, then make it the version in force"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        action.add_argument("file", metavar="FILE", type=Path, help="the catalog, TOML (docs/catalog.md)")
    show = actions.add_parser("show", help="what is in force", description="what is in force")
    show.add_argument("--version", type=int, metavar="N", help="an older version (default: the one in force)")
    show.add_argument("--format", choices=("toml", "json"), default="toml")
    for name in ("apply", "show"):
        stack_file.add_dir_argument(actions.choices[name])
    actions.choices["apply"].add_argument("--by", metavar="NAME", help="who applies it (default: USER@HOST)")


def run(args: argparse.Namespace) -> int:
    """0 when valid, applied, or shown; 1 when not."""
    if args.action == "check":
        return _check(args.file)
    settings = stack_file.settings_for(args.dir)
    if args.action == "apply":
        return _apply(args.file, settings, args.by or f"{getpass.getuser()}@{socket.gethostname()}")
    return show(KafkaLog(settings), args.version, args.format)


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


def _apply(file: Path, settings: Settings, applied_by: str) -> int:
    catalog, complaints = _checked(file)
    if catalog is None:
        raise No(f"{file} has {_counted(complaints)}; nothing was applied")
    return apply_to(KafkaLog(settings), catalog, settings, applied_by)


def apply_to(log: Log, catalog: Catalog, settings: Settings, applied_by: str) -> int:
    """The catalog is in force in this log, and the outcome is told; No where somebody else was quicker."""
    if again := restore(log, _kept(settings)):
        _say(f"Kafka had no catalog: versions {again[0]} to {again[-1]} published again from {settings.dir}")
    version, is_new = publish(log, catalog, times.from_ms(time.time_ns() // 1_000_000), applied_by)
    if is_new:
        _say(f"version {version.version} is in force: {_many(len(catalog.offers), 'offer')}")
    else:
        _say(f"nothing to do: version {version.version}, in force since {version.applied_at}, says the same")
    return 0


def _kept(settings: Settings) -> list[bytes]:
    """What the directory's services keep of this Kafka's catalog; another Kafka's does not belong here."""
    try:
        is_its_own = stack_file.read(settings.dir).kafka == settings.kafka
    except (Unreachable, Usage):
        return []
    return kept_values(settings.dir) if is_its_own else []


def show(log: Log, number: int | None, form: str) -> int:
    """The version with this number, else the one in force, is told; No where there is none."""
    history = history_of(log.read())
    version = history.current if number is None else history.at(number)
    if history.current is None:
        raise No("there is no catalog yet; apply one: roundtrip catalog apply FILE")
    if version is None:
        raise No(f"there is no version {number}; there are {history.versions[0]} to {history.versions[-1]}")
    sys.stdout.write(_written(version, form))
    return 0


def _written(version: CatalogVersion, form: str) -> str:
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(version), indent=2).decode() + "\n"
    who = version.applied_by.replace("\n", " ").replace("\r", " ")
    return f"# version {version.version}, applied {version.applied_at} by {who}\n{dump(version.catalog)}"
