"""One of the services as a process of its own, for what only a process shows."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

from service.settings import Settings


class Service:
    """`roundtrip NAME`, killed at the end of the block if it still runs."""

    def __init__(self, name: str, config: Settings, **more: str) -> None:
        self.name = name
        self.log = Path(config.dir) / f"{name}.log"
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("ROUNDTRIP_")},
            "ROUNDTRIP_DIR": str(config.dir),
            "ROUNDTRIP_PORT": "0",
            "ROUNDTRIP_KAFKA": config.kafka,
            "ROUNDTRIP_TOPIC_PREFIX": config.topic_prefix,
            "ROUNDTRIP_CLICKHOUSE": config.clickhouse,
            "ROUNDTRIP_CLICKHOUSE_DATABASE": config.clickhouse_database,
            **more,
        }

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "roundtrip", self.name], env=self.environ, stderr=log, stdout=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(120)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def lines(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines()

    @property
    def url(self) -> str:
        found = re.findall(r"http://127\.0\.0\.1:\d+", self.log.read_text("utf-8"))
        return found[0] if found else ""

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:  # noqa: S310  our own loopback address
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def body(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:  # noqa: S310  our own loopback address
            return str(answer.read().decode())


def wait_until(true: Callable[[], bool], deadline_s: float = 120.0, what: Callable[[], object] = str) -> None:
    """Waits for the thing itself."""
    ends = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < ends, what()
        time.sleep(0.05)
