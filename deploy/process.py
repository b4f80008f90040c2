"""A child process: log file, readiness with a deadline, ordered stop; it never outlives its parent."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from service.errors import No

READY_S = 120.0  # a JVM on a busy machine of two cores took 25 s; usually 1-2 s
GRACE_S = 15.0  # Kafka and ClickHouse write their state within 1 s; the services drain for at most 10 s
MAX_LOG_BYTES = 16 * 1024 * 1024  # at start a longer log becomes NAME.log.1
POLL_S = 0.03

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def ends_with_parent() -> Callable[[], None] | None:
    """A hook for the forked child: the kernel kills it when this thread ends, even by kill -9.

    Linux only; elsewhere `up` ends what an earlier run left.
    """
    libc, parent = _LIBC, os.getpid()
    if libc is None:
        return None

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended between fork and prctl
            os._exit(1)

    return ask_the_kernel


class Server(ABC):
    """One child process, startable again after it ended.

    name: names its log file and what people read about it.
    log: stdout and stderr go there; appended to over restarts.
    environment: what it gets over the caller's environment.
    work_directory: where it runs; None: where the caller does.
    grace_s: how long an ordered stop may take.
    Start it from the main thread: the kernel ends it together with the thread that started it.
    """

    name: str
    log: Path
    environment: Mapping[str, str] = MappingProxyType({})
    work_directory: Path | None = None
    grace_s: float = GRACE_S
    process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command line."""

    def environ(self) -> Mapping[str, str]:
        """The whole environment of the next start."""
        return {**os.environ, **self.environment}

    def prepare(self) -> None:  # noqa: B027  a hook: most need nothing
        """Whatever must be on disk before a start is there; called before each start."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it does its work now; answers within about a second."""

    @property
    def begins_empty(self) -> bool:
        """Whether the next start finds nothing of what it keeps; most keep nothing."""
        return False

    @property
    def part(self) -> str:
        """Which part of the stack it is; several processes may be the same."""
        return self.name

    @property
    def pid(self) -> int:
        """The process ID of the present run."""
        if self.process is None:
            raise No(f"{self.name} was not started")
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """How the present run ended (-N: by signal N); None while it runs."""
        return self.process.poll() if self.process else None

    def spawn(self) -> None:
        """The process runs; it need not be ready yet."""
        self.prepare()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  the command is ours
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environ(),
                cwd=self.work_directory,
                start_new_session=True,  # Ctrl-C on the terminal is the supervisor's to hand on, in order
                preexec_fn=ends_with_parent(),  # noqa: PLW1509  one system call; nothing else offers it
            )

    def wait_ready(self, deadline_s: float = READY_S) -> None:
        """It is ready; `No` with the log's last lines when it ended, or was not ready in time."""
        limit = time.monotonic() + deadline_s
        while not self.is_ready():
            if self.exit_code is not None:
                raise No(f"{self.name} ended at start {how(self.exit_code)}: {self.last_words()}")
            if time.monotonic() > limit:
                raise No(f"{self.name} was not ready after {deadline_s:.0f} s: {self.last_words()}")
            time.sleep(POLL_S)

    def start(self, deadline_s: float = READY_S) -> Self:
        """It runs and is ready."""
        self.spawn()
        try:
            self.wait_ready(deadline_s)
        except No:
            self.kill()
            raise
        return self

    def tell_to_end(self) -> None:
        """It knows that it should end, where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        """It ended: in order by SIGTERM, or by SIGKILL after the grace."""
        if self.process is None:
            return
        self.tell_to_end()
        try:
            self.process.wait(self.grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """It ended, without a chance to tidy up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def last_words(self, lines: int = 2) -> str:
        """The last lines of its log, and where the log lies."""
        text = self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""
        words = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
        return f"{' | '.join(words) or 'it said nothing'} (log: {self.log})"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def how(exit_code: int) -> str:
    """An exit code in words."""
    return f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
