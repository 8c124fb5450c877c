from __future__ import annotations

import os
from typing import TYPE_CHECKING

from common.registry.encryption import load_cipher

if TYPE_CHECKING:
    from pathlib import Path


def test_secret_key_is_created_once_and_reused(tmp_path: Path) -> None:
    encrypted = load_cipher(None, tmp_path / "state").encrypt(b"x")
    assert load_cipher(None, tmp_path / "state").decrypt(encrypted) == b"x"


def test_leftover_temporary_key_file_is_replaced(tmp_path: Path) -> None:
    leftover = tmp_path / f".secret.key.{os.getpid()}"
    leftover.touch()
    load_cipher(None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
