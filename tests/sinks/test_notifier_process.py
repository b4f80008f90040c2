"""The notifier as a process on a real Kafka, calling real HTTP servers."""

import asyncio
import contextlib
import http.server
import shutil
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from schemas import decisions
from schemas.decisions import Delivery, Notice
from service.kafka import Admin, Outgoing, Producer, read_range
from service.settings import Settings
from sinks.notifier import GROUP
from tests.sinks.examples import NOTICE, changed
from tests.sinks.fakes import make_topics
from tests.sinks.service_process import Service, wait_until

pytestmark = pytest.mark.stack

ALLOWED = {"ROUNDTRIP_NOTIFY_ALLOW_PRIVATE": "1"}


class Tracker(http.server.BaseHTTPRequestHandler):
    """A partner's tracker that writes down what it is told."""

    told: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).told.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def tracker() -> Iterator[str]:
    Tracker.told = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(kafka: str, tmp_path: Path) -> Settings:
    one = Settings(dir=tmp_path, kafka=kafka, topic_prefix=f"{uuid.uuid4().hex[:8]}.")
    make_topics(one)
    return one


def notices(url: str, count: int, first: int = 0) -> list[Notice]:
    return [
        changed(
            NOTICE,
            notice_id=f"{n:032}",
            conversion_id=f"{n:032}",
            transaction_id=f"t{n}",
            url=f"{url}/cb?n={n}",
        )
        for n in range(first, first + count)
    ]


def send(config: Settings, some: list[Notice]) -> None:
    async def go() -> None:
        producer = Producer(config)
        await producer.send_all(
            [Outgoing("notices", one.transaction_id.encode(), decisions.encode(one)) for one in some]
        )
        await producer.close()

    asyncio.run(go())


def deliveries(config: Settings) -> list[Delivery]:
    with Admin(config) as admin:
        ends = admin.end_offsets(["deliveries"])
    return [
        msgspec.json.decode(record.value, type=Delivery)
        for (topic, number), end in ends.items()
        for record in (read_range(config, topic, number, 0, end) if end else ())
    ]


def committed(config: Settings) -> int:
    with Admin(config) as admin:
        return sum(offset for offset, _ in admin.committed(GROUP).values())


def test_each_notice_is_told_once_whatever_is_repeated_or_restarted(config: Settings, tracker: str) -> None:
    some = notices(tracker, 100)
    send(config, some)
    with Service("notifier", config, **ALLOWED) as service:
        wait_until(lambda: committed(config) == 100, what=service.lines)
        assert any("ALLOW_PRIVATE" in line for line in service.lines())
        assert service.status("/readyz") == 200
        assert 'outcome="delivered"} 100.0' in service.body("/metrics")
        assert service.stop() == 0
    send(config, some)
    with Service("notifier", config, **ALLOWED) as service:
        wait_until(lambda: committed(config) == 200, what=service.lines)
    assert Counter(Tracker.told) == {f"/cb?n={n}": 1 for n in range(100)}
    assert Counter(each.outcome for each in deliveries(config)) == {"delivered": 100}


def test_a_notifier_without_its_directory_reads_back_what_was_told(config: Settings, tracker: str) -> None:
    """Guard: `deliveries` is the memory's other half."""
    some = notices(tracker, 50)
    send(config, some)
    with Service("notifier", config, **ALLOWED) as service:
        wait_until(lambda: committed(config) == 50, what=service.lines)
    shutil.rmtree(config.dir / "notifier")
    send(config, some)
    with Service("notifier", config, **ALLOWED) as service:
        wait_until(lambda: committed(config) == 100, what=service.lines)
        assert any("read 50 deliveries back" in line for line in service.lines())
    assert len(Tracker.told) == 50


def test_two_notifiers_share_the_work_and_what_was_told(config: Settings, tracker: str) -> None:
    other = msgspec.structs.replace(config, dir=config.dir / "other")
    send(config, notices(tracker, 100))
    with Service("notifier", config, **ALLOWED) as one:
        wait_until(lambda: committed(config) == 100, what=one.lines)
        with Service("notifier", other, **ALLOWED) as two:
            send(config, notices(tracker, 200))
            wait_until(lambda: committed(config) == 300, what=two.lines)
            assert one.stop() == 0
            send(config, notices(tracker, 200))
            wait_until(lambda: committed(config) == 500, what=two.lines)
    assert Counter(Tracker.told) == {f"/cb?n={n}": 1 for n in range(200)}


def test_inside_addresses_are_refused_by_default(config: Settings, tracker: str) -> None:
    """Guard: SSRF."""
    send(config, notices(tracker, 3) + notices(tracker.replace("127.0.0.1", "localhost"), 3, first=3))
    with Service("notifier", config) as service:
        wait_until(lambda: committed(config) == 6, what=service.lines)
    assert Tracker.told == []
    assert Counter(each.outcome for each in deliveries(config)) == {"refused": 6}


def test_a_dead_host_does_not_delay_the_others(config: Settings, tracker: str) -> None:
    with contextlib.closing(_Hole()) as hole:
        send(config, notices(hole.url, 40) + notices(tracker, 40, first=40))
        with Service("notifier", config, **ALLOWED) as service:
            wait_until(lambda: len(Tracker.told) == 40, what=service.lines)
            wait_until(lambda: committed(config) == 80, what=service.lines)
    made = deliveries(config)
    assert Counter(each.outcome for each in made) == {"delivered": 40, "dead": 40}
    given_up = min(each.at for each in made if each.outcome == "dead" and each.took_ms)
    assert max(each.at for each in made if each.outcome == "delivered") < given_up, "they waited for the dead"
    assert len([each for each in made if each.outcome == "dead" and each.took_ms]) < 20, "each was dialled"


class _Hole:
    """A host that takes connections and never says anything."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()


def test_killed_in_the_middle_it_tells_everything_and_almost_nothing_twice(
    config: Settings, tracker: str
) -> None:
    """Twice only what was at hand when it died: between a partner's yes and its record nobody can tell."""
    send(config, notices(tracker, 400))
    for target in (50, 150):
        with Service("notifier", config, **ALLOWED) as service:
            wait_until(lambda target=target: len(set(Tracker.told)) >= target, what=service.lines)  # type: ignore[misc]
    with Service("notifier", config, **ALLOWED) as service:
        wait_until(lambda: committed(config) == 400, what=service.lines)
    told = Counter(Tracker.told)
    assert set(told) == {f"/cb?n={n}" for n in range(400)}
    assert max(told.values()) <= 3
    assert sum(told.values()) - 400 <= 2 * 4
