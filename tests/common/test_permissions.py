from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from common.errors import ConfigError
from common.permissions import explain
from producer.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    from pathlib import Path


def test_permission_error_names_user_owner_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "ossec.conf"
    file.touch(0o640)
    status = file.stat()
    text = explain(PermissionError(errno.EACCES, "Permission denied", str(file)))
    assert f"Permission denied for user {os.geteuid()} and group {os.getegid()}" in text
    assert f"it belongs to {status.st_uid}:{status.st_gid}, mode 0640" in text
    assert "COURIER_UID, COURIER_GID in .env" in text


def test_owner_is_omitted_if_the_folder_is_not_accessible(tmp_path: Path) -> None:
    text = explain(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "closed/file")))
    assert "belongs" not in text
    assert "COURIER_UID" in text


def test_other_os_errors_keep_the_system_text() -> None:
    assert explain(OSError(errno.EIO, "Input/output error", "x")) == "Input/output error"
    assert explain(OSError("short")) == "short"


def test_unreadable_ossec_conf_names_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, _flags: int) -> None:  # the tests may run as root, who can read everything
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("producer.ossec_conf._open", denied)
    with pytest.raises(ConfigError, match=r"ossec.conf: cannot be read: Permission denied for user \d+ and group \d+"):
        read_ossec_conf(tmp_path / "ossec.conf")
