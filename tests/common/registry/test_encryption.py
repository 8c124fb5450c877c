from __future__ import annotations

import os
from typing import TYPE_CHECKING

from common.registry.encryption import load_cipher

if TYPE_CHECKING:
    from pathlib import Path


def test_the_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    sealed = load_cipher(None, tmp_path / "state").encrypt(b"x")
    assert load_cipher(None, tmp_path / "state").decrypt(sealed) == b"x"


def test_what_a_process_of_the_same_id_left_half_done_is_no_hindrance(tmp_path: Path) -> None:
    leftover = tmp_path / f".secret.key.{os.getpid()}"
    leftover.touch()
    load_cipher(None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
