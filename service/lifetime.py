"""A process's life: start, signals, an ordered stop, and what it says on standard error."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import uvloop

from service.errors import Problem
from service.settings import Settings

log = logging.getLogger(__name__)

INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended


class Lifetime:
    """What a service's main is given: when to stop, and where to say what must be closed."""

    def __init__(self, service: str, settings: Settings) -> None:
        self.service = service
        self.settings = settings
        self.stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._closers: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    def on_close(self, name: str, close: Callable[[], Awaitable[object]]) -> None:
        """At the stop, close is awaited; what was said last is closed first."""
        self._closers.append((name, close))

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[Any]:
        """Work in the background; where it fails, the process stops with its error. Cancelled at the end."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)

    def stop(self, why: str) -> None:
        """The ordered stop begins; in the loop."""
        if not self.stopping.is_set():
            log.info("stopping: %s", why)
            self.stopping.set()

    def fail(self, error: BaseException) -> None:
        """The process stops and ends with this error; any thread may call it."""
        if self._failure is None:
            self._failure = error
        self._loop.call_soon_threadsafe(self.stop, f"it failed ({type(error).__name__})")

    async def wait(self) -> None:
        """Returns when the stop begins."""
        await self.stopping.wait()

    async def run(self, main: Callable[["Lifetime"], Awaitable[None]]) -> None:
        """Main has run to its end or the stop, everything was closed in order, and a failure is raised."""
        try:
            await self._until_stopped(main)
        finally:
            await self._close()
        if self._failure is not None:
            raise self._failure

    async def _until_stopped(self, main: Callable[["Lifetime"], Awaitable[None]]) -> None:
        """Main has ended: by itself, soon after the stop began, or cancelled after half the time for it."""
        work = asyncio.ensure_future(main(self))
        stop = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        self.stopping.set()
        await asyncio.wait({work}, timeout=self.settings.drain_s / 2)
        await _cancelled(work)
        await _cancelled(stop)
        if not work.cancelled() and (error := work.exception()):
            raise error

    async def _close(self) -> None:
        """Every closer was awaited, whatever another raised; the first failure is raised at the end.

        What stopped the process came before all of them: a full disk fails its closers too.
        """
        deadline = time.monotonic() + self.settings.drain_s
        failures: list[Exception] = []
        while self._closers:
            name, close = self._closers.pop()
            try:
                await asyncio.wait_for(close(), max(deadline - time.monotonic(), LEAST_S))
            except TimeoutError:
                log.warning(
                    "%s did not end within ROUNDTRIP_DRAIN_S=%g; given up", name, self.settings.drain_s
                )
            except Exception as error:  # noqa: BLE001  any: none may keep the rest open; raised below
                failures.append(error)
        for task in tuple(self._tasks):
            await _cancelled(task)
        if failures:
            raise self._failure or failures[0]


THREADS_S = 3.0  # for calls in threads to end after everything is closed; most have shorter deadlines
LEAST_S = 0.1  # a closer's time when those before it took everything


async def _cancelled(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.wait({task})


class _Line(logging.Formatter):
    """`2026-11-23T02:55:00.123Z collector INFO message`, one line each; only a bug adds a trace."""

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s {service} %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802  logging's name
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{second}.{int(record.msecs):03d}Z"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


def log_to_stderr(service: str, level: str) -> None:
    """Everything that is logged goes to standard error, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(service))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for chatty in ("asyncio", "aiokafka", "aiohttp.access", "faust", "mode"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))


@contextlib.contextmanager
def listening(host: str, port: int, setting: str = "ROUNDTRIP_PORT") -> Iterator[None]:
    """Around what binds a socket: a port in use is a Problem that names it, and the setting that chose it."""
    try:
        yield
    except socket.gaierror as error:
        raise Problem(f"cannot listen on {host}: {error.strerror}; see ROUNDTRIP_HOST") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Problem(
                f"port {port} on {host} is in use; stop what listens there or set {setting}"
            ) from error
        if error.errno in (errno.EADDRNOTAVAIL, errno.EACCES):
            raise Problem(
                f"cannot listen on {host}:{port}: {error.strerror}; see ROUNDTRIP_HOST, {setting}"
            ) from error
        raise


def run(service: str, settings: Settings, main: Callable[[Lifetime], Awaitable[None]]) -> int:
    """Exit code 0 of a service that ran until SIGTERM or SIGINT; its failure is raised."""
    log_to_stderr(service, settings.log_level)
    ending = _Ending()
    uvloop.run(_live(service, settings, main, ending))
    ending.came()
    return 0


class _Ending:
    """The process ends THREADS_S after all was closed, whatever hangs in a thread by then.

    Python waits for its threads without a limit, and a call to a server that stands still hangs for minutes.
    """

    def __init__(self) -> None:
        self._came = threading.Event()

    def near(self, error: BaseException | None) -> None:
        """Everything is closed; error is the failure with which the process ends, if any."""
        threading.Thread(target=self._insist, args=(error,), name="the end", daemon=True).start()

    def came(self) -> None:
        """No thread hangs: the process ends in the usual way."""
        self._came.set()

    def _insist(self, error: BaseException | None) -> None:
        if self._came.wait(THREADS_S):
            return
        log.warning("a call still waits for its answer; the process ends without it")
        if error is not None:
            bug = None if isinstance(error, Problem) else error
            log.error("%s", str(error) or type(error).__name__, exc_info=bug)
        logging.shutdown()
        os._exit(getattr(error, "exit_code", 1) if error else 0)


async def _live(
    service: str, settings: Settings, main: Callable[[Lifetime], Awaitable[None]], ending: _Ending
) -> None:
    lifetime = Lifetime(service, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifetime.stop, signal.Signals(number).name)
    # A thread that dies silently would leave futures that never end: it ends the process.
    threading.excepthook = lambda args: lifetime.fail(args.exc_value or RuntimeError("a thread failed"))
    try:
        await lifetime.run(main)
    finally:
        ending.near(sys.exception())
