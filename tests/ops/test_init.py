from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.secret import Secret
from common.vault import open_vault
from ops.cli.main import courier

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["secret.key", "redis.password", "flower.login", "grafana.password", "redis.acl"]


def init(*arguments: str) -> str:
    result = CliRunner().invoke(courier, ["init", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in NAMES}


def test_each_secret_is_made_once_for_one_user(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert init(str(folder)).splitlines() == [f"made {folder / name}" for name in NAMES]
    first = contents(folder)
    assert len(set(first.values())) == len(NAMES)
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in NAMES} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert init(str(folder)).splitlines() == [f"kept {folder / name}" for name in NAMES]
    assert contents(folder) == first
    assert {path.name for path in folder.iterdir()} == set(NAMES)


def test_what_is_made_is_what_the_parts_take(tmp_path: Path) -> None:
    init(str(tmp_path))
    made = contents(tmp_path)
    vault = open_vault(Secret(made["secret.key"].strip()), tmp_path / "unused")
    assert vault.open(vault.seal(b"x")) == b"x"
    assert re.fullmatch(r"courier:[\w-]{32}\n", made["flower.login"])


def test_no_secret_is_printed_and_none_is_two_installations_own(tmp_path: Path) -> None:
    said = init(str(tmp_path / "a")) + init(str(tmp_path / "b"))
    one, other = contents(tmp_path / "a"), contents(tmp_path / "b")
    for name in NAMES:
        assert one[name] != other[name]
        assert one[name].strip() not in said


def test_redis_learns_the_password_that_there_is_and_keeps_its_other_users(tmp_path: Path) -> None:
    (tmp_path / "redis.password").write_text("chosen by the operator\n")
    init(str(tmp_path))
    digest = hashlib.sha256(b"chosen by the operator").hexdigest()
    users = (tmp_path / "redis.acl").read_text()
    assert f"user default on #{digest} ~* &* +@all\n" in users
    worker = "user worker on #00 ~courier:*\n"
    (tmp_path / "redis.acl").write_text(users + worker)
    (tmp_path / "redis.password").unlink()
    assert f"rewritten {tmp_path / 'redis.acl'}" in init(str(tmp_path))
    renewed = (tmp_path / "redis.acl").read_text()
    assert digest not in renewed
    assert renewed.endswith(worker)
    assert renewed.count("user default ") == renewed.count("user health ") == 1


@pytest.mark.parametrize("wrong", ["root", "999", "-1:0", "1:2:3", "9999999999:0", ""])
def test_an_owner_that_is_no_pair_of_numbers_is_refused(tmp_path: Path, wrong: str) -> None:
    result = CliRunner().invoke(courier, ["init", str(tmp_path), f"--owner={wrong}"])
    assert result.exit_code == 2
    assert "is no pair of numbers such as 999:999" in result.output


def test_a_folder_that_cannot_be_made_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(courier, ["init", str(tmp_path / "file" / "secrets")])
    assert "Not a directory; name a folder that can be written" in str(result.exception)


def test_owners_and_folders_are_given(tmp_path: Path) -> None:
    ours = f"{os.getuid()}:{os.getgid()}"
    init(str(tmp_path / "s"), f"--owner={ours}", f"--redis-owner={ours}", f"--give={tmp_path}")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o711
    assert CliRunner().invoke(courier, ["init", str(tmp_path / "s"), f"--give={tmp_path}"]).exit_code == 2
