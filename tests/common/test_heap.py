"""What is free in the heap goes back to the system, where the C library can do so."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from common import heap
from ops.bench.samples import resident_mb

if TYPE_CHECKING:
    import pytest


def test_what_is_free_is_given_back() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        heap.give_back()  # nothing to be seen, and no error
        return
    blocks = [bytes(4096) for _ in range(20_000)]
    held = blocks[::100]  # free space between what is in use is not returned by itself
    del blocks
    before_mb = resident_mb(os.getpid())
    heap.give_back()
    assert resident_mb(os.getpid()) < before_mb - 40
    assert held


def test_a_library_without_the_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    heap.give_back()
