"""A real ClickHouse server out of the chdb-core wheel, as a child process on loopback.

`python -m deploy.clickhouse_server --dir DIR --port N` is that child; `ClickHouseServer` starts and stops it.
"""

import argparse
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deploy.ports import LOOPBACK, free_port
from deploy.process import Server
from deploy.terminal import complain
from service.errors import No, Problem

# The way in (SYSTEM START LISTEN inside a query that never ends) is private: tried with this version.
CHDB_VERSION = "26.9.0"
PROBE_S = 1.0

CONFIG = """\
<clickhouse>
  <listen_host>{host}</listen_host>
  <http_port>{port}</http_port>
  <log-level>warning</log-level>
  <logger><level>warning</level><console>1</console></logger>
  <users_config>users.xml</users_config>
  <!-- Bounds for a machine that is shared with a broker, the services and a person's editor. -->
  <max_server_memory_usage>3000000000</max_server_memory_usage>
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
  <mark_cache_size>134217728</mark_cache_size>
  <index_mark_cache_size>33554432</index_mark_cache_size>
  <primary_index_cache_size>134217728</primary_index_cache_size>
  <max_concurrent_queries>100</max_concurrent_queries>
</clickhouse>
"""

USERS = """\
<clickhouse>
  <profiles><default>
    <max_memory_usage>2000000000</max_memory_usage>
    <max_bytes_before_external_group_by>1000000000</max_bytes_before_external_group_by>
    <max_bytes_before_external_sort>1000000000</max_bytes_before_external_sort>
  </default></profiles>
  <users><default>
    <password></password>
    <networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
  </default></users>
  <quotas><default/></quotas>
</clickhouse>
"""


class ClickHouseServer(Server):
    """ClickHouse in a directory: `with ClickHouseServer(path) as clickhouse:` then `clickhouse.url`.

    directory: everything it writes; the same directory goes on where it was, also after kill -9.
    port: 0 takes a free one, kept over restarts of this object.
    """

    name = "clickhouse"

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory.absolute()
        self.port = port or free_port()
        self.log = log or self.directory / "clickhouse.log"
        self.environment = environment

    @property
    def url(self) -> str:
        """Its HTTP interface."""
        return f"http://{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """`No` where the installed chdb-core is another than the one that was tried."""
        require_version()

    def command(self) -> Sequence[str]:
        """The module itself as a program."""
        where = ["--dir", str(self.directory), "--port", str(self.port)]
        return [sys.executable, "-m", "deploy.clickhouse_server", *where]

    def is_ready(self) -> bool:
        """Whether a query is answered."""
        try:
            with urllib.request.urlopen(f"{self.url}/?query=SELECT%201", timeout=PROBE_S) as answer:  # noqa: S310  our URL
                return bool(answer.read() == b"1\n")
        except (OSError, urllib.error.URLError):
            return False


def require_version() -> None:
    """The installed chdb-core is the one whose private entry was tried."""
    try:
        found = version("chdb-core")
    except PackageNotFoundError:
        found = "missing"
    if found != CHDB_VERSION:
        raise No(
            f"the embedded ClickHouse needs chdb-core {CHDB_VERSION}, here it is {found}; run `make setup`"
        )


def serve(directory: Path, port: int) -> int:
    """Serves until SIGTERM or SIGINT, then has stopped in order; 1 where the engine stops by itself.

    chdb reads config.xml from the working directory when its engine starts. The engine serves as long as the
    query runs, and the query as long as nobody closes the pipe that it reads.
    """
    require_version()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.xml").write_text(CONFIG.format(host=LOOPBACK, port=port))
    (directory / "users.xml").write_text(USERS)
    from chdb import _chdb  # noqa: PLC0415  0.8 s and 250 MB: only in the child, and before chdir

    os.chdir(directory)
    reading, writing = os.pipe()
    asked = threading.Event()

    def end(_signal: int, _frame: object) -> None:
        if not asked.is_set():
            asked.set()
            os.close(writing)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    pipe = f"file('/proc/self/fd/{reading}', LineAsString, 'line String')"
    query = f"SYSTEM START LISTEN HTTP; SELECT count() FROM {pipe}"  # noqa: S608  nobody's input
    engine: Any = _chdb  # compiled, without types
    serving = threading.Thread(
        target=engine.query, args=(query, "TSV"), kwargs={"path": str(directory / "data")}
    )
    serving.start()
    serving.join()  # Python's main thread must stay free for the signal
    return 0 if asked.is_set() else 1


def main() -> int:
    """The child's command line."""
    parser = argparse.ArgumentParser(prog="clickhouse_server", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="everything it writes")
    parser.add_argument("--port", type=int, required=True, help="its HTTP port on loopback")
    given = parser.parse_args()
    return serve(given.dir.absolute(), given.port)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:
        complain(f"clickhouse_server: {problem}")
        sys.exit(problem.exit_code)
