"""`make check` leaves out the files that need servers, `make test` leaves out none."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest

FAST, ALL = "not stack and not browser and not kill", "not kill"


def ignored(tmp_path: Path, text: str, chosen: str, name: str = "test_it.py") -> bool | None:
    file = tmp_path / name
    file.write_text(text)
    config = SimpleNamespace(option=SimpleNamespace(markexpr=chosen))
    return conftest.pytest_ignore_collect(file, config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "marked",
    ["pytestmark = pytest.mark.stack\n", "x = 1\npytestmark = [pytest.mark.stack, pytest.mark.kill]\n"],
)
def test_a_file_that_needs_the_stack_throughout_is_left_out_where_the_stack_is(tmp_path: Path, marked: str):
    assert ignored(tmp_path, marked, FAST) is True
    assert ignored(tmp_path, marked, ALL) is None
    assert ignored(tmp_path, marked, "") is None


@pytest.mark.parametrize(
    "unmarked",
    [
        "def test_it(): ...\n",
        "@pytest.mark.stack\ndef test_one(): ...\n\ndef test_another(): ...\n",
        '"""Not here: pytestmark = pytest.mark.stack"""\n',
        "    pytestmark = pytest.mark.stack\n",
        "pytestmark = pytest.mark.stacked\n",
    ],
)
def test_a_file_with_any_other_test_in_it_is_not(tmp_path: Path, unmarked: str):
    assert ignored(tmp_path, unmarked, FAST) is None


def test_nor_is_what_is_no_program(tmp_path: Path):
    assert ignored(tmp_path, "pytestmark = pytest.mark.stack\n", FAST, "text.txt") is None
