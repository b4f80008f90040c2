"""A joiner of which the console says that it is silent is ended; one that is young is given its time."""

import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import supervisor
from deploy.parts import Service
from deploy.silence import Silence
from deploy.supervisor import watch
from tests.deploy.test_process import Enough, Program

SAID = "12 records wait and nothing was committed for 61 s"


class Console(Service):
    """Stands for the console: what it notes of the joiner."""

    def __init__(self, said: str = "") -> None:
        self.said = said
        self.asked = 0

    def note(self, name: str) -> str:
        assert name == "program"
        self.asked += 1
        return self.said


@pytest.fixture
def joiner(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path).start()
    yield made
    made.kill()


def test_a_silent_joiner_is_ended(joiner: Program, capsys: pytest.CaptureFixture[str]) -> None:
    pid = joiner.pid
    silence = Silence(joiner, Console(SAID), 60.0)  # type: ignore[arg-type]  a program stands for it
    silence.heed(100.0)
    assert joiner.exit_code is None
    silence.heed(160.0)
    assert joiner.exit_code == -signal.SIGKILL
    assert capsys.readouterr().out == f"program (process {pid}) is silent: {SAID}; it is ended\n"


def test_one_of_which_nothing_is_said_goes_on_and_is_asked_for_now_and_then(joiner: Program) -> None:
    console = Console()
    silence = Silence(joiner, console, 60.0)  # type: ignore[arg-type]  as above
    for turn in range(600):
        silence.heed(100.0 + turn / 5)
    assert joiner.exit_code is None
    assert console.asked == 12


def test_one_that_was_just_started_is_given_its_time(joiner: Program) -> None:
    silence = Silence(joiner, Console(SAID), 60.0)  # type: ignore[arg-type]  as above
    silence.heed(100.0)
    joiner.kill()
    joiner.start()
    silence.heed(170.0)
    silence.heed(229.0)
    assert joiner.exit_code is None
    silence.heed(230.0)
    assert joiner.exit_code == -signal.SIGKILL


def test_one_that_has_ended_is_not_ended_again(joiner: Program, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(SAID)
    silence = Silence(joiner, console, 60.0)  # type: ignore[arg-type]  as above
    silence.heed(100.0)
    joiner.kill()
    silence.heed(160.0)
    assert (console.asked, capsys.readouterr().out) == (0, "")


def test_a_joiner_that_stands_still_is_replaced(joiner: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP: nothing in the process could tell."""
    monkeypatch.setattr(supervisor, "POLL_S", 0.01)
    first = joiner.pid
    os.kill(first, signal.SIGSTOP)
    silence = Silence(joiner, Console(SAID), 0.05)  # type: ignore[arg-type]  as above

    def changed() -> None:
        raise Enough

    limit = time.monotonic() + 120

    def heed(now: float) -> None:
        assert now < limit
        silence.heed(now)

    with pytest.raises(Enough):
        watch([joiner], changed, lambda _: True, heed)
    assert joiner.pid != first


class Readiness(http.server.BaseHTTPRequestHandler):
    body: bytes

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps({"ready": True, "checks": {}, "notes": {"joiner": SAID}}).encode(), SAID),
        (json.dumps({"ready": True, "checks": {}}).encode(), ""),
        (b"", ""),
        (b"<html>", ""),
    ],
)
def test_what_the_console_notes_is_read_from_its_readiness(tmp_path: Path, body: bytes, said: str) -> None:
    handler = type("Handler", (Readiness,), {"body": body})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            console = Service("console", server.server_port, tmp_path / "console.log", {})
            assert console.note("joiner") == said
        finally:
            server.shutdown()
            thread.join()
    assert console.note("joiner") == ""
