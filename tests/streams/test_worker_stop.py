"""A joiner that never saw Kafka does not wait for it when it is asked to end."""

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from deploy.ports import free_port
from deploy.process import Server

# A look at Kafka that is under way would take an hour; usually 10 s.
PROGRAM = """
import sys, roundtrip
from service.kafka import Admin
Admin.__init__.__defaults__ = (3600.0,)
sys.exit(roundtrip.main(["joiner"]))
"""
STOP_S = 120.0


class Joiner(Server):
    name = "joiner"

    def __init__(self, directory: Path) -> None:
        self.log = directory / "joiner.log"
        self.port = free_port()
        self.settings = {"ROUNDTRIP_DIR": str(directory), "ROUNDTRIP_KAFKA": "127.0.0.1:1"}

    def command(self) -> list[str]:
        return [sys.executable, "-c", PROGRAM]

    def environ(self) -> dict[str, str]:
        return {**super().environ(), **self.settings, "ROUNDTRIP_PORT": str(self.port)}

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False


def test_a_joiner_that_never_saw_kafka_stops_without_it(tmp_path: Path) -> None:
    with Joiner(tmp_path) as joiner:
        process = joiner.process
        assert isinstance(process, subprocess.Popen)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
