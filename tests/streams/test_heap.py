"""What a process's threads take and free goes back: asked of a process of its own."""

import argparse
import subprocess
import sys

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


def arenas(*, bound: bool) -> int:
    line = [sys.executable, "-c", LOOK.format(bound=bound)]
    said = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return said.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="another C library")
def test_many_threads_share_few_arenas():
    assert arenas(bound=True) <= heap._ARENAS < arenas(bound=False)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    heap.bound()


def test_a_joiner_says_so_before_anything_else(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(heap, "bound", lambda: said.append("bound"))
    monkeypatch.setattr(worker.settings, "read", said.append)
    monkeypatch.setattr(worker.lifetime, "run", lambda *_: said.append("run"))
    worker.run(argparse.Namespace())
    assert said == ["bound", "joiner", "run"]
