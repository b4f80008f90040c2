"""Several collectors on one port: what changes reaches all, one that dies takes nothing with it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from deploy.kafka_server import KafkaServer
from deploy.layout import make_keys
from deploy.ports import free_port, free_ports
from service import keys, rotation
from service.settings import Settings
from tests.ingest.fakes import CATALOG, KNOWN
from tests.ingest.processes import Collector, apply, get, held, prepare

pytestmark = pytest.mark.stack

CLICK = "/click?offer_id=9&aff_id=42"
DEADLINE_S = 120.0
NEW_OFFER = msgspec.structs.replace(
    KNOWN.catalog,
    version=6,
    catalog=msgspec.structs.replace(
        CATALOG, offers=(*CATALOG.offers, msgspec.structs.replace(CATALOG.offers[2], id=10))
    ),
)


class Pair:
    """Two collectors of one directory on one port."""

    def __init__(self, settings: Settings, place: Path) -> None:
        self.settings = settings
        self.place = place
        self.running = [self.start(number, port) for number, port in enumerate(free_ports(2))]
        for each in self.running:
            each.until_ready(200)

    def start(self, number: int, health_port: int) -> Collector:
        return Collector(
            msgspec.structs.replace(self.settings, health_port=health_port), self.place / f"log-{number}"
        )

    def answered(self) -> list[int]:
        """How many requests each process has answered."""
        return [
            sum(
                int(float(line.split()[1]))
                for line in each.get("/metrics")[1].decode().splitlines()
                if line.startswith("roundtrip_requests_total")
            )
            for each in self.running
        ]

    def until_both(self, path: str, status: int) -> None:
        """Both processes have answered the path so, and none otherwise since."""
        before = self.answered()
        until(
            lambda: (
                self._answers(path, status)
                and all(a > b for a, b in zip(self.answered(), before, strict=True))
            )
        )

    def _answers(self, path: str, status: int) -> bool:
        return [get(self.settings.port, path)[0] for _ in range(16)] == [status] * 16

    def end(self) -> None:
        for each in self.running:
            each.process.kill()
            each.process.wait()


def until(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.02)  # the pause between two looks


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def settings(kafka: KafkaServer, tmp_path: Path) -> Settings:
    """Of an installation of its own in the one Kafka, with a catalog."""
    found = Settings(
        dir=tmp_path / "state",
        kafka=kafka.address,
        partitions=2,
        replication=1,
        port=free_port(),
        topic_prefix=f"{tmp_path.name}.",
    )
    found.dir.mkdir()
    make_keys(found.dir)
    prepare(found)
    asyncio.run(apply(found))
    return found


@pytest.fixture
def pair(settings: Settings, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(settings, tmp_path)
    yield made
    made.end()


SHOWN = "/impression?offer_id={}&aff_id=42"


def test_connections_are_spread_and_a_new_catalog_reaches_both(pair: Pair) -> None:
    pair.until_both(SHOWN.format(9), 200)
    pair.until_both(SHOWN.format(10), 404)
    asyncio.run(apply(pair.settings, NEW_OFFER))
    pair.until_both(SHOWN.format(10), 200)
    for each in pair.running:
        each.process.send_signal(signal.SIGTERM)
    assert [each.process.wait(DEADLINE_S) for each in pair.running] == [0, 0]


def test_one_is_killed_and_what_it_answered_is_shipped_by_the_other(pair: Pair, kafka: KafkaServer) -> None:
    """Kafka stands still until the one is dead: what it answered lies in its journal alone."""
    path = f"/postback?transaction_id={clicked(pair.settings)}&test=1&order_id={{}}"
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        receipts = [told for n in range(300) if (told := receipt(pair.settings.port, path.format(n)))]
        pair.running[0].process.kill()
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
    receipts += [told for n in range(300, 400) if (told := receipt(pair.settings.port, path.format(n)))]
    assert len(receipts) > 300
    assert len({told.partition("-")[0] for told in receipts}) == 2
    until(lambda: {fact.receipt_id for fact in held(pair.settings, "postbacks")} >= set(receipts))


def clicked(settings: Settings) -> str:
    """The transaction of a click that was answered, as Kafka has it."""
    assert get(settings.port, CLICK)[0] == 302
    return held(settings, "clicks")[0].transaction_id


def receipt(port: int, path: str) -> str:
    """The receipt of an accepted postback; empty where the process that should have answered was killed."""
    with contextlib.suppress(OSError, ConnectionError):
        status, said = get(port, path)
        assert status == 200, said
        return str(json.loads(said)["receipt"])
    return ""


def test_without_kafka_they_start_with_the_catalog_of_their_disk(
    pair: Pair, tmp_path: Path, settings: Settings
) -> None:
    for each in pair.running:
        each.process.send_signal(signal.SIGTERM)
        assert each.process.wait(DEADLINE_S) == 0
    nowhere = msgspec.structs.replace(settings, kafka="127.0.0.1:1")
    alone = Collector(msgspec.structs.replace(nowhere, health_port=free_port()), tmp_path / "log-alone")
    try:
        alone.until_ready(200)
        assert get(settings.port, CLICK)[0] == 302
    finally:
        alone.process.kill()
        alone.process.wait()


def test_a_disk_that_takes_no_catalog_is_said_once_and_stops_nobody(
    settings: Settings, tmp_path: Path
) -> None:
    (settings.dir / "catalog").write_text("no directory: to root everything else can be written")
    one = Collector(settings, tmp_path / "log")
    try:
        one.until_ready(200)
        assert one.get(CLICK)[0] == 302
        asyncio.run(apply(settings, NEW_OFFER))
        until(lambda: one.get(SHOWN.format(10))[0] == 200)
        lines = [line for line in one.log.read_text().splitlines() if "catalog" in line]
        assert len([line for line in lines if "in memory only" in line]) == 1, lines
    finally:
        one.process.kill()
        one.process.wait()


def test_the_port_of_another_program_is_an_error_that_names_it(settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        foreign.bind(("127.0.0.1", settings.port))
        foreign.listen()
        one = Collector(settings, tmp_path / "log")
        assert one.process.wait(DEADLINE_S) == 1
    assert f"port {settings.port} on 127.0.0.1 is in use" in one.log.read_text()
    assert "Traceback" not in one.log.read_text()


def test_keys_rotate_under_running_collectors(pair: Pair) -> None:
    path = pair.settings.keys_path
    keys.write(path, rotation.added(keys.read(path), keys.new_secret(), time.time_ns() // 1_000_000)[0])
    until(lambda: all(key_of(each, 2) == 1 for each in pair.running))
    keys.write(path, rotation.signing(keys.read(path), 2, time.time_ns() // 1_000_000, 0, at_once=True))
    until(lambda: all((key_of(each, 1), key_of(each, 2)) == (1, 2) for each in pair.running))
    good = path.read_bytes()
    path.write_text("[[keys")
    until(lambda: all("keys" in each.ask("/readyz")[1].get("notes", {}) for each in pair.running))
    assert [each.ask("/readyz")[0] for each in pair.running] == [200, 200]
    pair.until_both(CLICK, 302)
    path.write_bytes(good)
    os.utime(path)
    until(lambda: not any(each.ask("/readyz")[1].get("notes") for each in pair.running))


def key_of(one: Collector, number: int) -> int:
    start = f'roundtrip_key{{number="{number}"}} '
    lines = one.get("/metrics")[1].decode().splitlines()
    return next((int(float(line.removeprefix(start))) for line in lines if line.startswith(start)), 0)
