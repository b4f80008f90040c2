"""The embedded Kafka and ClickHouse: real, and after kill -9 they go on with their data."""

import socket
import tomllib
import urllib.request
from pathlib import Path

import pytest

from deploy import clickhouse_server
from deploy.clickhouse_server import CHDB_VERSION, ClickHouseServer
from deploy.kafka_server import KafkaServer, broker_count
from service import settings
from service.errors import No
from service.kafka import Admin, TopicSpec

ROOT = Path(__file__).parents[2]
ODD_NAME = "a b, ü'$x"


def query(server: ClickHouseServer, sql: str) -> str:
    with urllib.request.urlopen(server.url, data=sql.encode(), timeout=60) as answer:  # noqa: S310
        return answer.read().decode()


@pytest.mark.stack
def test_clickhouse_keeps_its_rows_through_a_stop_and_a_kill(tmp_path: Path):
    with ClickHouseServer(tmp_path / ODD_NAME) as server:
        query(server, "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
        query(server, "INSERT INTO t SELECT number FROM numbers(1000)")
        server.stop()
        assert server.exit_code == 0
        server.start()
        query(server, "INSERT INTO t SELECT number FROM numbers(1000)")
        server.kill()
        server.start()
        assert query(server, "SELECT count() FROM t") == "2000\n"


@pytest.mark.stack
def test_clickhouse_on_a_port_in_use_says_so(tmp_path: Path):
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(No, match="Address already in use"),
    ):
        ClickHouseServer(tmp_path, other.getsockname()[1]).start()


def test_clickhouse_refuses_another_chdb_core_than_the_one_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clickhouse_server, "CHDB_VERSION", "0.0.1")
    with pytest.raises(No, match=rf"needs chdb-core 0.0.1, here it is {CHDB_VERSION}"):
        ClickHouseServer(tmp_path).start()


def test_the_version_tried_is_the_version_installed_by_setup():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"chdb-core=={CHDB_VERSION}" in project["optional-dependencies"]["embedded"]


@pytest.mark.stack
def test_kafka_keeps_cluster_and_topics_through_a_stop_and_a_kill(tmp_path: Path):
    with KafkaServer(tmp_path / ODD_NAME) as server:
        configured = settings.read("test", {"ROUNDTRIP_KAFKA": server.address})
        with Admin(configured) as admin:
            admin.ensure_topics([TopicSpec("t", 2, 1)])
            identity = admin.log_identity("t")
        for end in (server.stop, server.kill):
            end()
            server.start()
            with Admin(configured) as admin:
                assert admin.log_identity("t") == identity
                assert admin.describe(["t"])["t"].config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.stack
def test_kafka_makes_no_topic_that_nobody_declared(kafka: KafkaServer):
    with Admin(settings.read("test", {"ROUNDTRIP_KAFKA": kafka.address})) as admin:
        assert admin.describe(["nobody-declared-this"]) == {}


@pytest.mark.stack
def test_readiness_is_an_answer_to_a_metadata_request(kafka: KafkaServer):
    assert broker_count("127.0.0.1", kafka.port) == 1
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OSError, match="timed out"):
        broker_count("127.0.0.1", silent.getsockname()[1])


def test_what_a_killed_kafka_unpacked_is_gone_at_its_next_start(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path)
    (tmp_path / "data").mkdir()  # as if it had been formatted
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "library.so").touch()
    server.prepare()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "-Djava.io.tmpdir=tmp" in server.command()
