"""Keys: a file that only its owner may read, and that never shows a secret."""

from pathlib import Path

import pytest

from service import keys
from service.errors import Problem, Usage

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
    with pytest.raises(Problem, match=r"python -m service\.keys"):
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


def test_a_new_file_has_one_key_that_signs_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.toml"
    keys.write_new(path)
    assert keys.keyring(path).numbers == [1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = stored(tmp_path)
    with pytest.raises(Problem, match="kept"):
        keys.write_new(path)
    assert path.read_text() == GOOD
