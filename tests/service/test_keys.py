"""Keys: a file that only its owner may read, and that never shows a secret."""

import errno
import os
from pathlib import Path

import pytest

from service import keys
from service.errors import Problem, Usage
from service.keys import Key, KeyFile

THEN, NOW = "2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z"

SECRET = "ab" * 32
GOOD = (
    f'[[keys]]\nnumber = 7\nsecret = "{SECRET}"\nsigns = true\n\n[[keys]]\nnumber = 6\nsecret = "{SECRET}"\n'
)


def stored(path: Path, text: str = GOOD, mode: int = 0o600) -> Path:
    path = path / "keys.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_all_keys_verify_and_one_signs(tmp_path: Path) -> None:
    ring = keys.keyring(stored(tmp_path))
    assert (ring.signing, ring.numbers) == (7, [6, 7])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(Problem, match="chmod 600"):
        keys.keyring(stored(tmp_path, mode=mode))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="roundtrip keys add"):
        keys.keyring(tmp_path / "keys.toml")


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("signs = true", ""),
        GOOD.replace("number = 6", "number = 6\nsigns = true"),
        GOOD.replace("number = 6", "number = 7"),
        GOOD.replace("number = 6", "number = 256"),
        GOOD.replace("number = 6", "number = 6\nnote = 1"),
        GOOD.replace(SECRET, "geheim", 1),
        GOOD.replace(SECRET, "abcd", 1),
        GOOD.replace("number = 6", 'number = 6\nadded = "yesterday"'),
        "retired = [6]\n" + GOOD,
        "keys = 1",
        "[[",
        "",
    ],
)
def test_a_bad_file_is_refused_without_quoting_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(Usage, match=r"keys\.toml") as caught:
        keys.keyring(stored(tmp_path, text))
    assert SECRET not in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_what_is_written_is_read_back_and_is_private(tmp_path: Path) -> None:
    file = KeyFile(
        keys=(
            Key(number=7, secret=SECRET, added=THEN, signed_until=NOW),
            Key(number=8, secret="cd" * 32, signs=True, added=NOW),
            Key(number=9, secret="ef" * 32),
        ),
        retired=(1, 3),
    )
    path = tmp_path / "new" / "keys.toml"
    keys.write(path, file)
    assert keys.read(path) == file
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.toml"]


def test_a_write_replaces_the_file_in_one_step_and_leaves_the_old_one_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Problem, match=r"keys\.toml cannot be written: No space left"):
        keys.write(path, KeyFile(keys=(Key(number=1, secret=SECRET, signs=True),)))
    assert path.read_text() == GOOD
    assert [each.name for each in tmp_path.iterdir()] == ["keys.toml"]


def test_a_file_that_no_collector_would_take_is_never_written(tmp_path: Path) -> None:
    path = stored(tmp_path)
    with pytest.raises(Usage, match="exactly one key"):
        keys.write(path, KeyFile(keys=(Key(number=1, secret=SECRET),)))
    assert path.read_text() == GOOD


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    path = stored(tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    keys.write(link, KeyFile(keys=(Key(number=1, secret=SECRET, signs=True),)))
    assert link.is_symlink()
    assert keys.keyring(path).numbers == [1]


def test_a_key_shows_no_secret() -> None:
    assert SECRET not in repr(KeyFile(keys=(Key(number=1, secret=SECRET),), identifiers=SECRET))


def test_the_secret_of_identifiers_is_the_ring_s(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    keys.write(path, KeyFile(keys=(Key(number=1, secret=SECRET, signs=True),), identifiers="cd" * 32))
    assert keys.read(path).identifiers == "cd" * 32
    assert keys.keyring(path).identifiers == b"\xcd" * 32


@pytest.mark.parametrize("identifiers", ["geheim", "abcd"])
def test_a_secret_of_identifiers_that_is_none_is_refused_unshown(tmp_path: Path, identifiers: str) -> None:
    with pytest.raises(Usage, match="identifiers") as refused:
        keys.keyring(stored(tmp_path, f'identifiers = "{identifiers}"\n' + GOOD))
    assert identifiers not in str(refused.value)
