"""stack.json: which stack a command talks to."""

import argparse
from pathlib import Path

import pytest

from service import stack_file
from service.errors import Unreachable, Usage

STACK = stack_file.Stack(
    collector="http://127.0.0.1:1",
    console="http://127.0.0.1:2",
    clickhouse="http://127.0.0.1:3",
    kafka="127.0.0.1:4",
    processes={"collector": [11], "joiner": [12, 13]},
    settings={"ROUNDTRIP_PARTITIONS": "4"},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    stack_file.write(tmp_path, STACK)
    assert stack_file.read(tmp_path) == STACK
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_named_directory_wins_over_the_environment(tmp_path: Path) -> None:
    stack_file.write(tmp_path, STACK)
    found = stack_file.settings_for(
        tmp_path, {"ROUNDTRIP_KAFKA": "elsewhere:9092", "ROUNDTRIP_LOG_LEVEL": "DEBUG"}
    )
    assert (found.dir, found.kafka, found.clickhouse) == (tmp_path, STACK.kafka, STACK.clickhouse)
    assert (found.collector, found.partitions, found.log_level) == (STACK.collector, 4, "DEBUG")


def test_a_named_directory_without_a_stack_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="roundtrip up --dir"):
        stack_file.settings_for(str(tmp_path), {"ROUNDTRIP_KAFKA": "elsewhere:9092"})


def test_the_environment_wins_over_the_default_directory(tmp_path: Path) -> None:
    stack_file.write(tmp_path, STACK)
    environ = {"ROUNDTRIP_DIR": str(tmp_path), "ROUNDTRIP_CLICKHOUSE": "http://elsewhere:8123"}
    found = stack_file.settings_for(None, environ)
    assert (found.clickhouse, found.kafka) == ("http://elsewhere:8123", "127.0.0.1:9092")


def test_without_anything_the_default_directory_is_taken(tmp_path: Path) -> None:
    stack_file.write(tmp_path, STACK)
    assert stack_file.settings_for(None, {"ROUNDTRIP_DIR": str(tmp_path)}).kafka == STACK.kafka


def test_without_any_stack_it_is_said_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="--dir"):
        stack_file.settings_for(None, {"ROUNDTRIP_DIR": str(tmp_path)})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(Usage, match=r"stack\.json"):
        stack_file.read(tmp_path)


def test_the_argument_is_the_same_everywhere() -> None:
    parser = argparse.ArgumentParser()
    stack_file.add_dir_argument(parser)
    assert parser.parse_args([]).dir is None
    assert parser.parse_args(["--dir", "x"]).dir == "x"
