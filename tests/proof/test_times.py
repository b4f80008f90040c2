"""Times in one line, and how the disk's are kept."""

from pathlib import Path

from proof.disk import DiskProbe
from proof.times import Times, times


def test_the_half_the_hundredth_and_the_worst() -> None:
    found = times(number / 1000 for number in range(1, 102))
    assert found == Times(count=101, p50_ms=51.0, p99_ms=100.0, worst_ms=101.0)
    assert str(found) == "p50 51.0 ms, p99 100.0 ms, worst 101.0 ms (101)"


def test_one_measurement_is_all_three_and_none_is_nothing() -> None:
    assert times([0.5]) == Times(count=1, p50_ms=500.0, p99_ms=500.0, worst_ms=500.0)
    assert times([]) == Times(count=0, p50_ms=0.0, p99_ms=0.0, worst_ms=0.0)


def test_the_disks_times_are_those_between_two_moments(tmp_path: Path) -> None:
    (tmp_path / "disk-probe.times").write_text("10.0 0.001\n11.0 0.002\n12.0 0.003\n12.5 0.0")  # half a line
    assert DiskProbe(tmp_path).seconds(11.0, 13.0) == [0.002, 0.003]
