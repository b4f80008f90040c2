"""How far a long work has come: a bar on a terminal, a plain line now and then in a pipe."""

import sys
import time
from types import TracebackType
from typing import Any, Self

EVERY_S = 5.0  # between two lines in a pipe


class Progress:
    """Shows `done` of `total`; for a `with`. With quiet=True it shows nothing."""

    def __init__(self, label: str, total: int, *, quiet: bool = False) -> None:
        self._label = label
        self._total = total
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._told_s = time.monotonic()
        self._done = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet:
            from rich.console import Console  # noqa: PLC0415  late: rich costs 60 ms, and a pipe has no bar
            from rich.progress import Progress as Bar  # noqa: PLC0415

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, note: str = "") -> None:
        """It is known how far the work has come."""
        self._done = done
        if self._bar is not None:
            label = f"{self._label}: {note}" if note else self._label
            self._bar.update(self._task, completed=done, description=label)
        elif not self._quiet and time.monotonic() - self._told_s >= EVERY_S:
            self._told_s = time.monotonic()
            sys.stderr.write(f"{self._label}: {done} of {self._total}{', ' if note else ''}{note}\n")
            sys.stderr.flush()

    def advance(self, by: int) -> None:
        """So much more is done."""
        self.show(self._done + by)
