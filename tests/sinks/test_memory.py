"""What the notifier remembers."""

from pathlib import Path

import pytest

from schemas.decisions import Delivery
from service.errors import Problem
from sinks.dial import Answer
from sinks.memory import Memory, Place, Told
from sinks.notice import delivery
from tests.sinks.examples import NOTICE, changed

DELIVERED: Delivery = delivery(NOTICE, Answer(200), 0)


def test_what_ended_is_remembered_over_a_restart(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m")
    memory.note(DELIVERED)
    memory.remember(3, Place("cluster:topic", 17))
    memory.close()
    again = Memory(tmp_path / "m")
    assert again.ended(NOTICE)
    assert again.told_last(NOTICE.conversion_id, NOTICE.subscription) == Told(1, NOTICE.notice_id)
    assert (again.place(3), again.place(4)) == (Place("cluster:topic", 17), Place())
    again.close()


def test_an_attempt_that_may_be_repeated_has_not_ended(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.note(changed(DELIVERED, ended=False, outcome="failed"))
    assert not memory.ended(NOTICE)


def test_the_version_that_was_told_only_grows(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for version in (3, 9, 4):
        memory.note(changed(DELIVERED, version=version))
    assert memory.told_last(NOTICE.conversion_id, NOTICE.subscription).version == 9


def test_what_was_told_is_due_again_where_something_else_was_told_since(tmp_path: Path) -> None:
    """Approved, rejected, approved; a replay of any of them is not, nor what is not newer."""
    memory = Memory(tmp_path)
    rejected = changed(NOTICE, notice_id="r" * 32)
    memory.note(DELIVERED)
    assert memory.ended(changed(NOTICE, version=9))
    memory.note(changed(DELIVERED, notice_id="r" * 32, version=2))
    assert [memory.ended(changed(NOTICE, version=version)) for version in (1, 2, 3)] == [True, True, False]
    memory.note(changed(DELIVERED, version=3))
    assert all(memory.ended(changed(NOTICE, version=version)) for version in (1, 3, 9))
    assert [memory.ended(changed(rejected, version=version)) for version in (2, 3, 4)] == [True, True, False]
    memory.close()


def test_what_could_not_be_told_again_has_ended(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for each in (
        DELIVERED,
        changed(DELIVERED, notice_id="r" * 32, version=2),
        changed(DELIVERED, version=3, outcome="refused"),
    ):
        memory.note(each)
    assert [memory.ended(changed(NOTICE, version=version)) for version in (3, 4)] == [True, False]
    memory.close()


def test_what_was_never_dialled_was_not_told(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.note(changed(DELIVERED, version=9, outcome="refused"))
    assert memory.told_last(NOTICE.conversion_id, NOTICE.subscription) == Told()


def test_a_second_notifier_in_one_directory_is_told_so(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    with pytest.raises(Problem, match="another notifier"):
        Memory(tmp_path)
    memory.close()


def test_a_directory_that_cannot_be_made_is_a_problem_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Problem, match="file/notifier cannot be made: Not a directory; see ROUNDTRIP_DIR"):
        Memory(tmp_path / "file" / "notifier")
