"""What a process's threads take and free goes back: asked of a process of its own."""

import argparse
import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest

from streams import heap, worker

LOOK = """
import ctypes, threading
from streams import heap
heap.bound() if {bound} else None
together = threading.Barrier(8)
def work():
    kept = [bytes(2_000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


SPARSE = """
import os
from streams import heap
heap.bound()
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
taken = [bytes(3_000) for _ in range(30_000)]
kept = taken[::20]
del taken
before = resident()
{trim}
print(before - resident())
"""


def given_back(trim: str) -> int:
    line = [sys.executable, "-c", SPARSE.format(trim=trim)]
    return int(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def arenas(*, bound: bool) -> int:
    line = [sys.executable, "-c", LOOK.format(bound=bound)]
    said = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return said.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="another C library")
def test_many_threads_share_few_arenas():
    assert arenas(bound=True) <= heap._ARENAS < arenas(bound=False)


@pytest.mark.skipif(sys.platform != "linux", reason="another C library")
def test_free_pages_between_what_stays_go_back():
    assert given_back("heap.trim()") > 40e6 > given_back("")


def test_the_c_library_is_told_so_by_its_own_numbers(monkeypatch: pytest.MonkeyPatch):
    """As in malloc.h; without the last two glibc raises by itself from where on pages go back."""
    told: dict[int, int] = {}
    monkeypatch.setattr(heap, "_glibc", lambda: SimpleNamespace(mallopt=told.__setitem__))
    heap.bound()
    assert told == {-8: heap._ARENAS, -3: heap._LARGE_BYTES, -1: heap._LARGE_BYTES}


async def test_a_joiner_gives_them_back_now_and_then(monkeypatch: pytest.MonkeyPatch):
    trimmed = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(worker, "TRIM_S", 0.001)
    monkeypatch.setattr(heap, "trim", lambda: loop.call_soon_threadsafe(trimmed.set))
    trimming = asyncio.create_task(worker._trim_heap())
    await asyncio.wait_for(trimmed.wait(), 60)
    trimming.cancel()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    heap._glibc.cache_clear()
    heap.bound()
    heap.trim()
    assert heap._glibc() is None
    heap._glibc.cache_clear()


def test_a_joiner_says_so_before_anything_else(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(heap, "bound", lambda: said.append("bound"))
    monkeypatch.setattr(worker.settings, "read", said.append)
    monkeypatch.setattr(worker.lifetime, "run", lambda *_: said.append("run"))
    worker.run(argparse.Namespace())
    assert said == ["bound", "joiner", "run"]
