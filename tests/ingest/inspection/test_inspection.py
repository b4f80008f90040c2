"""`roundtrip journal`: what it says, and how it ends."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

import roundtrip
from ingest.inspection.command import Journals
from ingest.journal import cursor
from ingest.journal.cursor import Cursor
from ingest.journal.disk import RealDisk
from tests.ingest.written import Written


@pytest.fixture
def written(tmp_path: Path) -> Written:
    one = Written(tmp_path / "journal")
    one.events(3)
    return one


def asked(written: Written, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = roundtrip.main(["journal", "--dir", str(written.root.parent), *words])
    return code, capsys.readouterr().out


def found(written: Written, capsys: pytest.CaptureFixture[str], *words: str) -> Journals:
    _, text = asked(written, capsys, "--format", "json", *words)
    return msgspec.json.decode(text, type=Journals)


def test_each_journal_is_told_with_what_is_not_shipped(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor.save(RealDisk(), written.path, Cursor(written.events(2)[0], f"{written.journal.epoch}-1"))
    code, text = asked(written, capsys)
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == ("journal 0 (in use): 434 B in 1 file, received since 2026-11-23T12:00:00.000Z")
    assert lines[1].startswith("  not shipped: 2 events, 142 B, the oldest for ")
    assert lines[2] == "  shipped up to: 000000000001.seg:292"
    assert lines[3].startswith(
        f"  epoch {written.journal.epoch}: 1 to 5, received 2026-11-23T12:00:00.000Z to "
    )
    assert lines[-1].endswith(f"free on the disk of {written.root}")


def test_a_journal_that_may_be_removed_says_so(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody uses it, and nothing is unshipped: what an operator looks for before a disk goes."""
    cursor.save(RealDisk(), written.path, Cursor(written.journal.committed, f"{written.journal.epoch}-1"))
    written.journal.close()
    (journal,) = found(written, capsys).journals
    assert (journal.in_use, journal.unshipped_events, journal.unshipped_bytes) == (False, 0, 0)
    assert "  not shipped: nothing" in asked(written, capsys)[1].splitlines()


def test_two_processes_have_two_journals(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written.opened()
    written.events(1)
    journals = found(written, capsys).journals
    assert [(each.journal, each.in_use, len(each.epochs)) for each in journals] == [
        (0, True, 1),
        (1, True, 1),
    ]


def test_damage_is_named_and_the_answer_is_no(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(written, capsys, "--verify")[0] == 0
    written.flip(1, 160)
    code, text = asked(written, capsys, "--verify")
    assert code == 1
    place = f"{written.file(1)} at 150, 71 bytes: holds no events"
    assert f"  DAMAGED: {place}; lost: 2 to 2 of epoch {written.journal.epoch}" in text.splitlines()
    assert asked(written, capsys)[0] == 0  # not looked for
    assert found(written, capsys, "--verify").verified[0].events == 2


def test_a_pipe_gets_plain_text(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    asked(written, capsys, "--verify")
    assert "\x1b" not in "".join(capsys.readouterr())


def test_where_no_journal_is_it_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert roundtrip.main(["journal", "--dir", str(tmp_path)]) == roundtrip.WRONG_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"roundtrip journal: no journal in {tmp_path / 'journal'}")


def test_the_directory_comes_from_the_settings_where_none_is_given(
    written: Written, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUNDTRIP_DIR", str(written.root.parent))
    assert roundtrip.main(["journal"]) == 0
    assert "journal 0" in capsys.readouterr().out


def test_what_may_not_be_read_is_a_line(
    written: Written, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.statvfs", fail)
    assert asked(written, capsys)[0] == 1


def test_the_command_changes_no_byte(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    """Guard: damage is set aside by its owner, not by whoever looks."""
    written.flip(1, 160)
    before = {path: path.stat().st_mtime_ns for path in written.root.rglob("*")}
    asked(written, capsys, "--verify")
    assert {path: path.stat().st_mtime_ns for path in written.root.rglob("*")} == before


@pytest.mark.parametrize("refused", ["open", "pread"])
def test_what_cannot_be_read_is_said_and_the_answer_is_no(
    written: Written, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Guard: a journal without a single readable file was told as one that is all shipped."""
    real = getattr(os, refused)

    def fail(which: str | int, *others: int) -> object:
        path = which if isinstance(which, Path) else Path(f"/proc/self/fd/{which}").readlink()
        if path == written.file(1):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(which, *others)

    monkeypatch.setattr(os, refused, fail)
    code, text = asked(written, capsys)
    assert code == 1
    told = f"  CANNOT BE READ, and may not be counted: {written.file(1)}: Input/output error"
    assert told in text.splitlines()
    assert "  not shipped: nothing of what can be read" in text.splitlines()
    assert found(written, capsys).journals[0].unreadable == [f"{written.file(1)}: Input/output error"]


def test_events_that_cannot_be_read_behind_a_header_that_can_are_said(
    written: Written, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written.events(100)
    real = os.pread

    def fail(descriptor: int, size: int, offset: int) -> bytes:
        if offset + size > 4_096:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", fail)
    code, text = asked(written, capsys)
    assert code == 1
    assert f"  CANNOT BE READ, and may not be counted: {written.file(1)}: Input/output error" in text
