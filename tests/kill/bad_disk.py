"""`roundtrip` whose journals lie on a bad disk: slow at times, failing when told to, and forgetful.

What was written and not synced is held back in the process and dies with it: kill -9 is a power cut.
While DIR/disk-fails exists, a sync fails; what was written before may be on the disk all the same, or not.
"""

import argparse
import errno
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import roundtrip
from deploy import stack
from deploy.parts import Service
from ingest.journal import disk
from proof.harm import DISK_FAILS
from service.errors import Problem

SLOW, SLOW_S = 0.1, 0.2


class BadFile(disk.RealFile):
    """A file of the bad disk."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._held.append(bytes(data))

    def sync(self) -> None:
        if random.random() < SLOW:
            time.sleep(
                random.uniform(0, SLOW_S)
            )  # kills fall into it: whoever says yes before it is found out
        if Path(os.environ["ROUNDTRIP_DIR"], DISK_FAILS).exists():
            if random.random() < 0.5:
                self._through()
            self._held.clear()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._through()
        super().sync()

    def size(self) -> int:
        return super().size() + sum(map(len, self._held))

    def close(self) -> None:
        self._through()
        super().close()

    def _through(self) -> None:
        for data in self._held:
            super().write(data)
        self._held.clear()


class BadDiskService(Service):
    """As a real one, but the program is this file."""

    def command(self) -> Sequence[str]:
        return [sys.executable, __file__, self.part]


def bad_disk_service(name: str, port: int, log: Path, environment: Mapping[str, str]) -> Service:
    return BadDiskService(name, port, log, environment)


def up(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    stack.arguments(parser)
    try:
        return stack.up(parser.parse_args(words), bad_disk_service)
    except Problem as problem:
        sys.stderr.write(f"up: {problem}\n")
        return problem.exit_code


if __name__ == "__main__":
    disk.RealFile = BadFile  # type: ignore[misc]
    sys.exit(up(sys.argv[2:]) if sys.argv[1] == "up" else roundtrip.main())
