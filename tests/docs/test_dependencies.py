"""docs/dependencies.md names each dependency, and nothing else."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.test_imports import DOORS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ASKED = {
    "Dependencies": PROJECT["dependencies"],
    **{f"Extra `{name}`": wanted for name, wanted in PROJECT["optional-dependencies"].items()},
}


def named_in(section: str) -> set[str]:
    sections = re.split(r"^#+ ", (ROOT / "docs/dependencies.md").read_text("utf-8"), flags=re.MULTILINE)
    (text,) = [text for text in sections if text.startswith(section)]
    return set(re.findall(r"^\| ([a-z0-9-]+) \| (?!licence)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("section", ASKED)
def test_each_dependency_is_named_with_its_reason(section: str) -> None:
    assert named_in(section) == {re.split(r"[\[<>=~]", wanted)[0] for wanted in ASKED[section]}


IMPORTED_AS = {"faust-streaming": "faust", "mode-streaming": "mode", "chdb-core": "chdb"}


def doors_told() -> dict[str, set[str]]:
    """By the name that is imported, its doors as the page tells them."""
    rows = re.findall(
        r"^\| ([a-z0-9-]+) \|.*\| ([^|]+) \|$",
        (ROOT / "docs/dependencies.md").read_text("utf-8"),
        re.MULTILINE,
    )
    named = {IMPORTED_AS.get(name, name.replace("-", "_")): cell for name, cell in rows}
    return {name: set(cell.split(", ")) for name, cell in named.items() if name in DOORS}


@pytest.mark.parametrize("library", sorted(library for library, doors in DOORS.items() if doors))
def test_each_door_is_told_as_the_architecture_test_holds_it(library: str) -> None:
    """A folder stands for the files in it."""
    told, held = doors_told()[library], DOORS[library]
    assert {door for door in told if not any(each.startswith(door) for each in held)} == set()
    assert {door for door in held if not any(door.startswith(each) for each in told)} == set()


@pytest.mark.parametrize("lock", ["lock/python.txt", "lock/uv.txt"])
def test_the_lock_has_a_hash_for_each_package_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert packages
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []
    assert "://" not in text


def test_every_page_that_the_readme_links_exists() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    linked = re.findall(r"\]\((docs/[a-z_/]+\.md)\)", readme)
    assert linked
    assert [page for page in linked if not (ROOT / page).exists()] == []
