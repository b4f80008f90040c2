"""The demo shows the whole round trip, and leaves nothing behind however it ends."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from proof import demo
from schemas.catalog_check import check
from schemas.catalog_toml import dump


def test_the_demos_catalog_is_valid_and_tells_the_affiliate() -> None:
    catalog = demo._subscribed(12345)
    again, complaints = check(dump(catalog))
    assert complaints == []
    assert again is not None
    affiliate = again.affiliate(demo.SUBSCRIBER)
    assert affiliate
    assert [wish.url for wish in affiliate.postbacks] == [f"http://127.0.0.1:12345{demo.CALL}"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A small demo whose directory is under tmp_path."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proof.demo", "--clicks", "600"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


def left_behind(tmp_path: Path) -> list[str]:
    """Directories of the demo, and processes that name one."""
    found = [str(path) for path in tmp_path.glob("roundtrip-demo-*")]
    for process in psutil.process_iter(["cmdline"]):
        found += [word for word in process.info["cmdline"] or () if str(tmp_path) in word]
    return found


@pytest.mark.stack
def test_the_demo_shows_all_and_leaves_nothing(running: subprocess.Popen[str], tmp_path: Path) -> None:
    out, _ = running.communicate(timeout=900)
    assert running.returncode == 0, out
    for shown in (
        "$ roundtrip simulate",
        "equal: ",
        "$ roundtrip report",
        "$ roundtrip trace",
        "$ roundtrip lag",
    ):
        assert shown in out
    assert re.search(r"until a query saw it: +p50 \d", out)
    assert re.search(r"0 of them were not told", out)
    assert left_behind(tmp_path) == []


def test_being_told_to_end_cancels_what_runs() -> None:
    ended = []

    async def runs() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("in order")
            raise

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]  # as a shell's `&` has it
    try:
        demo.heed_signals()
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(runs())
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert ended == ["in order"]


@pytest.mark.stack
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(
    running: subprocess.Popen[str], tmp_path: Path, how: signal.Signals
) -> None:
    assert running.stdout
    for line in running.stdout:
        if line.startswith("$ roundtrip simulate"):
            break
    running.send_signal(how)
    out, _ = running.communicate(timeout=300)
    assert running.returncode == demo.INTERRUPTED, out
    assert "Traceback" not in out
    assert left_behind(tmp_path) == []
