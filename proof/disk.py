"""How long the disk itself takes: a small write and its fdatasync, again and again, in a process of its own.

What an answer takes is compared with it: who promises a durable yes cannot be quicker than the disk.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Self

EVERY_S: Final = 0.05
BYTES: Final = b"\0" * 4096


class DiskProbe:
    """Measures in a directory for the time of a `with`."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "disk-probe"
        self._times = directory / "disk-probe.times"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603  ourselves
            [sys.executable, "-m", "proof.disk", str(self._file), str(self._times)]
        )
        return self

    def __exit__(self, *_: object) -> None:
        """It measures no more."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def seconds(self, from_s: float, to_s: float) -> list[float]:
        """How long each write between these moments (Unix time) took."""
        lines = self._times.read_text().splitlines()[:-1]  # the last may be half written
        found = [tuple(map(float, line.split())) for line in lines]
        return [took_s for at_s, took_s in found if from_s <= at_s < to_s]


def measure(file: Path, times: Path) -> None:
    """For ever: one write each EVERY_S."""
    with times.open("w", buffering=1) as told:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        while True:
            os.write(handle, BYTES)
            began_s = time.perf_counter()
            os.fdatasync(handle)
            told.write(f"{time.time():.3f} {time.perf_counter() - began_s:.6f}\n")
            time.sleep(EVERY_S)


if __name__ == "__main__":
    measure(Path(sys.argv[1]), Path(sys.argv[2]))
