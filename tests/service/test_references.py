"""What lies behind `env:NAME` and `file:PATH`, and what is said where nothing does."""

import asyncio
from pathlib import Path

import pytest

from service import references
from service.references import References


@pytest.fixture
def found() -> References:
    return References({"SHOP_KEY": "a secret of the shop", "EMPTY": ""})


def test_a_variable_and_a_file_are_read_without_the_last_line_break(
    found: References, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(b"another\nsecret\r\n")
    where = f"file:{tmp_path / 'key'}"
    found.name(["env:SHOP_KEY", where], [])
    assert (found.get("env:SHOP_KEY"), found.get(where)) == (b"a secret of the shop", b"another\nsecret")
    assert found.problem == ""


@pytest.mark.parametrize("reference", ["env:NOWHERE", "env:EMPTY", "file:/nowhere/at/all"])
def test_what_is_not_there_is_named_and_gives_nothing(found: References, reference: str) -> None:
    found.name([reference, "env:SHOP_KEY"], [])
    assert found.get(reference) is None
    assert (found.problem.startswith(reference), found.missing) == (True, 1)
    assert found.get("env:SHOP_KEY")


def test_a_file_that_changes_is_taken_and_one_that_goes_takes_nothing_away(
    found: References, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text("before")
    found.name([f"file:{path}"], [])
    path.write_text("after")
    assert found.look()
    assert found.get(f"file:{path}") == b"after"
    path.unlink()
    assert not found.look()
    assert (found.get(f"file:{path}"), str(path) in found.problem) == (b"after", True)
    path.write_text("after")
    assert not found.look()
    assert (found.problem, found.missing) == ("", 0)


def test_a_lasting_secret_is_never_another_one(found: References, tmp_path: Path) -> None:
    path = tmp_path / "key"
    found.name([], [f"file:{path}"])
    path.write_text("the first secret of all")
    assert found.look()
    path.write_text("the second secret of all")
    assert not found.look()
    assert found.get(f"file:{path}") == b"the first secret of all"


def test_a_lasting_secret_that_is_short_is_not_taken(found: References, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("fifteen letters")
    found.name([], [f"file:{tmp_path / 'key'}"])
    assert found.get(f"file:{tmp_path / 'key'}") is None
    assert "shorter than 16 bytes" in found.problem


def test_what_is_no_longer_named_is_forgotten(found: References) -> None:
    found.name(["env:SHOP_KEY"], [])
    found.name([], [])
    assert found.get("env:SHOP_KEY") is None


async def test_it_follows_the_files(
    found: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "LOOK_S", 0.001)
    found.name([f"file:{tmp_path / 'key'}"], [])
    told = asyncio.Event()
    following = asyncio.ensure_future(found.follow(told.set))
    (tmp_path / "key").write_text("now it is there")
    await asyncio.wait_for(told.wait(), 60)
    following.cancel()
    assert found.get(f"file:{tmp_path / 'key'}") == b"now it is there"
