from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.registry.encryption import load_cipher
from common.secret import Secret
from ops.cli.main import courier

if TYPE_CHECKING:
    from pathlib import Path

ROLE_NAMES = ["producer", "worker", "flower", "console", "exporter", "operator"]
PASSWORDS = [f"redis-{name}.password" for name in ROLE_NAMES]
NAMES = ["secret.key", "redis.password", *PASSWORDS, "flower.login", "grafana.password", "redis.acl"]
COPIES = {
    "producer": {"redis.password", "secret.key"},
    "worker": {"redis.password", "secret.key"},
    "flower": {"redis.password", "flower.login"},
    "console": {"redis.password", "flower.login"},
    "exporter": {"redis.password"},
    "operator": {"redis.password"},
    "grafana": {"grafana.password"},
    "redis": {"redis.acl"},
}


def init(*arguments: str) -> str:
    result = CliRunner().invoke(courier, ["init", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in NAMES}


def test_each_secret_is_created_once_and_copied_to_its_roles(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = init(str(folder)).splitlines()
    assert made[: len(NAMES)] == [f"created {folder / name}" for name in NAMES]
    assert made[-1] == f"created {folder / 'redis/redis.acl'}", "Redis waits for it"
    first = contents(folder)
    assert len(set(first.values())) == len(NAMES)
    assert {path.name for path in folder.iterdir() if path.is_file()} == set(NAMES)
    assert {path.name: {one.name for one in path.iterdir()} for path in folder.iterdir() if path.is_dir()} == COPIES
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ROLE_NAMES:
        assert (folder / name / "redis.password").read_text() == first[f"redis-{name}.password"]
    assert init(str(folder)).splitlines() == [line.replace("created", "kept", 1) for line in made]
    assert contents(folder) == first


def test_created_secrets_are_accepted_by_all_components(tmp_path: Path) -> None:
    init(str(tmp_path))
    made = contents(tmp_path)
    vault = load_cipher(Secret(made["secret.key"].strip()), tmp_path / "unused")
    assert vault.decrypt(vault.encrypt(b"x")) == b"x"
    assert re.fullmatch(r"courier:[\w-]{32}\n", made["flower.login"])


def test_secrets_are_not_printed_and_differ_by_installation(tmp_path: Path) -> None:
    said = init(str(tmp_path / "a")) + init(str(tmp_path / "b"))
    one, other = contents(tmp_path / "a"), contents(tmp_path / "b")
    for name in NAMES:
        assert one[name] != other[name]
        assert one[name].strip() not in said


def test_acl_uses_existing_password_and_keeps_other_users(tmp_path: Path) -> None:
    (tmp_path / "redis.password").write_text("chosen by the operator\n")
    init(str(tmp_path))
    digest = hashlib.sha256(b"chosen by the operator").hexdigest()
    users = (tmp_path / "redis.acl").read_text()
    assert f"user default on #{digest} ~* &* +@all\n" in users
    worker = "user somebody on #00 ~courier:*\n"
    (tmp_path / "redis.acl").write_text(users + worker)
    (tmp_path / "redis.password").unlink()
    assert f"updated {tmp_path / 'redis.acl'}" in init(str(tmp_path))
    renewed = (tmp_path / "redis.acl").read_text()
    assert digest not in renewed
    assert renewed.endswith(worker)
    assert renewed.count("user default ") == renewed.count("user health ") == 1


def users_of(folder: Path) -> dict[str, str]:
    return {line.split()[1]: line for line in (folder / "redis/redis.acl").read_text().splitlines()}


def digest(password: str) -> str:
    return hashlib.sha256(password.strip().encode()).hexdigest()


def test_older_installation_gets_missing_users(tmp_path: Path) -> None:
    (tmp_path / "redis.password").write_text("of everybody\n")
    remote = digest("of a worker elsewhere")
    (tmp_path / "redis.acl").write_text(
        f"user default on #{digest('of everybody')} ~* &* +@all\nuser worker on #{remote} ~courier:* +@all\n"
    )
    init(str(tmp_path))
    users = users_of(tmp_path)
    assert set(users) == {"default", "health", *ROLE_NAMES}
    assert f"#{digest('of everybody')} ~* &* +@all" in users["default"]
    assert f" on #{digest((tmp_path / 'worker/redis.password').read_text())} #{remote} resetkeys " in users["worker"]
    assert "+@all" not in users["worker"]
    init(str(tmp_path))
    assert users_of(tmp_path) == users


def test_renewing_a_password_keeps_added_passwords(tmp_path: Path) -> None:
    init(str(tmp_path))
    before, added = digest((tmp_path / "worker/redis.password").read_text()), digest("of a worker elsewhere")
    acl = tmp_path / "redis.acl"
    acl.write_text(acl.read_text().replace(f"#{before}", f"#{before} #{added}"))
    (tmp_path / "redis-worker.password").unlink()
    init(str(tmp_path))
    line = users_of(tmp_path)["worker"]
    assert f"#{digest((tmp_path / 'worker/redis.password').read_text())} #{added} " in line
    assert before not in line


@pytest.mark.parametrize("wrong", ["root", "999", "-1:0", "1:2:3", "9999999999:0", ""])
def test_owner_must_be_two_numbers(tmp_path: Path, wrong: str) -> None:
    result = CliRunner().invoke(courier, ["init", str(tmp_path), f"--owner={wrong}"])
    assert result.exit_code == 2
    assert "is not UID:GID in numbers; use a value such as 999:999" in result.output


def test_uncreatable_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(courier, ["init", str(tmp_path / "file" / "secrets")])
    assert "Not a directory; choose a writable folder" in str(result.exception)


def test_owners_of_folders_are_set(tmp_path: Path) -> None:
    ours = f"{os.getuid()}:{os.getgid()}"
    data = tmp_path / "data"
    data.mkdir()
    said = init(
        f"{tmp_path}/s", f"--owner={ours}", f"--redis-owner={ours}", f"--give={tmp_path}", f"--give-redis={data}"
    )
    assert said.splitlines()[:2] == [f"owner changed {tmp_path}", f"owner changed {data}"], "before Redis may start"
    for option in (f"--give={tmp_path}", f"--give-redis={data}"):
        assert CliRunner().invoke(courier, ["init", str(tmp_path / "s"), option]).exit_code == 2
