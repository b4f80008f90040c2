"""A state that is damaged, of another release, or on a disk that fails: a clear end and never a wrong row."""

import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas import facts
from service.errors import Problem
from service.kafka import Outgoing
from streams.state import layout
from streams.state.bundles import Bundle
from streams.state.changes import Changes
from streams.state.layout import Emitted, Header, Position
from streams.state.partition import FAMILIES, Partition
from streams.state.store import Busy, Store
from tests.streams.installation import Installation, JoinerProcess, expected, story
from tests.streams.joining import click, postback

WRITES = 150
HELD = 40  # facts a write; each of 6 KB that does not compress: the families are flushed once and again

Harm = Callable[[Path], None]


def change(number: int, chance: random.Random) -> Changes:
    """Each write changes several families, and says up to where it came."""
    given = [
        click(f"t{number}", HELD * number + each, user_agent=chance.randbytes(3_000).hex())
        for each in range(HELD)
    ]
    return Changes(
        facts=[
            layout.stored("clicks", fact, facts.encode(fact), layout.seen_key("clicks", fact))
            for fact in given
        ],
        headers={Bundle(f"t{number}"): Header(HELD, 1)},
        births=[(number, Bundle(f"t{number}"))],
        positions={"clicks": Position(number + 1, "log")},
    )


def fill(directory: str, waits_after: int) -> None:
    """Each write's number is said when it is stored; then the process is no more, as after kill -9.

    waits_after: after so many writes it goes on when a line comes.
    """
    chance = random.Random(7)
    code = 0
    try:
        state = Store(Path(directory)).open(0)
        for number in range(WRITES):
            state.apply(change(number, chance))
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            if number + 1 == waits_after:
                sys.stdin.readline()
    except Problem as problem:
        sys.stdout.write(f"{problem}\n")
        code = 1
    sys.stdout.flush()
    os._exit(code)


def filling(directory: Path, waits_after: int = 0, **environment: str) -> "subprocess.Popen[str]":
    program = f"from tests.streams.test_poisoned import fill; fill({str(directory)!r}, {waits_after})"
    command = [sys.executable, "-c", program]
    both, environ = subprocess.PIPE, {**os.environ, **environment}
    return subprocess.Popen(command, stdin=both, stdout=both, text=True, env=environ)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("state")
    with filling(directory) as process:
        assert process.wait(60) == 0
    return directory


@pytest.fixture
def copy(crashed: Path, tmp_path: Path) -> Path:
    shutil.copytree(crashed, tmp_path / "joiner")
    return tmp_path / "joiner" / "0"


def read(path: Path) -> int:
    """How many writes the state holds; every value was read, and they are the first so many, whole."""
    state = Store(path.parent).open(int(path.name))
    try:
        written = state.positions["clicks"].offset if state.positions else 0
        bundles = [Bundle(f"t{number}") for number in range(WRITES)]
        missing = WRITES - written
        assert [each.facts for each in state.headers(bundles)] == [HELD] * written + [0] * missing
        assert [len(state.facts(each.transaction_id)) for each in bundles] == [HELD] * written + [0] * missing
        keys = [layout.seen_key("clicks", click(sequence=each)) for each in range(HELD * WRITES)]
        assert sum(each is not None for each in state.seen(keys)) == HELD * written
        assert len(state.born(WRITES, WRITES)) == written
        return written
    finally:
        state.close()


def the(path: Path, pattern: str) -> Path:
    """The largest of these files, and one that counts: who ends while it compacts leaves others."""
    counts = tables(path) if pattern == "*.sst" else None
    found = [file for file in path.glob(pattern) if counts is None or file.name in counts]
    return max(found, key=lambda file: file.stat().st_size)


def tables(path: Path) -> set[str]:
    """The tables that the manifest names, by a look at another copy."""
    other = path.with_name("1")
    shutil.copytree(path, other)
    state = Store(path.parent).open(1)
    found = {each["name"].strip("/") for each in state._db.live_files()}
    state.close()
    shutil.rmtree(other)
    return found


def flip(file: Path, part: float) -> None:
    held = bytearray(file.read_bytes())
    held[int(len(held) * part)] ^= 1
    file.write_bytes(held)


def cut(file: Path, part: float) -> None:
    os.truncate(file, int(file.stat().st_size * part))


