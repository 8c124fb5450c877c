from __future__ import annotations

import os
from typing import TYPE_CHECKING

from common.vault import open_vault

if TYPE_CHECKING:
    from pathlib import Path


def test_the_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    sealed = open_vault(None, tmp_path / "state").seal(b"x")
    assert open_vault(None, tmp_path / "state").open(sealed) == b"x"


def test_what_a_process_of_the_same_id_left_half_done_is_no_hindrance(tmp_path: Path) -> None:
    leftover = tmp_path / f".secret.key.{os.getpid()}"
    leftover.touch()
    open_vault(None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
