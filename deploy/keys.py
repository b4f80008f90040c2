"""`roundtrip keys`: the keys that sign transaction IDs, rotated in the one order that refuses no ID."""

import argparse
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service import keys, rotation, settings
from service.errors import Problem
from service.keys import KeyFile


def arguments(parser: argparse.ArgumentParser) -> None:
    """`list`, `add`, `sign N` and `retire N`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|add|sign|retire")
    for name, about in (
        ("list", "the keys, without their secrets"),
        ("add", "a new key, which verifies only (where there is no file yet: the first one, which signs)"),
        ("sign", "let a key sign that verifies on every edge"),
        ("retire", "remove a key of which no ID is alive"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        action.add_argument(
            "--dir",
            metavar="DIR",
            type=Path,
            help="the file is DIR/keys.toml (default: ROUNDTRIP_KEYS, or keys.toml in ROUNDTRIP_DIR)",
        )
    for name in ("sign", "retire"):
        actions.choices[name].add_argument("number", metavar="N", type=int, help="the key's number")
    actions.choices["sign"].add_argument(
        "--now", action="store_true", help="however new the key is: it verifies on every edge already"
    )
    actions.choices["retire"].add_argument(
        "--force",
        action="store_true",
        help="although IDs that it signed may still come back, which no edge knows then",
    )


def run(args: argparse.Namespace) -> int:
    """0 when done; a Problem says why not."""
    path = args.dir / "keys.toml" if args.dir else settings.read("keys").keys_path
    if args.action == "list":
        return _list(path)
    if args.action == "add":
        path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        return {"add": _add, "sign": _sign, "retire": _retire}[args.action](path, args)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other such command changes the file meanwhile."""
    directory = path.resolve().parent
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise Problem(f"{directory} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _list(path: Path) -> int:
    file = keys.read(path)
    keys.ring(path, file)
    rows = [("key", "state", "added", "signed until", "may be retired from")]
    for key in sorted(file.keys, key=lambda key: key.number):
        state = "signs" if key.signs else "verifies"
        until = "-" if key.signs else rotation.retirable(file, key) or "not known"
        rows.append((str(key.number), state, key.added or "not known", key.signed_until or "-", until))
    rows += [(str(number), "retired", "", "", "") for number in sorted(file.retired)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _add(path: Path, _args: argparse.Namespace) -> int:
    is_first = not path.exists()
    file, number = rotation.added(KeyFile() if is_first else keys.read(path), keys.new_secret(), _now_ms())
    keys.write(path, rotation.with_identifiers(file, keys.new_secret()))
    if is_first:
        print(f"{path}: key {number} is made, and signs. Keep a copy, and give every edge the same file")
        return 0
    print(
        f"{path}: key {number} verifies. Give every edge the file; when all have it (metric roundtrip_key):"
        f" roundtrip keys sign {number}"
    )
    return 0


def _sign(path: Path, args: argparse.Namespace) -> int:
    before = keys.read(path)
    written_ms = path.stat().st_mtime_ns // 1_000_000
    keys.write(path, rotation.signing(before, args.number, _now_ms(), written_ms, at_once=args.now))
    print(
        f"{path}: key {args.number} signs. Give every edge the file; the key of before goes on verifying, and"
        f" may be retired in {rotation.ALIVE_DAYS} days"
    )
    return 0


def _retire(path: Path, args: argparse.Namespace) -> int:
    keys.write(path, rotation.retired(keys.read(path), args.number, _now_ms(), force=args.force))
    print(f"{path}: key {args.number} is gone, and its number is not given again. Give every edge the file")
    return 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
