"""The disk's contract, which the simulated one keeps too; what only the real one can be asked."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.journal.disk import Disk, RealDisk
from tests.ingest.journal.disks import Inode, SimulatedDisk


@pytest.fixture(params=["real", "simulated"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return RealDisk() if request.param == "real" else SimulatedDisk()


@pytest.fixture
def there(disk: Disk, tmp_path: Path) -> Path:
    disk.make_directory(tmp_path / "a" / "b")
    return tmp_path / "a" / "b"


def test_what_is_written_is_read(disk: Disk, there: Path) -> None:
    file = disk.create(there / "x")
    file.write(b"hello ")
    file.write(b"world")
    file.sync()
    assert (file.size(), file.read(0, 100), file.read(6, 3), file.read(11, 5)) == (
        11,
        b"hello world",
        b"wor",
        b"",
    )
    other = disk.open(there / "x")
    other.sync()
    file.write(b"!")
    assert (other.size(), other.read(9, 9)) == (12, b"ld!")
    file.close()
    other.close()
    with pytest.raises(OSError, match="descriptor"):
        file.write(b"more")
    file.close()


def test_a_file_is_made_once_and_opened_only_if_it_is_there(disk: Disk, there: Path) -> None:
    disk.create(there / "x").close()
    with pytest.raises(FileExistsError):
        disk.create(there / "x")
    with pytest.raises(FileNotFoundError):
        disk.open(there / "y")
    with pytest.raises(FileNotFoundError):
        disk.create(there / "no" / "y")


def test_names_are_files_and_directories(disk: Disk, there: Path) -> None:
    assert disk.names(there) == []
    assert disk.names(there / "no") == []
    disk.create(there / "x").close()
    disk.make_directory(there / "damaged")
    disk.make_directory(there / "damaged")
    disk.sync_directory(there)
    assert sorted(disk.names(there)) == ["damaged", "x"]
    assert disk.names(there.parent) == ["b"]


def test_what_is_removed_is_gone_and_may_be_gone_before(disk: Disk, there: Path) -> None:
    file = disk.create(there / "x")
    file.write(b"hello")
    disk.remove(there / "x")
    disk.remove(there / "x")
    assert disk.names(there) == []
    assert file.read(0, 9) == b"hello"  # who has it open reads on
    file.close()


def test_a_file_that_somebody_removed_is_not_synced(disk: Disk, there: Path) -> None:
    """Guard: a live segment that was removed went on being written, and answered yes."""
    disk.create(there / "new").close()
    for gone in (lambda: disk.remove(there / "x"), lambda: disk.replace(there / "new", there / "x")):
        file = disk.create(there / "x")
        file.write(b"hello")
        file.sync()
        gone()
        with pytest.raises(OSError, match="removed"):
            file.sync()
        file.close()


def test_a_file_takes_another_ones_place(disk: Disk, there: Path) -> None:
    for name in ("old", "new"):
        file = disk.create(there / name)
        file.write(name.encode())
        file.close()
    disk.replace(there / "new", there / "old")
    assert disk.names(there) == ["old"]
    file = disk.open(there / "old")
    assert file.read(0, 9) == b"new"
    file.close()


def test_a_lock_has_one_holder(disk: Disk, there: Path) -> None:
    first = disk.lock(there / "lock")
    assert first is not None
    assert disk.lock(there / "lock") is None
    first.release()
    second = disk.lock(there / "lock")
    assert second is not None
    assert disk.names(there) == ["lock"]
    assert second.named()
    disk.remove(there / "lock")
    assert not second.named()
    third = disk.lock(there / "lock")  # of another file
    assert third is not None
    second.release()
    assert disk.lock(there / "lock") is None
    third.release()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from ingest.journal.disk import RealDisk\n"
    code += "held = RealDisk().lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], cwd=root, stdin=-1, stdout=-1
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert RealDisk().lock(tmp_path / "lock") is None
        holder.kill()
        holder.wait()
    lock = RealDisk().lock(tmp_path / "lock")
    assert lock is not None
    lock.release()


def test_a_write_that_the_kernel_takes_in_parts_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    file = RealDisk().create(tmp_path / "x")
    file.write(b"hello world")
    assert file.read(0, 99) == b"hello world"
    file.close()


def test_blocks_that_cannot_be_read_come_as_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RealDisk().create(tmp_path / "x")
    file.write(b"a" * 10_000)
    pread = os.pread

    def bad(descriptor: int, size: int, offset: int) -> bytes:
        if offset < 8_192 and offset + size > 4_096:
            raise OSError(errno.EIO, "bad sector")
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", bad)
    assert (file.read(0, 4_096), file.holes) == (b"a" * 4_096, 0)
    assert file.read(100, 20_000) == b"a" * 3_996 + bytes(4_096) + b"a" * 1_808
    assert file.holes == 1
    file.close()


def test_the_disk_is_told_to_sync_data_and_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    for name in ("fdatasync", "fsync"):
        monkeypatch.setattr(
            os,
            name,
            lambda number, name=name: synced.append(f"{name} {Path(f'/proc/self/fd/{number}').readlink()}"),
        )
    disk = RealDisk()
    disk.make_directory(tmp_path / "a" / "b")
    file = disk.create(tmp_path / "a" / "b" / "x")
    file.sync()
    file.close()
    disk.sync_directory(tmp_path / "a" / "b")
    assert synced == [
        f"fsync {tmp_path}",
        f"fsync {tmp_path}/a",
        f"fdatasync {tmp_path}/a/b/x",
        f"fsync {tmp_path}/a/b",
    ]


def test_a_lock_that_the_file_system_refuses_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="no locks"):
        RealDisk().lock(tmp_path / "lock")


def test_the_simulated_disk_forgets_what_was_not_synced() -> None:
    disk, there = SimulatedDisk(), Path("/j")
    disk.make_directory(there)
    known = disk.create(there / "known")
    known.write(b"kept")
    known.sync()
    disk.sync_directory(there)
    known.write(b"lost")
    disk.create(there / "unknown").sync()
    disk.lose_power(lambda most: 0)  # noqa: ARG005  the least that may stay
    assert disk.names(there) == ["known"]
    assert disk.open(there / "known").read(0, 99) == b"kept"


def test_the_simulated_disk_believes_what_a_failed_sync_left() -> None:
    node = Inode()
    node.content += b"lost"
    node.clean = 4
    node.content += b"kept"
    node.sync()
    assert bytes(node.durable) == bytes(4) + b"kept"
