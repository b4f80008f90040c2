"""The catalog follower: whole history, first record wins, disk before Kafka."""

import asyncio
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from schemas.catalog import Catalog
from schemas.catalog_versions import CatalogVersion, encode_version
from service import catalog_follower
from service.catalog_follower import TOPIC, Follower, Shelf
from service.errors import Unavailable
from service.kafka import Admin, Producer, Record, TopicSpec
from service.settings import Settings

NOWHERE = "127.0.0.1:1"


def catalog_version(number: int, by: str = "ann") -> CatalogVersion:
    return CatalogVersion(
        version=number, applied_at="2026-11-23T02:55:00.000Z", applied_by=by, catalog=Catalog()
    )


def record(number: int, value: bytes | None = None, key: bytes | None = None, offset: int = 0) -> Record:
    return Record(
        TOPIC,
        0,
        offset,
        0,
        b"%d" % number if key is None else key,
        encode_version(catalog_version(number)) if value is None else value,
    )


def test_each_version_is_on_disk_and_comes_back(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert [shelf.keep(record(number)) for number in (1, 2)] == [catalog_version(1), catalog_version(2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001.json", "000002.json"]
    assert [*Shelf(tmp_path).load()] == [catalog_version(1), catalog_version(2)]


def test_the_first_record_with_a_number_wins_and_another_is_an_alarm(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.keep(record(1))
    assert shelf.keep(record(1)) is None
    assert shelf.alarms == []
    assert shelf.keep(record(1, encode_version(catalog_version(1, "bob")))) is None
    assert [*Shelf(tmp_path).load()] == [catalog_version(1, "ann")]
    assert "version 1" in shelf.alarms[0]


def test_two_services_of_one_machine_may_keep_a_version_at_the_same_moment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Barrier(2, timeout=60)
    monkeypatch.setattr(os, "fsync", lambda _: both.wait())
    with ThreadPoolExecutor(2) as services:
        list(services.map(lambda _: Shelf(tmp_path).keep(record(1)), range(2)))
    assert caplog.messages == []
    assert [path.name for path in tmp_path.iterdir()] == ["000001.json"]


def test_a_disk_that_takes_nothing_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _full)
        assert [shelf.keep(record(number)) for number in (1, 2)] == [catalog_version(1), catalog_version(2)]
        shelf.write()
    assert list(tmp_path.iterdir()) == []
    assert len(caplog.messages) == 1
    assert "memory only" in caplog.messages[0]
    shelf.write()
    assert [*Shelf(tmp_path).load()] == [catalog_version(1), catalog_version(2)]
    assert len(caplog.messages) == 2


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_directory_that_cannot_be_made_or_read_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shelf = Shelf(tmp_path / "file" / "catalog")
    assert [*shelf.load()] == []
    assert shelf.keep(record(1)) == catalog_version(1)
    (tmp_path / "000001.json").mkdir()  # to root every file is readable, a directory is none
    assert [*Shelf(tmp_path).load()] == []


def test_what_is_on_disk_wins_over_a_new_log(tmp_path: Path) -> None:
    Shelf(tmp_path).keep(record(1))
    again = Shelf(tmp_path)
    assert [*again.load()] == [catalog_version(1)]
    assert again.keep(record(1, encode_version(catalog_version(1, "bob")))) is None
    assert again.alarms


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"1", b"{"),
        (b"1", b"\xff"),
        (b"1", b""),
        (b"", None),
        (b"x", None),
        (b"2", None),
        ("²".encode(), None),
        (b"-1", None),
    ],
)
def test_a_broken_record_is_counted_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: bytes, value: bytes | None
) -> None:
    shelf = Shelf(tmp_path)
    for _ in range(3):
        assert shelf.keep(record(1, value, key)) is None
    assert (shelf.broken, len(caplog.messages)) == (1, 1)
    assert shelf.keep(record(3)) == catalog_version(3)


