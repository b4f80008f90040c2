"""Times in one line: the half, the ninety-ninth hundredth, the worst."""

from collections.abc import Iterable

import msgspec


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Of `count` measurements, in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    worst_ms: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, worst {self.worst_ms:.1f} ms ({self.count})"
        )


def times(seconds: Iterable[float]) -> Times:
    """All zero where there is nothing."""
    ordered = sorted(seconds)
    count = len(ordered)
    if not count:
        return Times(count=0, p50_ms=0.0, p99_ms=0.0, worst_ms=0.0)
    last = count - 1
    return Times(
        count=count,
        p50_ms=ordered[last // 2] * 1000,
        p99_ms=ordered[round(last * 0.99)] * 1000,
        worst_ms=ordered[last] * 1000,
    )
