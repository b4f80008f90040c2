"""Durations as the catalog writes them: `30d`, `24h`, `90m`, `0s`."""

import re
from functools import lru_cache
from typing import Final

UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MAX_MS: Final = 3650 * UNIT_MS["d"]  # ten years: longer is a slip of the pen, and would keep state for ever
_FORM: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII).fullmatch


@lru_cache(maxsize=1024)  # a catalog has few different ones, and each conversion asks for them
def to_ms(text: str) -> int:
    """Milliseconds; ValueError unless it is a whole number and one of s, m, h, d, at most ten years."""
    found = _FORM(text)
    if found is None:
        raise ValueError(f'not a duration such as "30d", "24h", "90m" or "0s": {text[:40]!r}')
    ms = int(found[1]) * UNIT_MS[found[2]]
    if ms > MAX_MS:
        raise ValueError(f"longer than ten years: {text!r}")
    return ms
