"""docs/dependencies.md names each dependency, and nothing else."""

import re
import tomllib
from pathlib import Path

import pytest

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
