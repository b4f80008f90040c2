"""What a person reads while something runs: one line at a time, at once, also in a pipe."""

import contextlib
import sys


def say(line: str) -> None:
    """The line is on standard output; a reader that went away (`up | head`) does not end what runs."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def complain(line: str) -> None:
    """The line is on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
