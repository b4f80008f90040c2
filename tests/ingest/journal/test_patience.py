"""What a disk does not give for a while is no damage until it was asked for in vain long enough."""

import pytest

from ingest.journal.patience import LASTS_S, Patience
from ingest.journal.reader import Piece, Reader
from ingest.journal.segments import Header, Position
from schemas.facts import Predecessor
from tests.ingest.journal.disks import SimulatedDisk
from tests.ingest.journal.samples import (
    AT_MS,
    EPOCH,
    NEXT,
    OWN,
    entries_of,
    entry,
    put,
    receipts_of,
    segment_of,
)

RUN = [entry(n) for n in (1, 2, 3)]
HEADER_BYTES = len(segment_of([]))
END = Position(1, len(segment_of(RUN)))
ALL = range(1 << 30)
SECOND = range(len(segment_of(RUN[:1])), len(segment_of(RUN[:2])))


class Shipping:
    """Reads as a carrier does: after an error again, from where it was, with another reader."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.seconds = 0.0
        self.patience = Patience(lambda: self.seconds)
        self.pieces: list[Piece] = []
        self.position = Position()

    def read(self) -> str:
        """All that there is; else what the error says."""
        reader = Reader(self.disk, OWN, self.position, owned=True, patience=self.patience)
        try:
            while (piece := reader.read(None, 4_096)).position != self.position:
                self.position = piece.position
                self.pieces.append(piece)
        except OSError as error:
            return str(error)
        finally:
            reader.close()
        return ""

    def fail_for(self, seconds: float) -> str:
        """The last error, after so long with a try in each second."""
        until, said = self.seconds + seconds, ""
        while self.seconds < until:
            said = self.read()
            self.seconds += 1
        return said

    @property
    def damaged(self) -> int:
        return sum(piece.damaged + piece.torn for piece in self.pieces)


@pytest.fixture
def shipping() -> Shipping:
    disk = SimulatedDisk()
    put(disk, segment_of(RUN))
    return Shipping(disk)


@pytest.mark.parametrize("bad", [ALL, range(HEADER_BYTES, 1 << 30), SECOND, range(HEADER_BYTES + 10)])
def test_reads_that_fail_while_writes_succeed_cost_nothing(shipping: Shipping, bad: range) -> None:
    """Guard: the whole rest of a journal was passed over as damaged."""
    shipping.disk.faults.unreadable = bad
    assert "the disk does not give what lies from" in shipping.fail_for(LASTS_S - 1)
    shipping.disk.faults.unreadable = range(0)
    assert shipping.read() == ""
    assert (entries_of(shipping.pieces), shipping.damaged) == (RUN, 0)


def test_a_bad_block_is_passed_over_in_the_end(shipping: Shipping) -> None:
    shipping.disk.faults.unreadable = SECOND
    assert f"from {SECOND.start} on" in shipping.fail_for(LASTS_S)
    assert shipping.read() == ""
    assert (entries_of(shipping.pieces), shipping.damaged) == ([RUN[0], RUN[2]], 1)


def test_a_file_of_which_nothing_is_given_is_never_passed_over(shipping: Shipping) -> None:
    shipping.disk.faults.unreadable = ALL
    assert shipping.fail_for(10 * LASTS_S)
    shipping.disk.faults.unreadable = range(0)
    shipping.read()
    assert entries_of(shipping.pieces) == RUN


def test_who_was_told_no_time_waits_for_ever(shipping: Shipping) -> None:
    shipping.disk.faults.unreadable = SECOND
    reader = Reader(shipping.disk, OWN, Position(), owned=True)
    assert reader.read(None, 4_096).entries == RUN[:1]
    with pytest.raises(OSError, match="does not give"):
        reader.read(None, 4_096)


def test_what_was_given_between_and_what_was_not_asked_for_begin_anew() -> None:
    seconds = [0.0]
    patience, place = Patience(lambda: seconds[0]), Position(1, 50)

    def ends_after(*tries: float) -> bool:
        ended = False
        for at in tries:
            seconds[0] = at
            ended = patience.ends(place)
        return ended

    assert not ends_after(0, 10, 20, 30, 40, 50)
    patience.given(Position(1, 51), Position(1, 99))
    assert ends_after(60)
    patience.given(Position(1, 20), Position(1, 51))
    assert not ends_after(61)
    assert not ends_after(150)  # nobody knows what it would have given meanwhile
    assert ends_after(*range(160, 211, 10))


def test_what_the_next_epoch_says_of_this_one_is_waited_for(shipping: Shipping) -> None:
    """Guard: without its limit, what was refused would be shipped."""
    previous = Predecessor(epoch=EPOCH, last=2)
    header = Header(epoch=NEXT, first=1, opened_ms=AT_MS, previous=previous, refused=True)
    put(shipping.disk, segment_of([entry(1, NEXT)], header), 2)
    reader = Reader(shipping.disk, OWN, Position(), owned=True, patience=shipping.patience)
    reader.read(Position(1, HEADER_BYTES), 1)  # it has its own header
    shipping.disk.faults.unreadable = range(10)
    with pytest.raises(OSError, match=r"000000000002\.seg"):
        reader.read(None, 4_096)
    shipping.disk.faults.unreadable = range(0)
    shipping.read()
    assert receipts_of(shipping.pieces) == [f"{EPOCH}-1", f"{EPOCH}-2", f"{NEXT}-1"]
