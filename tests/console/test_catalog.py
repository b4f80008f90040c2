"""`roundtrip catalog`: nothing is applied that has an error, and who lost a race is told."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

import roundtrip
from console import catalog as command
from console import catalog_log
from console.catalog_log import history_of, kept_values, publish, restore
from schemas.catalog import Catalog
from schemas.catalog_check import check
from schemas.catalog_reader import Reader
from schemas.catalog_versions import CatalogVersion, encode_version
from service import stack_file
from service.errors import No, Unreachable
from service.settings import Settings
from service.stack_file import Stack
from tests.schemas.catalogs import GOOD

NOW = "2026-11-23T02:55:00.123Z"


class FakeLog:
    """The topic as a list; `before_append` is what somebody else does in the last moment."""

    def __init__(
        self, values: Sequence[bytes] = (), before_append: Callable[[], None] = lambda: None
    ) -> None:
        self.values = [*values]
        self.keys: list[bytes] = []
        self.before_append = before_append

    def read(self) -> Iterator[bytes]:
        return iter([*self.values])

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        self.before_append()
        self.keys += [key for key, _ in records]
        self.values += [value for _, value in records]


def good(name: str = "Shoes") -> Catalog:
    catalog, _ = check(GOOD.replace('"Shoes"', f'"{name}"'))
    assert catalog is not None
    return catalog


def value(number: int, name: str = "Shoes", by: str = "ann@office") -> bytes:
    version = CatalogVersion(version=number, applied_at=NOW, applied_by=by, catalog=good(name))
    return encode_version(version)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.toml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_valid(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert roundtrip.main(["catalog", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 0 errors, 0 warnings: valid, 1 offer\n"


def test_a_bad_file_is_told_line_by_line_and_ends_with_1(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        GOOD.replace("{aff_sub}", "{affsub}").replace('"a token of more than sixteen"', '"short"')
    )
    assert roundtrip.main(["catalog", "check", str(file)]) == 1
    warning, error, verdict = capsys.readouterr().out.splitlines()
    assert warning.startswith(f"{file}:12: warning: advertisers[0].postback.token (advertiser 1): ")
    assert error == (
        f"{file}:27: error: offers[0].url (offer 7): unknown macro {{affsub}}: did you mean {{aff_sub}}?"
    )
    assert verdict == f"{file}: 1 error, 1 warning: not valid"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_wrong_usage(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.toml"
    if content is not None:
        path.write_bytes(content)
    assert roundtrip.main(["catalog", "check", str(path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_without_a_stack_apply_and_show_say_what_to_do(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["apply", str(file)], ["show"]):
        assert roundtrip.main(["catalog", *words, "--dir", str(tmp_path)]) == 3
        assert "start one: roundtrip up" in capsys.readouterr().err


def test_the_first_version_is_1_and_each_next_one_greater_by_1() -> None:
    log = FakeLog()
    first, _ = publish(log, good(), NOW, "ann@office")
    second, is_new = publish(log, good("Boots"), NOW, "bob@office")
    assert (first.version, second.version, is_new, log.keys) == (1, 2, True, [b"1", b"2"])
    assert history_of(log.read()).current == second


def test_what_is_in_force_already_is_not_published_again() -> None:
    log = FakeLog([value(1, "Boots"), value(2)])
    assert publish(log, good(), "2026-12-01T00:00:00.000Z", "bob@office") == (Reader().read(value(2)), False)
    assert log.keys == []


def test_an_older_catalog_applied_again_is_a_new_version() -> None:
    log = FakeLog([value(1), value(2, "Boots")])
    assert publish(log, good(), NOW, "ann@office")[0].version == 3


def test_a_catalog_that_no_record_can_hold_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, size = FakeLog(), len(value(1))
    monkeypatch.setattr(catalog_log, "MAX_BYTES", size - 1)
    with pytest.raises(No, match="some 40 000 offers"):
        publish(log, good(), NOW, "ann@office")
    assert log.values == []
    monkeypatch.setattr(catalog_log, "MAX_BYTES", size)
    assert publish(log, good(), NOW, "ann@office")[1]


def test_who_was_second_with_a_number_is_told_so_and_by_whom() -> None:
    log = FakeLog([value(1)])
    log.before_append = lambda: log.values.append(value(2, "Boots", by="bob@desk"))
    with pytest.raises(No, match=r"lost: version 2 is by bob@desk at 2026-11-23T02:55:00\.123Z") as told:
        publish(log, good("Hats"), NOW, "ann@office")
    assert "apply again" in str(told.value)
    current = history_of(log.read()).current
    assert current is not None
    assert current.applied_by == "bob@desk"


def test_a_record_that_does_not_decode_is_passed_over() -> None:
    log = FakeLog([b"not a version", value(1)])
    assert publish(log, good("Boots"), NOW, "ann@office")[0].version == 2


def test_an_empty_log_gets_what_is_kept_in_order_byte_by_byte(tmp_path: Path) -> None:
    shelf = tmp_path / "catalog"
    shelf.mkdir()
    for number in (10, 9):
        (shelf / f"{number:06}.json").write_bytes(value(number) + b" ")
    (shelf / "000011.json").write_bytes(b"cut off")
    log = FakeLog()
    assert restore(log, kept_values(tmp_path)) == [9, 10]
    assert (log.keys, log.values) == ([b"9", b"10"], [value(9) + b" ", value(10) + b" "])


def test_a_log_that_holds_anything_gets_nothing_again() -> None:
    log = FakeLog([value(1)])
    assert (restore(log, [value(1), value(2)]), log.keys) == ([], [])


def stack(directory: Path, kafka: str) -> Settings:
    stack_file.write(
        directory, Stack(collector="http://c", console="http://o", clickhouse="http://h", kafka=kafka)
    )
    shelf = directory / "catalog"
    shelf.mkdir(exist_ok=True)
    (shelf / "000004.json").write_bytes(value(4, "Boots"))
    return Settings(dir=directory, kafka="127.0.0.1:9092")


def test_apply_publishes_what_a_lost_topic_lacks_before_the_new_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = FakeLog()
    assert command.apply_to(log, good(), stack(tmp_path, "127.0.0.1:9092"), "ann@office") == 0
    assert log.keys == [b"4", b"5"]
    assert capsys.readouterr().out == (
        f"Kafka had no catalog: versions 4 to 4 published again from {tmp_path}\n"
        f"against version 4, in force since {NOW}:\n"
        "  1 change: 1 other\n"
        "  offer 7 (Shoes): name Boots -> Shoes\n"
        "version 5 is in force: 1 offer\n"
    )


def test_another_kafka_does_not_get_this_directorys_catalogs(tmp_path: Path) -> None:
    log = FakeLog()
    command.apply_to(log, good(), stack(tmp_path, "kafka.elsewhere:9092"), "ann@office")
    assert log.keys == [b"1"]


def test_applying_the_same_again_says_that_there_is_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = FakeLog([value(3)])
    assert command.apply_to(log, good(), Settings(dir=tmp_path), "ann@office") == 0
    assert capsys.readouterr().out == f"nothing to do: version 3, in force since {NOW}, says the same\n"


def test_what_is_shown_as_toml_checks_as_the_same_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    command.show(FakeLog([value(1), value(2, "Boots", by="a\nb")]), 2, "toml")
    text = capsys.readouterr().out
    assert text.startswith(f"# version 2, applied {NOW} by a b\n[network]\n")
    assert check(text) == (good("Boots"), [])


def test_an_older_version_is_shown_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    command.show(FakeLog([value(1), value(2, "Boots")]), 1, "json")
    shown = json.loads(capsys.readouterr().out)
    assert msgspec.convert(shown, CatalogVersion) == Reader().read(value(1))


@pytest.mark.parametrize(
    ("values", "number", "why"),
    [([], None, "no catalog yet"), ([value(1), value(2)], 3, "there is no version 3; there are 1 to 2")],
)
def test_what_is_not_there_is_not_shown(values: list[bytes], number: int | None, why: str) -> None:
    with pytest.raises(No, match=why):
        command.show(FakeLog(values), number, "toml")


def test_kafka_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    settings = Settings(dir=tmp_path, kafka="127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        command.KafkaLog(settings, deadline_s=0.5).read()


LATER = "2026-12-01T00:00:00.000Z"


def two_versions() -> FakeLog:
    later = CatalogVersion(version=2, applied_at=LATER, applied_by="bob@desk", catalog=good("Boots"))
    return FakeLog([value(1), encode_version(later)])


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2026-11-23T02:55:00.123+00:00", 1),
        ("2026-11-30T23:59:59+00:00", 1),
        ("2026-12-01T01:00:00+01:00", 2),
        ("2027-01-01T00:00:00+00:00", 2),
    ],
)
def test_what_was_in_force_at_a_time_is_shown(
    at: str, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command.show(two_versions(), None, "json", datetime.fromisoformat(at))
    assert json.loads(capsys.readouterr().out)["version"] == version


def test_before_the_first_version_nothing_was_in_force() -> None:
    with pytest.raises(No, match="nothing was in force then: version 1 was the first, 2026-11-23"):
        command.show(two_versions(), None, "json", datetime.fromisoformat("2026-11-23T02:54:00+00:00"))


def test_the_history_tells_each_version_with_what_it_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.tell_history(two_versions(), "text") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"version 1  {NOW}  ann@office  the first catalog: 1 offer, 1 affiliate, 1 advertiser, 1 link",
        f"version 2  {LATER}  bob@desk  1 change: 1 other",
    ]
    command.tell_history(two_versions(), "json")
    assert json.loads(capsys.readouterr().out)[1]["changes"][1] == "offer 7 (Boots): name Shoes -> Boots"


def test_nothing_is_applied_without_the_person_s_yes(tmp_path: Path) -> None:
    log = FakeLog([value(1)])
    with pytest.raises(No, match="nothing was applied"):
        command.apply_to(log, good("Boots"), Settings(dir=tmp_path), "ann@office", lambda: False)
    assert log.keys == []
