"""A run of rounds that goes on where it was: what held is left out, what failed is played again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proof import joiner_kills, kills, rounds
from proof.compared import Compared
from service.errors import Usage


def of_stacks(number: int, seed: int = 1, **sorts: int) -> kills.Round:
    found = Compared(differences=[*sorts], sorts=sorts)
    return kills.Round(number=number, seed=f"{seed}/{number}", kills=[], said={}, found=found, seconds=1.0)


def of_joiners(number: int, seed: int = 1, **sorts: int) -> joiner_kills.Round:
    return joiner_kills.Round(
        number=number, seed=f"{seed}/{number}", steps=[], sorts=sorts, differences=[*sorts]
    )


KINDS = pytest.mark.parametrize("over", [of_stacks, of_joiners])


@KINDS
def test_a_run_that_goes_on_leaves_out_what_held_and_repeats_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], over: Callable[..., Any]
) -> None:
    file = tmp_path / "rounds.jsonl"
    assert rounds.told([over(1), over(2, missing=1)], file, "all held") == 1
    assert rounds.told([over(3, seed=2)], file, "all held") == 0
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert [line for line in lines if not line.startswith("round ")] == [
        "  missing",
        "1 rounds failed",
        "all held",
    ]
    assert rounds.held(file, 1, type(over(1))) == {1}
    assert rounds.held(tmp_path / "none", 1, type(over(1))) == rounds.held(None, 1, type(over(1))) == set()


@KINDS
def test_another_file_is_refused(tmp_path: Path, over: Callable[..., Any]) -> None:
    file = tmp_path / "rounds.jsonl"
    file.write_bytes(msgspec.json.encode({"number": 1}) + b"\n")
    with pytest.raises(Usage, match=r"rounds\.jsonl"):
        rounds.held(file, 1, type(over(1)))
