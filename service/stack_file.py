"""DIR/stack.json: where a running stack is, for the commands that talk to it."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from service import settings as _settings
from service.errors import Unreachable, Usage
from service.settings import Settings

NAME = "stack.json"
_ADDRESSES = ("KAFKA", "CLICKHOUSE", "COLLECTOR")


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """A running stack: its addresses, its process IDs, and the settings that its commands must share.

    settings: ROUNDTRIP_* names and values other than addresses; never a secret.
    """

    collector: str
    console: str
    clickhouse: str
    kafka: str
    processes: dict[str, list[int]] = {}
    settings: dict[str, str] = {}


def write(directory: Path, stack: Stack) -> None:
    """Stack.json holds exactly this stack; a reader sees the old or the new one, never half."""
    path = directory / NAME
    fresh = path.with_suffix(".json.new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(stack), indent=2) + b"\n")
    fresh.replace(path)


def read(directory: Path) -> Stack:
    """The stack that runs, or ran last, in the directory."""
    path = directory / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stack)
    except FileNotFoundError as error:
        raise Unreachable(
            f"{path} is not there: no stack has been started here; start one: roundtrip up --dir {directory}"
        ) from error
    except (OSError, msgspec.MsgspecError) as error:
        raise Usage(f"{path} cannot be read: {error}; `roundtrip up` writes it anew") from error


def add_dir_argument(parser: argparse.ArgumentParser) -> None:
    """`--dir DIR`, the same in every command that talks to a running stack."""
    parser.add_argument(
        "--dir",
        metavar="DIR",
        help="directory of the running stack (default: .roundtrip, or the ROUNDTRIP_* settings)",
    )


def settings_for(directory: str | Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings by which a command finds its stack.

    1. `--dir DIR`: DIR/stack.json, which must be there.
    2. ROUNDTRIP_KAFKA, ROUNDTRIP_CLICKHOUSE or ROUNDTRIP_COLLECTOR: the environment's addresses.
    3. The default directory, where it has a stack.json.
    """
    environ = os.environ if environ is None else environ
    if directory is not None:
        return _from_stack(Path(directory), environ)
    if any(environ.get(_settings.PREFIX + name) for name in _ADDRESSES):
        return _settings.read("command", environ)
    default = _settings.read("command", environ).dir
    if (default / NAME).exists():
        return _from_stack(default, environ)
    raise Unreachable(
        f"no stack: {default / NAME} not found. Start one with `roundtrip up`, name its directory by --dir,"
        " or set ROUNDTRIP_KAFKA and ROUNDTRIP_CLICKHOUSE"
    )


def _from_stack(directory: Path, environ: Mapping[str, str]) -> Settings:
    stack = read(directory)
    found = {
        "DIR": str(directory),
        "KAFKA": stack.kafka,
        "CLICKHOUSE": stack.clickhouse,
        "COLLECTOR": stack.collector,
    }
    named = {_settings.PREFIX + name: value for name, value in found.items()}
    return _settings.read("command", {**environ, **stack.settings, **named})
