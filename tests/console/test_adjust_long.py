"""`roundtrip adjust` with files of any length: a piece at a time is looked up, sent and told."""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import roundtrip
from console import adjust, adjust_file, adjust_forecast, adjust_sender
from console.adjust_post import Verdict
from service.errors import Unreachable, Usage

HEAD = "transaction_id,status\n"
IDS = [f"{n:032}" for n in range(9)]


class Scene:
    """A ClickHouse that knows of nothing, and a collector that takes everything until it is gone.

    did: what was looked up and sent, in order.
    """

    def __init__(self) -> None:
        self.did: list[tuple[str, list[str]]] = []
        self.answers = 99

    def __call__(self, *_: object) -> "Scene":
        return self

    def query(self, _sql: str, parameters: Mapping[str, Any]) -> SimpleNamespace:
        if self.did[-1:] != [("asked", parameters["ids"])]:
            self.did.append(("asked", parameters["ids"]))
        return SimpleNamespace(rows=[])

    def close(self) -> None: ...

    def state(self, adjustments: Sequence[dict[str, str]]) -> list[Verdict]:
        if not self.answers:
            raise Unreachable("the collector is gone; start the same command again")
        self.answers -= 1
        self.did.append(("sent", [each["transaction_id"] for each in adjustments]))
        return [Verdict(outcome="accepted", receipt="r") for _ in adjustments]

    @property
    def sent(self) -> list[str]:
        return [each for what, ids in self.did for each in ids if what == "sent"]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    monkeypatch.setattr(adjust_file, "PIECE", 2)
    monkeypatch.setattr(adjust_forecast, "ClickHouse", made)
    monkeypatch.setattr(adjust_sender, "Collector", made)
    monkeypatch.setattr(adjust_sender.adjust_token, "read", lambda _: "token")
    monkeypatch.setattr(
        adjust.stack_file, "settings_for", lambda _: SimpleNamespace(collector="http://127.0.0.1:1")
    )
    return made


def adjusted(tmp_path: Path, ids: Sequence[str], *more: str) -> int:
    file = tmp_path / "f.csv"
    file.write_text(HEAD + "".join(f"{each},approved\n" for each in ids))
    return roundtrip.main(["adjust", str(file), *more])


def test_a_piece_is_sent_before_the_next_is_looked_up(scene: Scene, tmp_path: Path) -> None:
    assert adjusted(tmp_path, IDS[:5]) == 0
    pieces = [IDS[0:2], IDS[2:4], IDS[4:5]]
    assert scene.did == [(what, piece) for piece in pieces for what in ("asked", "sent")]


@pytest.mark.usefixtures("scene")
def test_the_sums_are_those_of_all_pieces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adjusted(tmp_path, IDS[:5]) == 0
    *lines, summary = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"line {n}" for n in range(2, 7)]
    assert summary == "5 adjustments: 5 waiting for their conversion"


def test_a_line_that_repeats_one_of_an_earlier_piece_is_sent_once(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adjusted(tmp_path, [*IDS[:4], IDS[0]]) == 0
    assert scene.sent == IDS[:4]
    told = capsys.readouterr().out.splitlines()
    assert told[-2:] == [
        "line 6: repeats line 2: nothing to do",
        "5 adjustments: 1 nothing to do, 4 waiting for their conversion",
    ]


def test_a_file_that_is_broken_at_its_end_sends_nothing(scene: Scene, tmp_path: Path) -> None:
    for broken in ('"open', "x\x00y,\udcff"):
        assert adjusted_text(tmp_path, HEAD + "".join(f"{each},approved\n" for each in IDS) + broken) == 2
    assert scene.did == []


def adjusted_text(tmp_path: Path, text: str) -> int:
    file = tmp_path / "f.csv"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return roundtrip.main(["adjust", str(file)])


def test_where_the_collector_goes_away_the_rest_is_not_come_to_and_the_same_file_goes_on(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.answers = 1
    assert adjusted(tmp_path, IDS[:7]) == 3
    told = capsys.readouterr()
    assert scene.sent == IDS[:2]
    assert told.out.splitlines()[-1] == (
        "7 adjustments: 2 waiting for their conversion, 2 not accepted, 3 not come to: the collector was gone"
    )
    assert "start the same command again" in told.err
    scene.answers = 99
    assert adjusted(tmp_path, IDS[:7]) == 0


def test_a_collector_that_never_answered_is_told_in_a_line(scene: Scene, tmp_path: Path) -> None:
    scene.answers = 0
    assert adjusted(tmp_path, IDS) == 3
    assert scene.sent == []


def test_a_dry_run_sends_nothing_and_tells_every_line(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adjusted(tmp_path, IDS, "--dry-run") == 0
    assert (scene.sent, len(capsys.readouterr().out.splitlines())) == ([], len(IDS) + 2)


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
@pytest.mark.usefixtures("scene")
def test_for_programs_it_is_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    assert adjusted(tmp_path, IDS, "--format", "json", *more) == 0
    told = json.loads(capsys.readouterr().out)
    assert [line["line"] for line in told["lines"]] == [*range(2, 11)]
    assert told["summary"] == ["9 adjustments: 9 waiting for their conversion"]
    assert adjusted(tmp_path, [], "--format", "json", *more) == 0
    assert json.loads(capsys.readouterr().out) == {"lines": [], "summary": ["0 adjustments: none"]}


def test_a_pipe_is_read_as_a_file_is(scene: Scene, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = HEAD + "".join(f"{each},approved\n" for each in IDS)
    writer = threading.Thread(target=lambda: pipe.write_text(text))
    writer.start()
    assert roundtrip.main(["adjust", str(pipe)]) == 0
    writer.join()
    assert scene.sent == IDS


def test_what_goes_wrong_meanwhile_is_not_taken_for_a_fault_of_the_file(tmp_path: Path) -> None:
    (file := tmp_path / "f.csv").write_text(HEAD)
    with pytest.raises(ConnectionError), adjust_file.opened(file):
        raise ConnectionError
    with pytest.raises(Usage, match="cannot be read"), adjust_file.opened(tmp_path / "none.csv"):
        pass