def test_a_broken_file_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.keep(record(1))
    (tmp_path / "000001.json").write_text("{")
    fresh = Shelf(tmp_path)
    assert [*fresh.load()] == []
    assert fresh.keep(record(1)) == catalog_version(1)
    assert [*Shelf(tmp_path).load()] == [catalog_version(1)]


async def test_it_starts_from_disk_while_kafka_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_follower, "ASK_S", 0.1)
    Shelf(tmp_path / "catalog").keep(record(4))
    seen: list[int] = []
    follower = Follower(Settings(dir=tmp_path, kafka=NOWHERE), lambda version: seen.append(version.version))
    follower.start()
    assert follower.current == catalog_version(4)
    assert seen == [4]
    assert await follower.wait_for(4, 0.1) == catalog_version(4)
    with pytest.raises(Unavailable, match="version 5"):
        await follower.wait_for(5, 0.01)
    assert not follower.caught_up
    await follower.close()


async def test_nobody_acts_by_an_old_version_while_newer_ones_are_being_read(tmp_path: Path) -> None:
    for number in (1, 2):
        Shelf(tmp_path / "catalog").keep(record(number))
    told: list[int] = []
    follower = Follower(Settings(dir=tmp_path, kafka=NOWHERE), lambda version: told.append(version.version))
    follower.load()
    assert told == [2]
    for number in (3, 4):
        follower._take(catalog_version(number))
    assert (told, follower.history.versions) == ([2], [1, 2, 3, 4])
    for _ in range(2):
        follower._reached_end()
    follower._take(catalog_version(5))
    assert told == [2, 4, 5]


def test_of_what_lies_on_disk_one_version_at_a_time_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        Shelf(tmp_path).keep(record(number))
    shelf = Shelf(tmp_path)
    read: list[Path] = []
    monkeypatch.setattr(shelf, "_read", lambda path: read.append(path) or path.read_bytes())
    versions = shelf.load()
    assert next(versions) == catalog_version(1)
    assert len(read) == 1


async def test_without_any_catalog_it_says_so(tmp_path: Path) -> None:
    follower = Follower(Settings(dir=tmp_path, kafka=NOWHERE))
    follower.load()
    assert follower.current is None
    assert follower.alarms() == ["there is no catalog yet: roundtrip catalog apply FILE"]


@pytest.mark.stack
async def test_a_version_that_is_applied_arrives(kafka: Settings) -> None:
    with Admin(kafka) as admin:
        admin.ensure_topics([TopicSpec(TOPIC, 1, 1)])
    producer = Producer(kafka)
    await producer.send(TOPIC, b"1", encode_version(catalog_version(1)))
    await producer.send(TOPIC, b"junk", b"junk")
    follower = Follower(kafka)
    follower.start()
    assert await follower.wait_for(1, 60) == catalog_version(1)
    waiting = asyncio.ensure_future(follower.wait_for(2, 60))
    await producer.send(TOPIC, b"2", encode_version(catalog_version(2)))
    assert await waiting == catalog_version(2)
    assert follower.current == catalog_version(2)
    assert (follower.broken, len(follower.alarms())) == (1, 1)
    await follower.close()
    await producer.close()


@pytest.mark.stack
async def test_a_topic_that_comes_later_is_found(kafka: Settings) -> None:
    follower = Follower(kafka)
    follower.start()
    async with asyncio.timeout(60):
        while not any("roundtrip migrate" in alarm for alarm in follower.alarms()):  # noqa: ASYNC110  a thread's finding, looked at
            await asyncio.sleep(0.05)
    with Admin(kafka) as admin:
        admin.ensure_topics([TopicSpec(TOPIC, 1, 1)])
    producer = Producer(kafka)
    await producer.send(TOPIC, b"1", encode_version(catalog_version(1)))
    assert await follower.wait_for(1, 60) == catalog_version(1)
    assert follower.alarms() == []
    await follower.close()
    await producer.close()
