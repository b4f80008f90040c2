"""The cursor file: whole, or the one before, or none; no bit of it is believed that was not written."""

import pytest

from ingest.journal import cursor as cursors
from ingest.journal.cursor import Cursor, Mark, decode, encode, load, save
from ingest.journal.segments import Position
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.shipper.fakes import OWN

FIRST = Cursor(Position(1, 500), "e-3", {"clicks": "c:1"}, {("clicks", 2): Mark(7, "e-3")})
SECOND = FIRST._replace(position=Position(2, 90), receipt_id="f-1")


@pytest.fixture
def disk() -> SimulatedDisk:
    made = SimulatedDisk()
    made.make_directory(OWN)
    return made


def test_what_was_saved_is_loaded(disk: SimulatedDisk) -> None:
    assert load(disk, OWN) == Cursor()
    save(disk, OWN, FIRST)
    assert load(disk, OWN) == FIRST
    save(disk, OWN, SECOND)
    assert load(disk, OWN) == SECOND


def test_an_empty_cursor_comes_back_empty() -> None:
    assert decode(encode(Cursor())) == Cursor()


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    data = encode(FIRST)
    for at in range(len(data)):
        assert decode(data[:at]) is None
        for bit in range(8):
            assert decode(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]) is None


def test_a_loss_of_power_leaves_this_one_or_the_one_before(disk: SimulatedDisk) -> None:
    for pick in (lambda _: 0, lambda most: most):
        save(disk, OWN, FIRST)
        disk.lose_power(pick)
        assert load(disk, OWN) == FIRST


@pytest.mark.parametrize("operation", ["create", "write", "sync", "remove", "sync_directory"])
def test_where_the_disk_fails_the_one_before_stays_or_the_new_one_is_there(
    disk: SimulatedDisk, operation: str
) -> None:
    save(disk, OWN, FIRST)
    disk.faults.left[operation] = 1
    with pytest.raises(OSError):  # noqa: PT011  whichever
        save(disk, OWN, SECOND)
    assert load(disk, OWN) in (FIRST, SECOND)
    disk.lose_power(lambda _: 0)
    assert load(disk, OWN) in (FIRST, SECOND)
    save(disk, OWN, SECOND)  # what was left of the attempt is not in the way
    assert load(disk, OWN) == SECOND


def test_one_that_cannot_be_read_is_as_good_as_none(
    disk: SimulatedDisk, caplog: pytest.LogCaptureFixture
) -> None:
    save(disk, OWN, FIRST)

    def fails(_path: object) -> object:
        raise OSError(5, "Input/output error")

    disk.open = fails  # type: ignore[method-assign,assignment]
    assert load(disk, OWN) == Cursor()
    assert f"{OWN / cursors.NAME} cannot be read" in caplog.text
