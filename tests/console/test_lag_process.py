"""`roundtrip lag` against a real Kafka."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from console import lag
from console.lookout import Figures, Lookout
from service.kafka import Outgoing, Producer, Reader
from service.settings import Settings
from tests.sinks.fakes import make_topics

pytestmark = pytest.mark.stack


@pytest.fixture
def config(kafka: str, tmp_path: Path) -> Settings:
    one = Settings(dir=tmp_path, kafka=kafka, topic_prefix=f"{uuid.uuid4().hex[:8]}.")
    make_topics(one)
    return one


def roundtrip(kafka: str, prefix: str, *words: str) -> "subprocess.CompletedProcess[str]":
    environ = {"PATH": "/usr/bin", "ROUNDTRIP_KAFKA": kafka, "ROUNDTRIP_TOPIC_PREFIX": prefix}
    command = [sys.executable, "-m", "roundtrip", "lag", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)


async def write(config: Settings, count: int) -> None:
    producer = Producer(config)
    await producer.send_all([Outgoing("notices", b"%d" % n, b"{}") for n in range(count)])
    await producer.close()


def of_notices(lags: list[lag.Lag]) -> list[lag.Lag]:
    return [each for each in lags if each.topic == "notices" and each.end]


async def test_what_waits_is_counted_and_aged_and_what_was_committed_is_not(config: Settings) -> None:
    began_s = time.time()
    await write(config, 50)
    later_s = time.time() + 100
    waiting = of_notices(await asyncio.to_thread(lag.measure, config, later_s))
    assert sum(each.lag for each in waiting) == 50
    assert {each.verdict for each in waiting} == {"never read"}
    assert all(each.behind_s is not None and 99 < each.behind_s < later_s - began_s + 1 for each in waiting)

    reader = Reader(config, "roundtrip-notifier", ["notices"])
    read = 0
    async with asyncio.timeout(60):
        while read < 50:
            records = await reader.read(100, 0.5)
            read += len(records)
            await reader.commit({(each.topic, each.partition): each.offset + 1 for each in records})
    await reader.close()
    done = of_notices(await asyncio.to_thread(lag.measure, config, later_s))
    assert [(each.lag, each.verdict, each.offset) for each in done] == [
        (0, "well", each.end) for each in done
    ]


async def test_records_that_nobody_takes_are_told_by_the_lookout_until_somebody_does(
    config: Settings,
) -> None:
    watched = msgspec.structs.replace(config, silent_s=5.0)
    lookout = Lookout(watched, Figures(CollectorRegistry()))
    looking = asyncio.ensure_future(lookout.run())
    producer = Producer(config)
    await producer.send_all([Outgoing("clicks", b"t1", b"{}")])
    await producer.close()
    await until(lambda: bool(lookout.note()))
    assert lookout.note().startswith("1 records wait and nothing was committed for ")

    reader = Reader(config, "roundtrip-joiner", ["clicks"])
    async with asyncio.timeout(60):
        while not (records := await reader.read(1, 0.5)):
            pass
    await reader.commit({(each.topic, each.partition): each.offset + 1 for each in records})
    await until(lambda: not lookout.note())
    await reader.close()
    looking.cancel()


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not so():  # noqa: ASYNC110  the lookout tells nobody, it is asked
            await asyncio.sleep(0.05)


def test_the_exit_code_is_the_verdict(config: Settings) -> None:
    done = roundtrip(config.kafka, config.topic_prefix)
    assert (done.returncode, "all is well" in done.stdout) == (0, True), done.stderr
    asyncio.run(write(config, 3))
    places = msgspec.json.decode(roundtrip(config.kafka, config.topic_prefix, "--format", "json").stdout)
    assert sum(each["lag"] for each in places) == 3


def test_without_kafka_it_is_three_and_one_line() -> None:
    done = roundtrip("127.0.0.1:1", "")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1), done.stderr
