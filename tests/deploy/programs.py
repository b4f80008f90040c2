"""Small programs for these tests: a service that only answers /readyz, and `up` with five of them."""

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from deploy import stack
from deploy.parts import Service
from service.errors import Problem


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        said = Path(os.environ["ROUNDTRIP_DIR"]).joinpath("says")  # a test's own: what /readyz says of all
        if said.exists():
            self.wfile.write(said.read_bytes())

    def log_message(self, *_: object) -> None:
        pass


class Sharing(HTTPServer):
    """Listens on a port that others of its kind share."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


class SmallService(Service):
    """As a real one, but the program is this file."""

    def command(self) -> Sequence[str]:
        return [sys.executable, __file__, "service", self.name]


def small_service(name: str, port: int, log: Path, environment: Mapping[str, str]) -> Service:
    return SmallService(name, port, log, environment)


def serve(name: str) -> int:
    if os.environ.get("BROKEN") == name:  # a test's own name, not a setting
        sys.stderr.write("the disk is full\n")
        return 1
    with Path(os.environ["ROUNDTRIP_DIR"]).joinpath("stops").open("a") as stops:

        def stop(_number: int, _frame: object) -> None:
            stops.write(f"{name}\n")
            stops.flush()
            os._exit(0)

        signal.signal(signal.SIGTERM, stop)
        shared = Sharing(("127.0.0.1", int(os.environ["ROUNDTRIP_PORT"])), Ready)
        if health := os.environ["ROUNDTRIP_HEALTH_PORT"]:
            own = HTTPServer(("127.0.0.1", int(health)), Ready)
            threading.Thread(target=own.serve_forever, daemon=True).start()
        shared.serve_forever()
    return 0


def main(words: list[str]) -> int:
    if words[0] == "service":
        return serve(words[1])
    parser = argparse.ArgumentParser()
    stack.arguments(parser)
    try:
        return stack.up(parser.parse_args(words[1:]), small_service)
    except Problem as problem:
        sys.stderr.write(f"up: {problem}\n")
        return problem.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
