"""`up`: starts, is told where everything is, survives the loss of a part, and leaves nothing behind.

Kafka and ClickHouse are real; the five services are small programs (programs.py).
"""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import psutil
import pytest

from deploy.kafka_server import broker_count
from deploy.layout import RunningStack
from schemas.catalog_check import check
from schemas.catalog_versions import CatalogVersion, encode_version

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deploy" / "sample_catalog.toml"
PROGRAM = Path(__file__).with_name("programs.py")
DEADLINE_S = 300.0

pytestmark = pytest.mark.stack


class Run:
    """One `up` as a child process, in a directory."""

    def __init__(
        self,
        directory: Path,
        *words: str,
        broken: str = "",
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory
        self.lines: list[str] = []
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("ROUNDTRIP_")}
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, "up", "--dir", directory, *(words or ("--port", "0"))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**foreign, **settings, "BROKEN": broken},
        )

    def until(self, start: str) -> str:
        """The first further line that starts so."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(start):
                return line.rstrip()
        raise AssertionError(f"ended without {start!r}: {self.lines}")

    @property
    def stack(self) -> RunningStack:
        return msgspec.json.decode((self.directory / "stack.json").read_bytes(), type=RunningStack)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after the signal; what it said is in `lines`."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=DEADLINE_S)
        self.lines += output.splitlines()
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(*words: str, **more: Any) -> Run:
        runs.append(Run(tmp_path / "stack", *words, **more))
        return runs[-1]

    yield make
    for run in runs:
        run.process.kill()
        run.process.communicate()


def wait_for(what: Callable[[], bool]) -> None:
    limit = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < limit
        threading.Event().wait(0.02)


def none_lives(processes: list[psutil.Process]) -> bool:
    return psutil.wait_procs(processes, timeout=60)[1] == []


def test_a_stack_says_where_it_is_and_sigterm_leaves_nothing_behind(start: Callable[..., Run]):
    run = start()
    run.until("ready")
    stack, children = run.stack, run.descendants()
    assert sorted(pid for pids in stack.processes.values() for pid in pids) == sorted(
        child.pid for child in children
    )
    assert set(stack.processes) == {
        "collector",
        "joiner",
        "writer",
        "notifier",
        "console",
        "broker",
        "clickhouse",
    }
    assert {f"collector  {stack.collector}", f"kafka      {stack.kafka}"} <= set(run.lines)
    assert any(line.startswith("memory") and "broker" in line for line in run.lines)
    assert stat.S_IMODE((run.directory / "keys.toml").stat().st_mode) == 0o600
    assert run.end() == 0
    assert none_lives(children)
    assert run.stack.processes == {}
    assert (run.directory / "stops").read_text().split() == [
        "collector",
        "joiner",
        "writer",
        "notifier",
        "console",
    ]


def test_a_joiner_of_which_the_console_says_that_it_is_silent_is_replaced(start: Callable[..., Run]):
    run = start(settings={"ROUNDTRIP_SILENT_S": "5"})
    run.until("ready")
    (first,) = run.stack.processes["joiner"]
    (run.directory / "says").write_text('{"notes": {"joiner": "3 records wait"}}')
    assert run.until("joiner") == f"joiner (process {first}) is silent: 3 records wait; it is ended"
    assert "ended by signal 9; it is started again now" in run.until("joiner")
    run.until("joiner is started again")
    assert run.stack.processes["joiner"] != [first]


def test_ctrl_c_stops_as_sigterm_does(start: Callable[..., Run]):
    run = start()
    run.until("ready")
    children = run.descendants()
    assert run.end(signal.SIGINT) == 0
    assert none_lives(children)


def test_a_supervisor_that_is_killed_leaves_no_orphan_and_the_next_goes_on_on_the_same_ports(
    start: Callable[..., Run],
):
    run = start()
    run.until("ready")
    before, children = run.stack, run.descendants()
    keys = (run.directory / "keys.toml").read_bytes()
    run.process.kill()
    assert none_lives(children)
    again = start()
    again.until("ready")
    assert (again.stack.collector, again.stack.kafka, again.stack.clickhouse, again.stack.health) == (
        before.collector,
        before.kafka,
        before.clickhouse,
        before.health,
    )
    assert "topics and tables are at this version; nothing to do" in again.lines
    assert (run.directory / "keys.toml").read_bytes() == keys
    assert again.end() == 0


@pytest.mark.parametrize("part", ["joiner", "broker", "clickhouse"])
def test_a_part_that_is_killed_is_started_again_and_stack_json_rewritten(
    start: Callable[..., Run], part: str
):
    run = start()
    run.until("ready")
    [killed] = run.stack.processes[part]
    os.kill(killed, signal.SIGKILL)
    assert run.until(part) == f"{part} (process {killed}) ended by signal 9; it is started again now"
    line = run.until(part)
    assert line == f"{part} is started again as process {run.stack.processes[part][0]}"
    host, port = run.stack.kafka.split(":")
    wait_for(lambda: _answers(host, int(port)))
    assert run.end() == 0


def keep_catalog(directory: Path) -> None:
    """What a collector keeps of a catalog that was applied once."""
    catalog, _ = check(SAMPLE.read_text())
    assert catalog is not None
    version = CatalogVersion(
        version=1, applied_at="2026-11-01T00:00:00.000Z", applied_by="somebody", catalog=catalog
    )
    kept = directory / "catalog" / "000001.json"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(encode_version(version))


def test_a_broker_that_lost_its_disk_gets_topics_and_catalog_again(start: Callable[..., Run], tmp_path: Path):
    keep_catalog(tmp_path / "stack")
    run = start()
    run.until("ready")
    [killed] = run.stack.processes["broker"]
    (run.directory / "kafka" / "data").rename(run.directory / "kafka" / "gone")
    os.kill(killed, signal.SIGKILL)
    run.until("broker began with an empty directory")
    run.until("topic clicks: created")
    run.until("catalog: Kafka had none; versions 1 to 1 published again")
    assert run.end() == 0


def _answers(host: str, port: int) -> bool:
    try:
        return broker_count(host, port) == 1
    except OSError:
        return False


def test_several_collectors_share_a_port_and_each_is_started_again_by_itself(start: Callable[..., Run]):
    run = start(settings={"ROUNDTRIP_COLLECTORS": "3"})
    run.until("ready")
    before = run.stack.processes["collector"]
    health = [run.stack.health[f"collector-{n}"] for n in (1, 2, 3)]
    assert len({run.stack.collector, *health}) == 4
    assert any(
        line.startswith("memory") and all(f"collector-{n} " in line for n in (1, 2, 3)) for line in run.lines
    )
    os.kill(before[1], signal.SIGKILL)
    run.until(f"collector-2 (process {before[1]}) ended by signal 9; it is started again now")
    run.until("collector-2 is started again as process")
    after = run.stack.processes["collector"]
    assert (after[0], after[2], after[1] == before[1]) == (before[0], before[2], False)
    for address in (*health, run.stack.collector):
        host, port = address.removeprefix("http://").split(":")
        wait_for(lambda host=host, port=port: _accepts(host, int(port)))  # type: ignore[misc]
    assert run.end() == 0
    assert (run.directory / "stops").read_text().split()[3:] == ["joiner", "writer", "notifier", "console"]


def _accepts(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port)):
        return True
    return False


def test_a_second_stack_on_the_port_that_collectors_share_is_told_who_has_it(
    start: Callable[..., Run], tmp_path: Path
):
    run = start(settings={"ROUNDTRIP_COLLECTORS": "2"})
    run.until("ready")
    port = int(run.stack.collector.rpartition(":")[2])
    other = Run(tmp_path / "other", "--port", str(port))
    output, _ = other.process.communicate(timeout=DEADLINE_S)
    assert other.process.returncode == 1
    assert f"port {port} (collector) is in use by process" in output
    assert run.end() == 0


def test_started_twice_in_a_directory_the_second_names_the_first(start: Callable[..., Run]):
    first = start()
    first.until("ready")
    second = start()
    output, _ = second.process.communicate(timeout=DEADLINE_S)
    assert second.process.returncode == 1
    assert f"a stack already runs in {first.directory} (process {first.process.pid})" in output
    assert first.end() == 0


def test_a_port_in_use_is_named_with_its_holder_before_anything_starts(start: Callable[..., Run]):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = start("--port", str(min(port, 65_000)))
        output, _ = run.process.communicate(timeout=DEADLINE_S)
    assert run.process.returncode == 1
    assert f"port {port} (collector) is in use by process {os.getpid()}" in output
    assert not (run.directory / "log").exists()


def test_a_service_that_cannot_start_ends_everything_with_its_last_words(start: Callable[..., Run]):
    run = start(broken="writer")
    output, _ = run.process.communicate(timeout=DEADLINE_S)
    assert run.process.returncode == 1
    assert "up: writer ended at start with exit code 1: the disk is full (log: " in output.splitlines()[-1]


def test_another_broker_that_cannot_be_reached_is_exit_code_3(start: Callable[..., Run]):
    run = start("--port", "0", "--broker", "127.0.0.1:1")
    output, _ = run.process.communicate(timeout=DEADLINE_S)
    assert run.process.returncode == 3
    assert "Kafka at 127.0.0.1:1 cannot be reached" in output.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--broker", ""], "write HOST:PORT, several with commas between them, not ''"),
        (["--broker", "k1:9092,k2"], "write HOST:PORT"),
        (["--port", "x"], "a port is 0 to 65531, not 'x'"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(start: Callable[..., Run], words: list[str], said: str):
    run = start(*words)
    output, _ = run.process.communicate(timeout=DEADLINE_S)
    assert run.process.returncode == 2
    assert said in output
    assert not run.directory.exists()


def test_a_wrong_setting_is_told_before_anything_starts(
    start: Callable[..., Run],
):
    run = start("--port", "0", settings={"ROUNDTRIP_PARTITIONS": "many"})
    output, _ = run.process.communicate(timeout=DEADLINE_S)
    assert run.process.returncode == 2
    assert "ROUNDTRIP_PARTITIONS" in output
    assert not (run.directory / "log").exists()


def test_a_catalog_that_the_directory_keeps_is_published_to_its_new_kafka(
    start: Callable[..., Run], tmp_path: Path
):
    keep_catalog(tmp_path / "stack")
    run = start("--port", "0", "--catalog", str(SAMPLE))
    run.until("catalog: Kafka had none; versions 1 to 1 published again")
    run.until("nothing to do: version 1, in force since 2026-11-01")
    run.until("ready")
    assert run.end() == 0
