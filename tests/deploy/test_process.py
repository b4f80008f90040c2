"""A child process: ready, stopped, killed, ended with its parent."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from deploy import supervisor
from deploy.leftovers import end_leftovers, leftovers, mark
from deploy.process import Server
from deploy.supervisor import watch
from service.errors import No

ROOT = Path(__file__).parents[2]
RUNS = "import sys, time; print('here', flush=True); time.sleep(600)"


class Program(Server):
    """A line of Python; ready when it has printed `here`."""

    name = "program"

    def __init__(self, directory: Path, code: str = RUNS) -> None:
        self.log = directory / "program.log"
        self.code = code
        self.environment = mark(directory)

    def command(self) -> Sequence[str]:
        return [sys.executable, "-S", "-c", self.code]

    def is_ready(self) -> bool:
        return self.log.read_text().endswith("here\n")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    made.kill()


def test_a_stopped_program_has_ended_and_starts_again(program: Program):
    first = program.start().pid
    program.stop()
    assert program.exit_code == -signal.SIGTERM
    assert program.start().pid != first
    assert program.exit_code is None


def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(program: Program):
    program.code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + RUNS
    program.grace_s = 0.1
    program.start()
    program.stop()
    assert program.exit_code == -signal.SIGKILL


def test_a_program_that_ends_at_start_is_told_with_its_last_words(program: Program):
    program.code = "import sys; print('why', flush=True); sys.exit('no disk')"
    with pytest.raises(No, match=r"ended at start with exit code 1: why \| no disk \(log: .*program.log\)"):
        program.start()


def test_a_program_that_is_never_ready_is_ended_after_the_deadline(program: Program):
    program.code = "import time; time.sleep(600)"
    with pytest.raises(No, match=r"was not ready after \d+ s"):
        program.start(deadline_s=0.2)
    assert program.exit_code == -signal.SIGKILL


def test_a_long_log_is_put_aside_at_the_next_start(program: Program):
    program.log.write_bytes(b"x" * (17 * 1024 * 1024))
    program.start()
    assert program.log.read_text() == "here\n"
    assert program.log.with_name("program.log.1").stat().st_size == 17 * 1024 * 1024


PARENT = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[2])
from test_process import Program
print(Program(pathlib.Path(sys.argv[1])).start().pid, flush=True)
time.sleep(600)
"""


def test_a_parent_that_is_killed_takes_its_child_along(tmp_path: Path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path, Path(__file__).parent],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs([child], timeout=60)
    assert alive == []


def test_what_an_earlier_run_left_in_a_directory_is_found_by_its_mark_and_ended(tmp_path: Path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    ours, others = Program(here).start(), Program(elsewhere).start()
    reaper = threading.Thread(target=ours.process.wait)  # type: ignore[union-attr]  an orphan's reaper is init
    reaper.start()
    try:
        assert [process.pid for process in leftovers(here)] == [ours.pid]
        assert end_leftovers(here) == [ours.pid]
        assert leftovers(here) == []
        assert others.exit_code is None
    finally:
        ours.kill()
        others.kill()
        reaper.join(60)


class Enough(Exception):
    pass


def test_a_part_that_lost_what_it_keeps_is_furnished_once_it_is_ready_and_again_where_that_fails(
    program: Program, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervisor, "FURNISH_S", 0.0)
    monkeypatch.setattr(Program, "begins_empty", property(lambda _: True))
    first = program.start().pid
    os.kill(first, signal.SIGKILL)
    asked: list[tuple[int, bool]] = []

    def furnished(server: Server) -> bool:
        asked.append((server.pid, server.is_ready()))
        if len(asked) == 2:
            monkeypatch.setattr(Program, "begins_empty", property(lambda _: False))
            os.kill(server.pid, signal.SIGKILL)
        return len(asked) == 2

    starts: list[int] = []

    def changed() -> None:
        starts.append(program.pid)
        if len(starts) == 2:
            raise Enough

    with pytest.raises(Enough):
        watch([program], changed, furnished)
    assert asked == [(starts[0], True)] * 2


def test_a_part_that_is_killed_is_started_again_and_said(
    program: Program, capsys: pytest.CaptureFixture[str]
):
    first = program.start().pid
    os.kill(first, signal.SIGKILL)

    def changed() -> None:
        raise Enough

    with pytest.raises(Enough):
        watch([program], changed, lambda _: True)
    said = capsys.readouterr().out
    assert said == f"program (process {first}) ended by signal 9; it is started again now\n"
    program.wait_ready()


def test_a_part_that_keeps_ending_is_started_later_each_time(
    program: Program, capsys: pytest.CaptureFixture[str]
):
    program.code = "raise SystemExit('no disk')"
    program.spawn()
    starts = 0

    def changed() -> None:
        nonlocal starts
        starts += 1
        if starts == 3:
            raise Enough

    with pytest.raises(Enough):
        watch([program], changed, lambda _: True)
    ends = [line for line in capsys.readouterr().out.splitlines() if "ended" in line]
    assert [line.split("started again ")[1].split(":")[0] for line in ends] == ["now", "in 0.5 s", "in 1 s"]
    assert all("no disk" in line for line in ends)
