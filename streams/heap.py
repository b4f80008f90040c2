"""The C heap of a joiner: few arenas, and what is freed goes back to the system.

A fetch, a flush and a compaction take megabytes for moments, in some twenty threads. glibc gives each thread
an arena of its own and keeps there what was freed: with 64 partitions and a backlog 187 of 435 MB.
Of what is freed between things that stay it keeps every page, 63 MB there, until it is told to look.
"""

import ctypes
import sys
from functools import cache
from typing import Final

_ARENAS: Final = 2  # few threads work at a time: Python's lets one, RocksDB's others are two
_LARGE_BYTES: Final = (
    128 << 10
)  # from here on pages of their own, which go back at once; else glibc raises it

# malloc.h of glibc
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8


def bound() -> None:
    """So it is from now on; to be said before threads begin. Where the C library is another, nothing."""
    if libc := _glibc():
        libc.mallopt(_ARENA_MAX, _ARENAS)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _LARGE_BYTES)


def trim() -> None:
    """Every free page of the heap is the system's again: 280 MB in 27 ms, in which others may run."""
    if libc := _glibc():
        libc.malloc_trim(ctypes.c_size_t(0))


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
