"""`roundtrip up`: the whole stack on one machine, in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from deploy import layout
from deploy.first_link import first_link
from deploy.leftovers import end_leftovers
from deploy.parts import MakeService, Parts, Service
from deploy.ports import require_free
from deploy.process import Server, ends_with_parent
from deploy.silence import Silence
from deploy.supervisor import stop_in_order, watch
from deploy.terminal import say
from service import adjust_token, stack_file
from service import settings as service_settings
from service.catalog_follower import Shelf
from service.errors import No, Problem, Unreachable, Usage

STEP_DEADLINE_S = 120.0  # for migrate and `catalog apply`; usually 1 s
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SERVICE_READY_S = 180.0  # a first join waits for Kafka's session to end, on a busy machine
ENDINGS = {2: Usage, 3: Unreachable}
MEGABYTE = 1_000_000


class Stopped(BaseException):
    """Somebody asked `up` to end: SIGTERM, SIGINT or SIGHUP."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `up` takes."""
    parser.add_argument(
        "--dir", metavar="DIR", type=Path, help="everything that the stack keeps (default: .roundtrip)"
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=_port,
        help="the collector's port (default 8080); console, joiner, writer and notifier take the next four,"
        " ClickHouse 8123, Kafka 9092. 0 takes free ports: those of the run before, where nobody took them",
    )
    parser.add_argument(
        "--broker", metavar="HOST:PORT", type=_broker, help="this Kafka, instead of one of our own"
    )
    parser.add_argument("--catalog", metavar="FILE", type=Path, help="apply this catalog file at start")


def _port(text: str) -> int:
    last = layout.LAST_PORT - 4  # four more follow it
    if not text.isascii() or not text.isdigit() or int(text) > last:
        raise argparse.ArgumentTypeError(f"a port is 0 to {last}, not {text!r}")
    return int(text)


def _broker(text: str) -> str:
    if not all(re.fullmatch(r"[^\s:,]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}", each) for each in text.split(",")):
        raise argparse.ArgumentTypeError(f"write HOST:PORT, several with commas between them, not {text!r}")
    return text


def run(args: argparse.Namespace) -> int:
    """0 after an ordered stop."""
    return up(args)


def up(args: argparse.Namespace, make_service: MakeService = Service) -> int:
    """The stack has run in its directory until somebody ended it."""
    if args.catalog and not args.catalog.is_file():
        raise Usage(f"--catalog {args.catalog}: there is no such file")
    collectors = _collectors()
    directory = Path(args.dir or os.environ.get("ROUNDTRIP_DIR") or ".roundtrip").absolute()
    layout.make_directory(directory)
    with layout.locked(directory), ended_by_signals():
        for pid in end_leftovers(directory):
            say(f"ended process {pid}, which an earlier run in {directory} had left")
        ports = layout.choose_ports(args.port, layout.remembered_ports(directory), collectors)
        if args.broker:
            ports.pop("broker")
        require_free(ports)
        layout.make_keys(directory)
        adjust_token.make(directory)
        parts = Parts(directory, ports, args.broker, make_service)
        service_settings.read("migrate", parts.settings)  # a wrong one is told before anything starts
        live(parts, args.catalog)
    say(f"stopped; `roundtrip up --dir {directory}` goes on where it was")
    return 0


def _collectors() -> int:
    """How many collectors there are to be."""
    name = "ROUNDTRIP_COLLECTORS"
    return service_settings.read("up", {name: os.environ.get(name, "")}).collectors


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ends when it is done, or orderly at SIGTERM, SIGINT or SIGHUP."""

    def stop(_number: int, _frame: object) -> None:
        ignore_signals()
        raise Stopped

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """A second Ctrl-C leaves the ordered stop alone; it takes seconds, and each part has its deadline."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def live(parts: Parts, catalog: Path | None) -> None:
    """Everything starts, is watched, and stops in order whatever happens."""
    began = time.monotonic()
    try:
        start(parts, catalog)
        announce(parts, time.monotonic() - began)
        watch(
            parts.all,
            lambda: stack_file.write(parts.directory, parts.stack(running=True)),
            lambda server: furnished(parts, server),
            Silence(parts.service("joiner"), parts.service("console"), parts.silent_s).heed,
        )
    finally:
        ignore_signals()
        say("stopping")
        stop_in_order(parts.all)
        end_leftovers(parts.directory)  # whoever was started at the very moment of a signal
        say_stopped(parts)


