"""Secrets of the catalog, at hand: what lies behind `env:NAME` and `file:PATH`.

A file is read again every LOOK_S seconds; one that cannot be read any more, or is empty, takes nothing away.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from schemas.shared_id import MIN_KEY_BYTES

log = logging.getLogger(__name__)

LOOK_S = 5.0


class References:
    """The secrets behind the references that were named last, as far as they could be read.

    problem: which cannot be had, by place and never by content; empty: all are there. missing: how many.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._named: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self._known: dict[str, bytes] = {}
        self.problem = ""
        self.missing = 0

    def get(self, reference: str) -> bytes | None:
        """The secret; None where it is not at hand."""
        return self._known.get(reference)

    def name(self, references: Iterable[str], lasting: Iterable[str]) -> None:
        """These are needed from now on. A lasting one is read once: it never changes."""
        self._named = (frozenset(references), frozenset(lasting))
        self.look()

    async def follow(self, changed: Callable[[], None]) -> None:
        """For ever: `changed` is called when another secret is in force."""
        while True:
            await asyncio.sleep(LOOK_S)
            if await asyncio.to_thread(self.look):  # a disk that hangs must not stop the answers
                changed()

    def look(self) -> bool:
        """Reads what may have changed; whether anything has."""
        named = usual, lasting = self._named
        known = {each: self._known[each] for each in usual | lasting if each in self._known}
        faults = []
        for reference in sorted((usual | lasting) - (lasting & known.keys())):
            try:
                known[reference] = self._read(reference, MIN_KEY_BYTES if reference in lasting else 1)
            except (OSError, KeyError, ValueError) as error:
                faults.append(_why(reference, error))
        if named is not self._named:
            return False  # others are needed meanwhile, and were read by who named them
        self._complain(faults)
        changed = known != self._known
        self._known = known
        return changed

    def _read(self, reference: str, min_bytes: int) -> bytes:
        kind, _, place = reference.partition(":")
        secret = self._environ[place].encode() if kind == "env" else _line(Path(place).read_bytes())
        if len(secret) < min_bytes:
            raise ValueError(f"it is shorter than {min_bytes} bytes" if secret else "it is empty")
        return secret

    def _complain(self, faults: Collection[str]) -> None:
        self.missing = len(faults)
        problem = "; ".join(faults)
        if problem != self.problem:
            if problem:
                log.error("secrets of the catalog are not at hand: %s", problem)
            else:
                log.info("the secrets of the catalog are at hand again")
            self.problem = problem


def _line(content: bytes) -> bytes:
    return content.removesuffix(b"\n").removesuffix(b"\r")


def _why(reference: str, error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{reference}: there is no such variable"
    return f"{reference}: {error.strerror if isinstance(error, OSError) else error}"
