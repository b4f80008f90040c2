"""The command: instant help, clear errors, exit codes."""

import os
import resource
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import roundtrip
from service.errors import No, Problem, Refused, Unavailable, Unreachable, Usage

ROOT = Path(__file__).parents[2]


def ran(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "roundtrip", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fake(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    module = types.ModuleType("a_command")
    module.arguments = lambda parser: parser.add_argument("--count", type=int)  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_command", module)
    monkeypatch.setitem(roundtrip.COMMANDS, "fake", ("a_command", "for this test"))


def raising(error: BaseException) -> object:
    def run(_args: object) -> int:
        raise error

    return run


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], []])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert roundtrip.main(words) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in roundtrip.COMMANDS)


def test_help_and_version_import_nothing_of_ours() -> None:
    program = (
        "import sys, roundtrip; roundtrip.main(['--help']); roundtrip.main(['--version']);"
        "ours = {'service', 'schemas', 'console', 'deploy', 'proof', 'argparse', 'msgspec'};"
        "sys.exit(bool(ours & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_is_instant() -> None:
    """At most twice the CPU of the interpreter's own start; the best of five, for the machine may be busy."""

    def children_s() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    def best_s(*words: str) -> float:
        found: list[float] = []
        for _ in range(5):
            before = children_s()
            subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, timeout=120, check=True)
            found.append(children_s() - before)
        return min(found)

    assert best_s("-m", "roundtrip", "--help") < 2 * best_s("-c", "") + 0.01


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert roundtrip.main(["--version"]) == 0
    assert capsys.readouterr().out == f"roundtrip {project['version']}\n"


def test_an_unknown_command_is_wrong_usage_and_names_the_nearest() -> None:
    done = ran("colector")
    assert (done.returncode, done.stdout) == (2, "")
    assert "roundtrip collector" in done.stderr
    assert done.stderr.count("\n") == 1


def test_arguments_reach_the_command_and_its_code_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, lambda args: args.count)
    assert roundtrip.main(["fake", "--count", "7"]) == 7


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Problem("why"), 1),
        (No("why"), 1),
        (Usage("why"), 2),
        (Unreachable("why"), 3),
        (Unavailable("why"), 3),
        (Refused("why"), 1),
    ],
)
def test_a_problem_is_one_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    fake(monkeypatch, raising(error))
    assert roundtrip.main(["fake"]) == code
    assert capsys.readouterr().err == "roundtrip fake: why\n"


def test_a_bug_keeps_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, raising(KeyError("bug")))
    with pytest.raises(KeyError):
        roundtrip.main(["fake"])


def test_ctrl_c_ends_a_command_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, raising(KeyboardInterrupt()))
    assert roundtrip.main(["fake"]) == 130


def test_wrong_arguments_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(monkeypatch, lambda _: 0)
    with pytest.raises(SystemExit) as caught:
        roundtrip.main(["fake", "--count", "many"])
    assert caught.value.code == 2
    assert "roundtrip fake" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["['--help']", "['fake']"])
def test_a_reader_that_has_enough_is_no_error(words: str) -> None:
    program = (
        "import sys, types, roundtrip\n"
        "def run(args):\n    print('x' * 1_000_000)\n    return 0\n"
        "module = types.ModuleType('m'); module.arguments = lambda p: None; module.run = run\n"
        "sys.modules['m'] = module; roundtrip.COMMANDS['fake'] = ('m', '')\n"
        f"sys.exit(roundtrip.main({words}))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.stderr, done.returncode) == (b"", 141)


def test_a_full_disk_for_the_output_is_a_line_and_exit_code_1() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "roundtrip", "--help"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    said = b"roundtrip: the output cannot be written: No space left on device\n"
    assert (done.stderr, done.returncode) == (said, 1)
