from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from producer.cursors.backup import CursorBackup

if TYPE_CHECKING:
    from pathlib import Path


def test_saved_cursors_are_loaded_at_the_next_start(tmp_path: Path) -> None:
    backup = CursorBackup(tmp_path / "places")
    assert backup.load() == {}
    backup.save({"slack": "f:1"})
    backup.save({"slack": "f:2"})
    assert CursorBackup(tmp_path / "places").load() == {"slack": "f:2"}
    assert [file.name for file in tmp_path.iterdir()] == ["places"]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"slack": 5, "": ""}', b"\xff"])
def test_damaged_backup_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "places").write_bytes(content)
    assert CursorBackup(tmp_path / "places").load() == {}


def test_write_error_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backup = CursorBackup(tmp_path / "missing" / "places")
    backup.save({"slack": "f:1"})
    backup.save({"slack": "f:2"})
    assert caplog.text.count("kept in Redis only") == 1
