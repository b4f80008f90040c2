"""A stack of one's own: `roundtrip up` as a child process in a fresh directory on free ports."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.process import Server
from service import stack_file
from service.settings import Settings

READY_S = 240.0  # the contract says 20; a machine that runs tests beside it may take longer


class OwnStack(Server):
    """The whole stack for the time of a `with`; partner postbacks may call loopback.

    directory: its state; started again there it goes on where it was.
    catalog: the catalog file that it applies at start, if any.
    program: what is run in place of `roundtrip`, by tests that need another disk below it.
    """

    name = "up"
    grace_s = 60.0  # its own parts have theirs, one after the other

    def __init__(
        self,
        directory: Path,
        catalog: Path | None = None,
        settings: Mapping[str, str] | None = None,
        program: Path | None = None,
    ) -> None:
        self.directory = directory
        self.log = directory.with_name(f"{directory.name}.up.log")
        self._catalog = catalog
        self._program = [str(program)] if program else ["-m", "roundtrip"]
        self._settings = {"ROUNDTRIP_NOTIFY_ALLOW_PRIVATE": "1", **(settings or {})}
        self._said = 0

    def command(self) -> Sequence[str]:
        """`roundtrip up` on free ports."""
        catalog = ["--catalog", str(self._catalog)] if self._catalog else []
        return [
            sys.executable,
            *self._program,
            "up",
            "--dir",
            str(self.directory),
            "--port",
            "0",
            *catalog,
        ]

    def environ(self) -> Mapping[str, str]:
        """Ours, with none of the caller's ROUNDTRIP_* settings."""
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("ROUNDTRIP_")}
        return {**foreign, **self._settings}

    def prepare(self) -> None:
        """What it said before this start does not count as ready."""
        self._said = self.log.stat().st_size if self.log.exists() else 0

    def is_ready(self) -> bool:
        """It printed its line `ready`."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return any(line.startswith(b"ready") for line in log.read().splitlines())

    def output(self) -> str:
        """What it has printed since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return log.read().decode(errors="replace")

    @property
    def addresses(self) -> stack_file.Stack:
        """Where its parts are now; read anew each time, since a replaced part has another process ID."""
        return stack_file.read(self.directory)

    @property
    def shared(self) -> dict[str, str]:
        """The environment of one more process of this stack: its addresses, signing keys and choices."""
        stack = self.addresses
        return {
            **self.environ(),
            **stack.settings,
            "ROUNDTRIP_DIR": str(self.directory),
            "ROUNDTRIP_KEYS": str(self.directory / "keys.toml"),
            "ROUNDTRIP_KAFKA": stack.kafka,
            "ROUNDTRIP_CLICKHOUSE": stack.clickhouse,
            "ROUNDTRIP_COLLECTOR": stack.collector,
        }

    @property
    def settings(self) -> Settings:
        """The settings by which a command reaches it."""
        return stack_file.settings_for(str(self.directory), {})
