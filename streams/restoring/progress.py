"""How far the restoring of partitions has come, in words. Pure: the time comes in as an argument."""

from collections.abc import Iterable
from typing import Final

_MILLION: Final = 1_000_000


class Progress:
    """Counts partitions and rows from the first that is to be restored until none is left.

    A row is an offset: what Kafka has deleted or compacted meanwhile counts as read.
    """

    def __init__(self) -> None:
        self.partitions = self.partitions_done = 0
        self.rows = self.rows_done = 0
        self._since_s = 0.0

    def expect(self, rows: Iterable[int], now_s: float) -> None:
        """As many partitions more, of so many rows each."""
        if not self.partitions_left:
            self.__init__()  # type: ignore[misc]
            self._since_s = now_s
        for each in rows:
            self.partitions += 1
            self.rows += each

    def forget(self) -> None:
        """Nothing more is restored."""
        self.__init__()  # type: ignore[misc]

    def read(self, rows: int) -> None:
        """So many rows are in the state."""
        self.rows_done += rows

    def partition_done(self) -> None:
        """One more partition is whole."""
        self.partitions_done += 1

    @property
    def partitions_left(self) -> int:
        """Those that are not whole yet."""
        return self.partitions - self.partitions_done

    @property
    def rows_left(self) -> int:
        """What is still to be read."""
        return self.rows - self.rows_done

    def told(self, now_s: float) -> str:
        """`3 of 8 partitions, 1.2 M of 10.0 M facts, 84 000/s, 100 s left`; or nothing."""
        if not self.partitions_left:
            return ""
        rate = self.rows_done / max(now_s - self._since_s, 0.001)
        left = f", {self.rows_left / rate:.0f} s left" if rate else ""
        return (
            f"{self.partitions_done} of {self.partitions} partitions,"
            f" {_short(self.rows_done)} of {_short(self.rows)} facts, {_short(rate)}/s{left}"
        )


def _short(count: float) -> str:
    """1.2 M, or all its digits below a million."""
    return f"{count / _MILLION:.1f} M" if count >= _MILLION else f"{count:_.0f}".replace("_", " ")
