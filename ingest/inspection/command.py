"""`roundtrip journal`: what the journals of a directory hold, beside the collectors that write them."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ingest.inspection.survey import State, state
from ingest.inspection.text import lines, size
from ingest.inspection.verification import Verification, Verified
from ingest.journal import cursor
from ingest.journal.directory import Directory
from ingest.journal.disk import RealDisk
from service import settings
from service.errors import Problem, Usage
from service.progress import Progress

ROOT: Final = "journal"  # below DIR


class Journals(msgspec.Struct, kw_only=True):
    """What is known of a directory; verified: journal by journal, where that was asked for."""

    directory: str
    free_bytes: int
    journals: list[State]
    verified: list[Verified] = []


def arguments(parser: argparse.ArgumentParser) -> None:
    """`--dir`, `--verify`, `--format`."""
    add_dir_argument(parser)
    parser.add_argument(
        "--verify", action="store_true", help="read every byte; exit code 1 where it is damaged"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")


def add_dir_argument(parser: argparse.ArgumentParser) -> None:
    """`--dir DIR`, the same in each command that reads journals."""
    parser.add_argument(
        "--dir",
        metavar="DIR",
        help="directory of a collector or a stack (default: ROUNDTRIP_DIR, .roundtrip)",
    )


def run(args: argparse.Namespace) -> int:
    """0; 1 where damage was looked for and found."""
    directory = directory_in(Path(args.dir) if args.dir else settings.read("journal").dir)
    try:
        found = known(directory)
        if args.verify:
            found.verified = verified(directory, found.journals)
    except OSError as error:
        raise Problem(f"{directory.root} cannot be read: {error}") from error
    sys.stdout.write(_json(found) if args.format == "json" else _text(found))
    damaged = any(each.damage for each in found.verified)
    return 1 if damaged or any(each.unreadable for each in found.journals) else 0


def directory_in(directory: Path) -> Directory:
    """The journals below DIR; Usage where there is none."""
    found = Directory(RealDisk(), directory / ROOT)
    try:
        numbers = found.numbers()
    except OSError as error:
        raise Problem(f"{found.root} cannot be read: {error.strerror}") from error
    if not numbers:
        raise Usage(
            f"no journal in {found.root}: no collector has run with this directory;"
            " name the right one by --dir or ROUNDTRIP_DIR"
        )
    return found


def known(directory: Directory) -> Journals:
    """What is known without reading everything."""
    paths = [directory.path(number) for number in directory.numbers()]
    space = os.statvfs(directory.root)
    return Journals(
        directory=str(directory.root),
        free_bytes=space.f_bavail * space.f_frsize,
        journals=[
            state(directory.disk, path, cursor.trusted(directory.disk, path).position) for path in paths
        ],
    )


def verified(directory: Directory, journals: Sequence[State]) -> list[Verified]:
    """What reading every byte shows, journal by journal."""
    with Progress("bytes of journals", sum(each.bytes for each in journals)) as progress:
        return [
            Verification(directory.disk, Path(each.directory), progress.advance).run() for each in journals
        ]


def _json(found: Journals) -> str:
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def _text(found: Journals) -> str:
    told = [*lines(found.journals, found.verified, time.time())]
    return "\n".join([*told, f"{size(found.free_bytes)} free on the disk of {found.directory}", ""])
