"""Kafka's jars: only those of the committed list, unaltered."""

import re
from pathlib import Path

import pytest

from deploy import kafka_jars
from service.errors import No

LISTED = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  a.jar\n"  # sha256 of "foo"


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    (tmp_path / "list").write_text(LISTED)
    (tmp_path / "a.jar").write_text("foo")
    return tmp_path


def test_listed_jars_are_the_class_path(jars: Path):
    assert kafka_jars.class_path(jars, jars / "list") == str(jars / "a.jar")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jar", None, "a.jar is missing"),
        ("a.jar", "bar", "a.jar is altered"),
        ("b.jar", "foo", "b.jar is not on the list"),
    ],
)
def test_any_other_state_is_refused_and_named(jars: Path, name: str, content: str | None, said: str):
    if content is None:
        (jars / name).unlink()
    else:
        (jars / name).write_text(content)
    with pytest.raises(No, match=said):
        kafka_jars.class_path(jars, jars / "list")


def test_the_committed_list_is_names_and_hashes_without_addresses():
    lines = kafka_jars.LIST_FILE.read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[0-9a-f]{64}  [\w.-]+\.jar", line)] == []
    assert "kafka_2.13-4.1.1.jar" in kafka_jars.listed()


def test_the_jars_lie_inside_the_virtual_environment():
    assert Path(kafka_jars.sys.prefix) in kafka_jars.JAR_DIRECTORY.parents
