"""Free heap memory is returned to the system if the C library supports it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from common import malloc
from ops.bench.sampling import resident_mb

if TYPE_CHECKING:
    import pytest


def test_trim_returns_free_memory_to_the_system() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        malloc.trim()  # no effect and no error
        return
    blocks = [bytes(4096) for _ in range(20_000)]
    held = blocks[::100]  # free space between used blocks is not returned automatically
    del blocks
    before_mb = resident_mb(os.getpid())
    malloc.trim()
    assert resident_mb(os.getpid()) < before_mb - 40
    assert held


ALLOCATES_IN_THREADS = """
import ctypes, os, sys, threading
from common import malloc
if "share" in sys.argv:
    malloc.limit_arenas()
meet = threading.Barrier(9)
def allocate():
    meet.wait()
    held.append([bytes(4096) for _ in range(100)])
    meet.wait()
held = []
threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
meet.wait(), meet.wait()
starts = {int(line.split("-")[0], 16) for line in open("/proc/self/maps")}
print(sum(start % 2**26 == 0 for start in starts))
"""
"""Prints the number of arenas: glibc puts each one after the first at a multiple of 64 MB (malloc/arena.c)."""


def test_limit_arenas_reduces_the_number_of_arenas() -> None:
    arenas = {
        how: int(subprocess.check_output([sys.executable, "-c", ALLOCATES_IN_THREADS, how])) for how in ("share", "not")
    }
    if hasattr(ctypes.CDLL(None), "mallopt"):
        assert arenas["share"] < arenas["not"]


def test_a_library_without_the_functions_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    malloc.trim()
    malloc.limit_arenas()
