from __future__ import annotations

from ops.admin.keyboard import split


def test_keys_read_together_are_split() -> None:
    assert split("j\x1b[A\x1bOB\x1b[5~q\x1b[1;5C\x03") == ["j", "up", "down", "page up", "q", "\x1b[1;5C", "\x03"]
    assert split("\x1b") == ["\x1b"]
