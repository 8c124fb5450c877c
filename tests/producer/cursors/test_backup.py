from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from producer.cursors.backup import CursorBackup

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_saved_is_there_at_the_next_start(tmp_path: Path) -> None:
    keepsake = CursorBackup(tmp_path / "places")
    assert keepsake.load() == {}
    keepsake.save({"slack": "f:1"})
    keepsake.save({"slack": "f:2"})
    assert CursorBackup(tmp_path / "places").load() == {"slack": "f:2"}
    assert [file.name for file in tmp_path.iterdir()] == ["places"]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"slack": 5, "": ""}', b"\xff"])
def test_a_damaged_copy_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "places").write_bytes(content)
    assert CursorBackup(tmp_path / "places").load() == {}


def test_a_disk_that_is_full_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keepsake = CursorBackup(tmp_path / "missing" / "places")
    keepsake.save({"slack": "f:1"})
    keepsake.save({"slack": "f:2"})
    assert caplog.text.count("kept in Redis only") == 1
