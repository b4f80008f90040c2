"""What lies where in a stack's directory: lock, signing keys, logs, addresses."""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from deploy.ports import free_ports, is_free
from service import keys, rotation
from service.errors import No, Usage
from service.keys import KeyFile
from service.settings import PORTS as SERVICE_PORTS
from service.stack_file import NAME as STACK_FILE
from service.stack_file import Stack

DEFAULT_PORTS = {**SERVICE_PORTS, "clickhouse": 8123, "broker": 9092}
LAST_PORT = 65_535


class RunningStack(Stack, frozen=True, kw_only=True):
    """stack.json as `up` writes it.

    supervisor: the process ID of `up`; 0 when it has stopped.
    health: each service's own address, for /readyz and /metrics.
    """

    supervisor: int = 0
    health: dict[str, str] = {}  # noqa: RUF012  msgspec copies it


def make_directory(directory: Path) -> None:
    """It is there, and nobody else may read what is in it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise Usage(f"--dir {directory} cannot be made: {error.strerror or error}; name another") from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """No other `up` runs in the directory meanwhile; the kernel frees the lock however this process ends."""
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            other = lock.read().strip() or "another"
            raise No(
                f"a stack already runs in {directory} (process {other}); end it or name another --dir"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def make_keys(directory: Path) -> Path:
    """The file of signing keys, made at the first start; only its owner may read it."""
    path = directory / "keys.toml"
    if not path.exists():
        first, _ = rotation.added(KeyFile(), keys.new_secret(), time.time_ns() // 1_000_000)
        keys.write(path, rotation.with_identifiers(first, keys.new_secret()))
    elif not (before := keys.read(path)).identifiers:
        keys.write(path, rotation.with_identifiers(before, keys.new_secret()))
    return path


def before(directory: Path) -> RunningStack | None:
    """What stack.json says of the run before; None where there was none, or another program wrote it."""
    try:
        return msgspec.json.decode((directory / STACK_FILE).read_bytes(), type=RunningStack)
    except (OSError, msgspec.MsgspecError):
        return None


def remembered_kafka(directory: Path) -> str:
    """The Kafka of the run before; empty where there was none."""
    stack = before(directory)
    return stack.kafka if stack else ""


def remembered_ports(directory: Path) -> dict[str, int]:
    """The ports of the run before; empty where there was none."""
    stack = before(directory)
    if stack is None:
        return {}
    addresses = {"clickhouse": stack.clickhouse, "broker": f"//{stack.kafka}", **stack.health}
    found = {name: urlsplit(address).port for name, address in addresses.items()}
    return {name: port for name, port in found.items() if port}


def several(part: str, ports: Iterable[str]) -> list[str]:
    """The names of a part's processes: its own, or PART-1, PART-2 … where these have ports of their own."""
    return [name for name in ports if name.startswith(f"{part}-")] or [part]


def choose_ports(wanted: int | None, remembered: dict[str, int], collectors: int = 1) -> dict[str, int]:
    """A port for each part; several collectors share theirs, and each has another one for its health.

    1. None given: the well-known ones.
    2. 0: those of the run before where they are free, else any free ones.
    3. N: the collector's is N, console, joiner, writer and notifier have N+1 to N+4; the others' as in 1.
    The ports for the health of several collectors follow the notifier's.
    """
    first = DEFAULT_PORTS["collector"] if wanted is None else wanted
    services = {name: port - DEFAULT_PORTS["collector"] + first for name, port in SERVICE_PORTS.items()}
    if collectors > 1:
        last = max(services.values())
        services |= {f"collector-{n}": last + n for n in range(1, collectors + 1)}
    if wanted != 0:
        if max(services.values()) > LAST_PORT:
            raise Usage(f"--port {wanted}: {len(services) - 1} more follow it, and {LAST_PORT} is the last")
        return {**DEFAULT_PORTS, **services}
    names = {**DEFAULT_PORTS, **services}
    free = dict(zip(names, free_ports(len(names)), strict=True))
    kept = {name: port for name, port in remembered.items() if name in free and is_free(port)}
    return {**free, **kept}
