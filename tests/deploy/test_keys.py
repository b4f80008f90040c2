"""`roundtrip keys`: the file rotated by hand, step by step, and no secret on the screen."""

from pathlib import Path

import pytest

import roundtrip
from deploy import layout
from schemas import times
from service import keys, rotation

LATER_MS = 3_600_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time in ms, its only item."""
    now = [times.to_ms("2026-11-23T12:00:00.000Z")]
    monkeypatch.setattr("deploy.keys._now_ms", lambda: now[0])
    return now


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert roundtrip.main(["keys", *words]) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def test_the_whole_rotation(tmp_path: Path, clock: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--dir", str(tmp_path))
    path = tmp_path / "keys.toml"
    assert "key 1 is made, and signs" in said(capsys, "add", *where)
    identifiers = keys.read(path).identifiers
    assert "roundtrip keys sign 2" in said(capsys, "add", *where)
    assert "Wait until it verifies on every edge" in said(capsys, "sign", "2", *where, code=1)
    clock[0] += LATER_MS
    assert "key 2 signs" in said(capsys, "sign", "2", *where)
    assert (keys.keyring(path).numbers, keys.keyring(path).signing) == ([1, 2], 2)
    assert "may come back until" in said(capsys, "retire", "1", *where, code=1)
    secrets = [key.secret for key in keys.read(path).keys]
    listed = said(capsys, "list", *where)
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [["1", "verifies"], ["2", "signs"]]
    assert not any(secret in listed for secret in secrets)
    clock[0] += rotation.ALIVE_DAYS * 86_400_000
    assert "is not given again" in said(capsys, "retire", "1", *where)
    assert "key 3 verifies" in said(capsys, "add", *where)
    assert keys.read(path).retired == (1,)
    assert keys.read(path).identifiers == identifiers != ""  # all else goes, this stays
    assert [line.split()[:2] for line in said(capsys, "list", *where).splitlines()[1:]] == [
        ["2", "signs"],
        ["3", "verifies"],
        ["1", "retired"],
    ]


def test_in_a_hurry_one_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--dir", str(tmp_path))
    said(capsys, "add", *where)
    said(capsys, "add", *where)
    said(capsys, "sign", "2", "--now", *where)
    said(capsys, "retire", "1", "--force", *where)
    assert keys.keyring(tmp_path / "keys.toml").numbers == [2]


def test_the_file_is_found_by_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUNDTRIP_KEYS", str(tmp_path / "elsewhere.toml"))
    said(capsys, "add")
    assert keys.keyring(tmp_path / "elsewhere.toml").signing == 1


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["list"], 1, "is not there"),
        (["sign", "1"], 1, "is not there"),
        (["retire", "1"], 1, "is not there"),
    ],
)
def test_without_a_file_there_is_nothing_to_rotate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, why: str
) -> None:
    assert why in said(capsys, *words, "--dir", str(tmp_path), code=code)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[[keys")
    path.chmod(0o600)
    for words in (["list"], ["add"], ["sign", "1"], ["retire", "1"]):
        assert "must hold" in said(capsys, *words, "--dir", str(tmp_path), code=2)
    assert path.read_text() == "[[keys"


def test_the_secret_of_identifiers_is_made_once_also_for_keys_of_before(tmp_path: Path) -> None:
    path = layout.make_keys(tmp_path)
    made = keys.read(path).identifiers
    assert len(bytes.fromhex(made)) == keys.SECRET_BYTES
    path.write_text(path.read_text().replace(f'identifiers = "{made}"\n', ""))
    later = keys.read(layout.make_keys(tmp_path)).identifiers
    assert later not in ("", made)
    assert keys.read(layout.make_keys(tmp_path)).identifiers == later
