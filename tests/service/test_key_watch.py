"""The key watch: a changed file is taken whole, or not at all, and said once."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from service import key_watch, keys
from service.errors import Problem
from service.key_watch import KeyWatch
from service.keys import Key, KeyFile

FIRST = Key(number=1, secret="aa" * 32, signs=True)
SECOND = Key(number=2, secret="bb" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    keys.write(path, KeyFile(keys=(FIRST,)))
    return path


@pytest.fixture
def watch(path: Path) -> KeyWatch:
    return KeyWatch(path)


def looks(watch: KeyWatch, count: int = 4) -> int:
    """In how many of so many looks other keys came into force."""
    return sum(watch.look() for _ in range(count))


def test_a_new_key_verifies_within_two_looks_and_is_taken_once(path: Path, watch: KeyWatch) -> None:
    assert looks(watch) == 0
    keys.write(path, KeyFile(keys=(FIRST, SECOND)))
    assert [watch.look() for _ in range(4)] == [False, True, False, False]
    assert (watch.keyring.numbers, watch.keyring.signing) == ([1, 2], 1)


def overwrite(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


GOOD = '[[keys]]\nnumber = 1\nsecret = "' + "aa" * 32 + '"\nsigns = true\n'


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (overwrite(""), "exactly one key"),
        (overwrite("[[keys"), "must hold"),
        (overwrite(GOOD + "[[keys]]\nnumber = 2\n"), "must hold"),
        (overwrite(GOOD + GOOD.replace("= 1", "= 2")), "exactly one key"),
        (overwrite(GOOD.replace("aa", "bb")), "key 1 has another secret than before"),
        (Path.unlink, "is not there"),
        (lambda path: path.chmod(0o644), "may be read by others"),
        (lambda path: (path.unlink(), path.mkdir(mode=0o700)), "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_taken_is_one_line_and_the_keys_of_before_stay(
    path: Path,
    watch: KeyWatch,
    harm: Callable[[Path], object],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = watch.keyring
    harm(path)
    assert looks(watch) == 0
    assert watch.keyring is before
    assert why in watch.problem
    assert len(caplog.messages) == 1
    assert why in caplog.messages[0]
    assert "aa" * 8 not in caplog.text + watch.problem


def test_a_mended_file_is_taken_and_nothing_is_wrong_any_more(path: Path, watch: KeyWatch) -> None:
    path.chmod(0o644)
    assert (looks(watch), bool(watch.problem)) == (0, True)
    path.chmod(0o600)
    assert (looks(watch), watch.problem) == (1, "")
    path.unlink()
    assert (looks(watch), bool(watch.problem)) == (0, True)
    keys.write(path, KeyFile(keys=(FIRST, SECOND)))
    assert (looks(watch), watch.problem, watch.keyring.numbers) == (1, "", [1, 2])


def test_a_file_that_is_still_being_written_is_left_until_it_is_still(path: Path, watch: KeyWatch) -> None:
    """Cut after its first key it would be well-formed, and lack the second."""
    whole = GOOD + GOOD.replace("= 1", "= 2").replace("signs = true", "")
    for end in range(len(GOOD), len(whole)):
        path.write_text(whole[:end])
        assert not watch.look()
    path.write_text(whole)
    assert looks(watch) == 1
    assert (watch.keyring.numbers, watch.problem) == ([1, 2], "")


def test_a_file_that_changes_while_it_is_read_is_not_taken(
    path: Path, watch: KeyWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.write(path, KeyFile(keys=(FIRST, SECOND)))
    read = keys.keyring

    def slowly(path: Path) -> object:
        found = read(path)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        return found

    monkeypatch.setattr(keys, "keyring", slowly)
    assert looks(watch) == 0
    monkeypatch.setattr(keys, "keyring", read)
    assert looks(watch) == 1


def test_the_secret_of_identifiers_may_come_and_never_change(path: Path, watch: KeyWatch) -> None:
    keys.write(path, KeyFile(keys=(FIRST,), identifiers="cd" * 32))
    assert looks(watch) == 1
    keys.write(path, KeyFile(keys=(FIRST,), identifiers="ef" * 32))
    assert (looks(watch), watch.keyring.identifiers) == (0, b"\xcd" * 32)
    assert "`identifiers` is not what it was" in watch.problem


def test_a_watch_needs_keys_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="is not there"):
        KeyWatch(tmp_path / "keys.toml")


async def test_it_follows_the_file_and_tells_of_other_keys(
    path: Path, watch: KeyWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watch, "LOOK_S", 0.001)
    told: asyncio.Queue[list[int]] = asyncio.Queue()
    following = asyncio.ensure_future(watch.follow(lambda: told.put_nowait(watch.keyring.numbers)))
    keys.write(path, KeyFile(keys=(FIRST, SECOND)))
    assert await asyncio.wait_for(told.get(), 60) == [1, 2]
    following.cancel()