def say_stopped(parts: Parts) -> None:
    """stack.json, where there is one, keeps the addresses and names no process."""
    if (parts.directory / stack_file.NAME).exists():
        stack_file.write(parts.directory, parts.stack(running=False))


def start(parts: Parts, catalog: Path | None) -> None:
    """Every part is ready: storage side by side, its schema, then the services side by side."""
    is_new_log = parts.may_lack_catalog
    say_stopped(parts)  # after kill -9 it still names processes of the run before
    for server in parts.storage:
        server.spawn()
    for server in parts.storage:
        server.wait_ready()
    step(parts, "roundtrip", "migrate")
    if is_new_log:
        step(parts, "deploy.catalog_again")
    for server in parts.services:
        server.spawn()
    if catalog:
        step(parts, "roundtrip", "catalog", "apply", str(catalog))
    for server in parts.services:
        server.wait_ready(SERVICE_READY_S)
    stack_file.write(parts.directory, parts.stack(running=True))


def furnished(parts: Parts, server: Server) -> bool:
    """Whether a broker that lost its disk has topics and catalog again; what is not so is told."""
    say(f"{server.name} began with an empty directory: topics and catalog are brought back")
    try:
        step(parts, "roundtrip", "migrate")
        step(parts, "deploy.catalog_again")
    except Problem as problem:
        say(f"{problem}; tried again soon")
        return False
    return True


def step(parts: Parts, module: str, *words: str) -> None:
    """The module's command succeeded; what it said is passed on. Its failure is ours, with its exit code.

    A process of its own: Kafka's client has threads, which must not be around when the supervisor forks.
    """
    name = " ".join(words[:2]) or module
    try:
        done = subprocess.run(  # noqa: S603  the command is ours
            [sys.executable, "-m", module, *words],
            env={**os.environ, **parts.settings},
            capture_output=True,
            text=True,
            timeout=STEP_DEADLINE_S,
            check=False,
            preexec_fn=ends_with_parent(),
        )
    except subprocess.TimeoutExpired as error:
        raise No(f"{name} had not ended after {STEP_DEADLINE_S:.0f} s") from error
    for line in done.stdout.splitlines():
        say(line)
    if done.returncode:
        said = done.stderr.strip()[-2000:] or "failed"
        raise ENDINGS.get(done.returncode, No)(f"{name}: {said.partition(': ')[2] or said}")


def announce(parts: Parts, seconds: float) -> None:
    """Addresses, memory, and the line that starts with `ready`."""
    for name, address in parts.addresses.items():
        say(f"{name:<11}{address}")
    if health := [f"{name} {url}" for name, url in parts.stack(running=False).health.items() if "-" in name]:
        say(f"health     {', '.join(health)}")
    sizes = {"up": memory(os.getpid()), **{server.name: memory(server.pid) for server in parts.all}}
    each = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items(), key=lambda item: -item[1]))
    say(f"memory     {sum(sizes.values())} MB: {each}")
    if any(service.complaints() for service in parts.services):
        say(f"no click is taken before a catalog is: roundtrip catalog apply FILE --dir {parts.directory}")
    newest = deque(Shelf(parts.directory / "catalog").load(), maxlen=1)
    if newest and (link := first_link(parts.addresses["collector"], newest[0].catalog)):
        say(f"follow     {link}")
    say(f"ready after {seconds:.1f} s; everything is in {parts.directory}; Ctrl-C stops it in order")


def memory(pid: int) -> int:
    """Resident megabytes of a process; 0 when it has just ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss) // MEGABYTE
    except psutil.NoSuchProcess:
        return 0
