"""Rotation: a key verifies before it signs, and goes on verifying while an ID of it is alive."""

import pytest

from schemas import times
from service import rotation
from service.errors import No
from service.keys import Key, KeyFile

DAY_MS = 86_400_000
NOW_MS = times.to_ms("2026-11-23T12:00:00.000Z")
HOUR_AGO = times.from_ms(NOW_MS - 3_600_000)
FIRST = Key(number=1, secret="aa" * 32, signs=True)
SECOND = Key(number=2, secret="bb" * 32, added=HOUR_AGO)
TWO = KeyFile(keys=(FIRST, SECOND))


def test_the_very_first_key_signs_every_later_one_only_verifies() -> None:
    first, number = rotation.added(KeyFile(), "aa" * 32, NOW_MS)
    assert (number, first.keys[0].signs) == (1, True)
    second, number = rotation.added(first, "bb" * 32, NOW_MS)
    assert (number, [key.signs for key in second.keys]) == (2, [True, False])
    assert second.keys[1].added == times.from_ms(NOW_MS)


def test_a_number_is_never_given_twice() -> None:
    file = KeyFile(keys=(Key(number=254, secret="aa" * 32, signs=True),), retired=(255, 0, 1, 3))
    numbers = []
    for _ in range(3):
        file, number = rotation.added(file, "bb" * 32, NOW_MS)
        numbers.append(number)
    assert numbers == [2, 4, 5]


def test_when_all_numbers_were_given_there_is_none() -> None:
    with pytest.raises(No, match="all 256"):
        rotation.added(KeyFile(keys=(FIRST,), retired=(0, *range(2, 256))), "bb" * 32, NOW_MS)


def test_who_signs_next_takes_over_from_who_did_and_both_go_on_verifying() -> None:
    found = rotation.signing(TWO, 2, NOW_MS, NOW_MS)
    assert [(key.number, key.signs, key.signed_until) for key in found.keys] == [
        (1, False, times.from_ms(NOW_MS)),
        (2, True, ""),
    ]
    back = rotation.signing(found, 1, NOW_MS + DAY_MS, 0)
    assert [(key.signs, key.signed_until) for key in back.keys] == [
        (True, ""),
        (False, times.from_ms(NOW_MS + DAY_MS)),
    ]


@pytest.mark.parametrize(("added", "written_ms"), [(times.from_ms(NOW_MS), 0), ("", NOW_MS)])
def test_a_key_that_some_edge_may_not_have_yet_does_not_sign(added: str, written_ms: int) -> None:
    """Where its own time is not known, the file's last change tells how long it is there at least."""
    soon = NOW_MS + 1_000 * rotation.SIGNS_AFTER_S - 1
    file = KeyFile(keys=(FIRST, Key(number=2, secret="bb" * 32, added=added)))
    with pytest.raises(No, match="--now"):
        rotation.signing(file, 2, soon, written_ms)
    assert rotation.signing(file, 2, soon, written_ms, at_once=True).keys[1].signs
    assert rotation.signing(file, 2, soon + 1, written_ms).keys[1].signs


@pytest.mark.parametrize(
    ("number", "why"), [(1, "signs already"), (3, "there is no key 3; there are 1, 2"), (9, "9 was retired")]
)
def test_who_cannot_sign_is_told_why(number: int, why: str) -> None:
    with pytest.raises(No, match=why):
        rotation.signing(KeyFile(keys=TWO.keys, retired=(9,)), number, NOW_MS, 0)


def test_a_key_is_retired_only_when_no_id_that_it_signed_can_come_back() -> None:
    file = rotation.signing(TWO, 2, NOW_MS, NOW_MS)
    ends_ms = NOW_MS + (30 + 120 + 7) * DAY_MS
    with pytest.raises(No, match="may come back until 2027-04-29"):
        rotation.retired(file, 1, ends_ms - 1)
    assert rotation.retirable(file, file.keys[0]) == times.from_ms(ends_ms)
    assert rotation.retired(file, 1, ends_ms) == KeyFile(keys=(file.keys[1],), retired=(1,))
    assert rotation.retired(file, 1, NOW_MS, force=True).retired == (1,)


def test_the_key_that_signs_is_never_retired() -> None:
    with pytest.raises(No, match="let another one sign first"):
        rotation.retired(TWO, 1, NOW_MS, force=True)


def test_a_key_that_never_signed_may_go_at_once_one_of_unknown_past_may_not() -> None:
    assert rotation.retired(TWO, 2, NOW_MS).keys == (FIRST,)
    by_hand = KeyFile(keys=(Key(number=1, secret="aa" * 32), Key(number=2, secret="bb" * 32, signs=True)))
    with pytest.raises(No, match="is not known"):
        rotation.retired(by_hand, 1, NOW_MS)
