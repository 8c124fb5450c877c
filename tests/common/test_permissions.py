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


def test_a_permission_that_is_missing_names_who_asked_whose_the_file_is_and_what_to_set(tmp_path: Path) -> None:
    file = tmp_path / "ossec.conf"
    file.touch(0o640)
    status = file.stat()
    said = explain(PermissionError(errno.EACCES, "Permission denied", str(file)))
    assert f"Permission denied for user {os.geteuid()} and group {os.getegid()}" in said
    assert f"it belongs to {status.st_uid}:{status.st_gid}, mode 0640" in said
    assert "COURIER_UID, COURIER_GID in .env" in said


def test_a_file_whose_folder_is_closed_has_no_known_owner(tmp_path: Path) -> None:
    said = explain(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "closed/file")))
    assert "belongs" not in said
    assert "COURIER_UID" in said


def test_other_troubles_are_the_systems_words() -> None:
    assert explain(OSError(errno.EIO, "Input/output error", "x")) == "Input/output error"
    assert explain(OSError("short")) == "short"


def test_an_ossec_conf_that_may_not_be_read_says_who_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, _mode: str) -> None:  # root, who may run the tests, may read everything
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(ConfigError, match=r"ossec.conf: cannot be read: Permission denied for user \d+ and group \d+"):
        read_ossec_conf(tmp_path / "ossec.conf")