def test_undamaged_it_is_whole(copy: Path) -> None:
    assert len(list(copy.glob("*.sst"))) > 10, "too little was written to be a test"
    assert read(copy) == WRITES


HARMS: dict[str, Harm] = {
    "an SST is missing": lambda path: the(path, "*.sst").unlink(),
    "an SST is cut": lambda path: cut(the(path, "*.sst"), 0.5),
    "an SST's bytes are others": lambda path: flip(the(path, "*.sst"), 0.4),
    "an SST's end is other": lambda path: flip(the(path, "*.sst"), 0.999),
    "the manifest is missing": lambda path: the(path, "MANIFEST*").unlink(),
    "the manifest's bytes are others": lambda path: flip(the(path, "MANIFEST*"), 0.5),
    "the manifest is cut": lambda path: cut(the(path, "MANIFEST*"), 0.7),
    "the manifest is empty": lambda path: cut(the(path, "MANIFEST*"), 0),
    "CURRENT is missing": lambda path: (path / "CURRENT").unlink(),
    "CURRENT is empty": lambda path: cut(path / "CURRENT", 0),
}
"""RocksDB alone finds most: but it reads a cut manifest as an earlier one, and a scan ends at bad bytes."""


def is_told(problem: Problem, path: Path) -> None:
    said = str(problem)
    assert f"state {path} is damaged (" in said
    assert "move that directory away and start the joiner again" in said
    assert len(said.splitlines()) == 1
    assert len(said.replace(str(path.parents[1]), "")) < 450  # however long the paths are here
    assert not isinstance(problem, Busy)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_ends_the_worker_with_what_where_and_what_to_do(copy: Path, harm: str) -> None:
    HARMS[harm](copy)
    with pytest.raises(Problem) as told:
        read(copy)
    is_told(told.value, copy)


@pytest.mark.parametrize(
    "harm",
    [
        lambda wal: wal.unlink(),
        lambda wal: cut(wal, 0.5),
        lambda wal: flip(wal, 0.5),
        lambda wal: cut(wal, 0),
    ],
    ids=["missing", "cut", "flipped", "empty"],
)
def test_a_lost_log_leaves_an_earlier_state_that_is_whole(copy: Path, harm: Harm) -> None:
    """From whose positions reading goes on. Guard: flushed one by one, the families would contradict."""
    for wal in copy.glob("*.log"):
        harm(wal)
    assert 0 < read(copy) < WRITES


ODD_KEYS = {
    "facts": layout.fact_key("postbacks", postback()),
    "headers": layout.header_key(Bundle("t1")),
    "cases": layout.case_key(Bundle("t1"), 0),
    "outbox": layout.number(7),
}


def ask_everything(state: Partition) -> None:
    state.facts("t1")
    state.headers([Bundle("t1")])
    state.cases(Bundle("t1"))
    state.emitted([(Bundle("t1"), 0)])


@pytest.mark.parametrize("family", [*ODD_KEYS, "position", "format"])
def test_a_value_that_is_not_what_was_written_ends_the_worker_too(tmp_path: Path, family: str) -> None:
    state = Store(tmp_path).open(0)
    outbox = [Outgoing("notices", b"t1", b"{}")]
    state.apply(Changes(cases={(Bundle("t1"), 0): Emitted(1, b"", b"")}, outbox=outbox))
    if family in FAMILIES:
        state._family[family].put(ODD_KEYS[family], b"\xff\xc1")
    else:
        state._db.put({"position": b"position:clicks", "format": b"format"}[family], b"\xff\xc1")
    state.close()
    with pytest.raises(Problem) as told:
        ask_everything(Store(tmp_path).open(0))
    if family == "format":
        assert "this release reads" in str(told.value)
    else:
        is_told(told.value, tmp_path / "0")


# A disk that fails

