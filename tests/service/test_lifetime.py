"""A process's life: ordered stop, failures that end it, single lines on standard error."""

import asyncio
import errno
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service import lifetime
from service.errors import Problem
from service.lifetime import Lifetime, listening
from service.settings import Settings

QUICK = Settings(drain_s=0.2)


async def test_what_was_opened_last_is_closed_first() -> None:
    closed: list[str] = []

    async def main(life: Lifetime) -> None:
        for name in ("journal", "producer", "server"):
            life.on_close(name, lambda name=name: _note(closed, name))  # type: ignore[misc]

    await Lifetime("x", QUICK).run(main)
    assert closed == ["server", "producer", "journal"]


async def _note(closed: list[str], name: str) -> None:
    closed.append(name)


async def test_a_stop_lets_main_end_by_itself() -> None:
    done: list[str] = []

    async def main(life: Lifetime) -> None:
        life.stop("enough")
        await life.wait()
        done.append("ended")

    await Lifetime("x", QUICK).run(main)
    assert done == ["ended"]


async def test_a_main_that_does_not_end_is_cancelled() -> None:
    async def main(life: Lifetime) -> None:
        life.stop("enough")
        await asyncio.Event().wait()

    await asyncio.wait_for(Lifetime("x", QUICK).run(main), 60)


async def test_a_failed_task_stops_the_process_with_its_error() -> None:
    closed: list[str] = []

    async def breaks() -> None:
        raise ValueError("broken")

    async def main(life: Lifetime) -> None:
        life.on_close("journal", lambda: _note(closed, "journal"))
        life.spawn(breaks(), "breaks")
        await life.wait()

    with pytest.raises(ValueError, match="broken"):
        await Lifetime("x", QUICK).run(main)
    assert closed == ["journal"]


async def test_a_failed_thread_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> None:
        raise ValueError("broken")

    async def main(life: Lifetime) -> None:
        monkeypatch.setattr(threading, "excepthook", lambda args: life.fail(args.exc_value))
        threading.Thread(target=breaks).start()
        await life.wait()

    with pytest.raises(ValueError, match="broken"):
        await Lifetime("x", QUICK).run(main)


async def test_one_closer_that_fails_or_hangs_keeps_no_other_from_closing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed: list[str] = []

    async def fails() -> None:
        raise OSError("disk")

    async def main(life: Lifetime) -> None:
        life.on_close("journal", lambda: _note(closed, "journal"))
        life.on_close("disk", fails)
        life.on_close("kafka", asyncio.Event().wait)

    with pytest.raises(OSError, match="disk"):
        await Lifetime("x", QUICK).run(main)
    assert closed == ["journal"]
    assert "kafka did not end" in caplog.text


async def test_what_stopped_the_process_is_told_and_not_what_that_does_to_its_closers() -> None:
    async def fails() -> None:
        raise OSError("cannot be closed")

    async def main(life: Lifetime) -> None:
        life.on_close("state", fails)
        life.fail(Problem("the disk is full"))
        await life.wait()

    with pytest.raises(Problem, match="the disk is full"):
        await Lifetime("x", QUICK).run(main)


@pytest.mark.parametrize("number", [errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL])
def test_an_address_that_cannot_be_had_is_a_problem_that_names_it(number: int) -> None:
    with pytest.raises(Problem, match="80"), listening("127.0.0.1", 80):
        raise OSError(number, "no")


def test_a_host_that_is_none_is_a_problem_that_names_it() -> None:
    with pytest.raises(Problem, match="999"), listening("999.1.1.1", 80):
        raise socket.gaierror(-2, "Name or service not known")


def test_a_log_line_is_one_line_with_time_service_and_severity() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "two\nlines %s", ("here",), None)
    record.created, record.msecs = 1795402500.123, 123.0
    assert (
        lifetime._Line("collector").format(record)
        == "2026-11-23T02:55:00.123Z collector INFO two\\nlines here"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_in_order_with_exit_code_0(number: signal.Signals) -> None:
    program = """
import sys
from service import lifetime
from service.settings import Settings
async def close():
    print("closed", flush=True)
async def main(life):
    life.on_close("it", close)
    print("running", flush=True)
    await life.wait()
sys.exit(lifetime.run("writer", Settings(), main))
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "closed\n")
    assert re.fullmatch(rf"\S+Z writer INFO stopping: {number.name}\n", err)


@pytest.mark.parametrize(("ending", "code"), [("", 0), ("raise No('the disk is full')", 1)])
def test_a_call_that_hangs_in_a_thread_does_not_keep_the_process(ending: str, code: int) -> None:
    program = f"""
import asyncio, sys, time
from service import lifetime
from service.errors import No
from service.settings import Settings
async def main(life):
    life.spawn(asyncio.to_thread(time.sleep, 60), "a server that stands still")
    await asyncio.sleep(0)
    {ending or "life.stop('enough')"}
sys.exit(lifetime.run("writer", Settings(drain_s=0.1), main))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code
    assert "writer WARNING a call still waits for its answer; the process ends without it" in done.stderr
    assert ("writer ERROR the disk is full" in done.stderr) == bool(ending)