FAILING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* While FAILS_IF exists, what is written below FAILS_AT fails with FAILS_AS, half of it written. */
static int fails(int fd) {
  char name[64], path[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(name, path, sizeof path - 1);
  const char *below = getenv("FAILS_AT"), *flag = getenv("FAILS_IF");
  if (length < 0 || !below || !flag) return 0;
  path[length] = 0;
  return strncmp(path, below, strlen(below)) == 0 && access(flag, F_OK) == 0;
}
static int failed(void) { errno = atoi(getenv("FAILS_AS")); return -1; }
#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
  REAL(write);
  if (!fails(fd)) return real(fd, data, size);
  if (size > 1 && real(fd, data, size / 2)) {}
  return failed();
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  REAL(pwrite);
  return fails(fd) ? failed() : real(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  REAL(pwrite64);
  return fails(fd) ? failed() : real(fd, data, size, at);
}
int fdatasync(int fd) { REAL(fdatasync); return fails(fd) ? failed() : real(fd); }
int fsync(int fd) { REAL(fsync); return fails(fd) ? failed() : real(fd); }
"""


@pytest.fixture(scope="session")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to be loaded before libc."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("NO C COMPILER: what a failing disk does was not tried")
    library = tmp_path_factory.mktemp("disk") / "failing.so"
    source = library.with_suffix(".c")
    source.write_text(FAILING)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library


@pytest.mark.parametrize(
    ("fault", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EIO, "the disk fails")],
    ids=["full", "broken"],
)
def test_a_disk_that_fails_ends_the_worker_and_what_it_had_stored_is_there(
    failing_disk: Path, tmp_path: Path, fault: int, said: str
) -> None:
    state, flag = tmp_path / "state", tmp_path / "fails"
    environment = {"LD_PRELOAD": str(failing_disk), "FAILS_AT": str(state), "FAILS_IF": str(flag)}
    stored = 0
    with filling(state, WRITES // 3, FAILS_AS=str(fault), **environment) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for line in process.stdout:
            if not line.strip().isdecimal():
                break
            stored = int(line) + 1
            if stored == WRITES // 3:
                flag.touch()
                process.stdin.write("\n")
                process.stdin.flush()
        assert process.wait(60) == 1, "it went on as if nothing had been"
    assert said in line
    assert f"state {state / '0'}: " in line
    with filling(state, FAILS_AS=str(fault), **environment) as process:
        last, _ = process.communicate(timeout=60)
        assert (process.returncode, said in last) == (1, True), last
    flag.unlink()
    assert WRITES // 3 <= stored <= read(state / "0") < WRITES


# The whole worker, on the real Kafka


def failed(here: Installation, joiner: JoinerProcess) -> str:
    """What the joiner said last, which ended by itself; one line of it is for people, none a trace."""
    assert joiner.ended() == 1, joiner.said()
    here.processes.remove(joiner)
    said = joiner.said()
    assert "Traceback" not in said
    (last,) = [line for line in said.splitlines() if line.startswith("joiner: ")]
    joiner.log.unlink()
    return last


@pytest.mark.stack
def test_a_full_disk_stops_the_worker_and_with_room_it_goes_on(
    here: Installation, failing_disk: Path
) -> None:
    here.migrate()
    flag, story_1, story_2 = here.settings.dir / "full", story(40), story(40, 41)
    joiner = JoinerProcess(here.settings)
    joiner.environment = {
        "LD_PRELOAD": str(failing_disk),
        "FAILS_AT": str(here.settings.dir / "joiner") + "/",
        "FAILS_IF": str(flag),
        "FAILS_AS": str(errno.ENOSPC),
    }
    here.processes.append(joiner)
    joiner.start()
    here.feed(story_1)
    here.waits_for(here.committed_all)
    sent = len(here.read("conversions"))
    flag.touch()
    here.feed(story_2)
    assert "the disk is full" in failed(here, joiner)
    assert len(here.read("conversions")) == sent
    assert not here.committed_all()
    flag.unlink()
    here.joiner()
    here.waits_for(lambda: here.final() == expected(story_1 + story_2))
    here.waits_for(here.committed_all)


@pytest.mark.stack
def test_once_a_damaged_state_was_moved_away_the_final_rows_are_right(here: Installation) -> None:
    before, since = story(40), story(40, 41)
    here.migrate().feed(before)
    here.joiner()
    here.waits_for(here.committed_all)
    here.processes.pop().stop()
    for table in (here.settings.dir / "joiner" / "0").glob("*.sst"):
        flip(table, 0.3)
    here.feed(since)
    last = failed(here, here.joiner())
    place = Path(last.partition("state ")[2].partition(" is damaged")[0])
    place.rename(here.settings.dir / "away")
    here.joiner()
    here.waits_for(lambda: here.final() == expected(before + since))
    here.waits_for(here.committed_all)
