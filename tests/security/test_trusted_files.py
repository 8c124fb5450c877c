"""Courier accepts settings and secrets only from files that only root and the current user can write."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import permissions
from common.errors import SettingsError
from common.permissions import read_trusted, refuse_other_writers
from common.registry.encryption import load_cipher
from common.settings.load import load_settings
from ops.standalone import state_dir
from tests.support.ordinary_user import NOBODY, as_root, courier, run_as_nobody

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG_ERROR = 78
SOMEBODY = 12345
TOML = "[worker]\nmax_tasks = 7\n"


def shared(mode: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(mode)


def given_away(path: Path) -> None:
    os.chown(path, SOMEBODY, -1)


FAULTS = [
    pytest.param("courier.toml", shared(0o664), id="group-writes-file"),
    pytest.param("courier.toml", shared(0o646), id="others-write-file"),
    pytest.param("courier.toml", given_away, id="somebody-owns-file", marks=as_root),
    pytest.param(".", shared(0o775), id="group-writes-folder"),
    pytest.param(".", shared(0o707), id="others-write-folder"),
    pytest.param(".", given_away, id="somebody-owns-folder", marks=as_root),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "it's mine"
    made.mkdir()
    (made / "courier.toml").write_text(TOML)
    return made


@pytest.mark.parametrize(("place", "fault"), FAULTS)
def test_a_settings_file_that_others_can_write_is_refused_until_the_named_command_was_run(
    place: str, fault: Callable[[Path], None], folder: Path
) -> None:
    path = (folder / place).resolve()
    fault(path)
    refused = courier("config", cwd=folder)
    assert refused.returncode == CONFIG_ERROR, refused
    assert refused.stderr.startswith("courier: courier.toml: refused, since ")
    assert str(path) in refused.stderr
    assert refused.stderr.count("\n") == 1
    subprocess.run(["/bin/sh", "-c", refused.stderr.split("`")[1]], check=True)
    assert "max_tasks = 7" in courier("config", cwd=folder).stdout


def test_a_settings_file_named_by_the_option_is_refused_too(folder: Path) -> None:
    shared(0o664)(folder / "courier.toml")
    refused = courier("--settings", "courier.toml", "config", cwd=folder)
    assert refused.returncode == CONFIG_ERROR
    assert refused.stderr.startswith("courier: courier.toml: refused, since ")


def test_settings_of_another_user_in_a_shared_folder_are_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        shared_folder = tmp_path / "shared"
        shared_folder.mkdir()
        port = listening.getsockname()[1]
        (shared_folder / "courier.toml").write_text(f'[redis]\nurl = "redis://127.0.0.1:{port}"\n')
        shared_folder.chmod(0o1777)
        refused = courier("status", cwd=shared_folder, COURIER_REDIS_PASSWORD="hunter2")
        assert refused.returncode == CONFIG_ERROR
        assert "use a folder that only you can write" in refused.stderr  # nobody wants /tmp to be closed
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_pipe_of_another_user_is_refused_and_not_opened(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    for name in ("courier.toml", "redis.url"):
        os.mkfifo(tmp_path / name)
    settings = courier("config", cwd=tmp_path)  # opening a pipe that nobody writes to would last for ever
    url = courier("--settings", "/dev/null", "status", "--state", str(tmp_path), cwd=tmp_path)
    for refused in (settings, url):
        assert refused.returncode == CONFIG_ERROR
        assert f"refused, since other users can write {tmp_path}, mode 1777" in refused.stderr


def test_a_shared_working_directory_without_settings_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    assert courier("config", cwd=tmp_path / "shared").returncode == 0


@pytest.mark.parametrize(("place", "fault"), FAULTS)
def test_a_file_with_a_secret_that_others_can_write_is_refused_and_not_shown(
    place: str, fault: Callable[[Path], None], folder: Path
) -> None:
    (folder / "courier.toml").write_text("hunter2\n")
    variables = {"COURIER_REDIS_PASSWORD_FILE": str(folder / "courier.toml")}
    settings = load_settings(file=None, environment=variables, cwd=Path("/"))
    assert settings.redis.password is not None
    fault(folder / place)
    with pytest.raises(SettingsError, match=r"^COURIER_REDIS_PASSWORD_FILE: .*: refused, since ") as raised:
        load_settings(file=None, environment=variables, cwd=Path("/"))
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o444, 0o600, 0o640, 0o644])
def test_files_that_only_their_owner_can_write_are_accepted(mode: int, folder: Path) -> None:
    (folder / "courier.toml").chmod(mode)
    assert read_trusted(folder / "courier.toml", "x") == TOML.encode()


def test_a_link_that_leads_through_a_folder_of_others_is_refused(folder: Path, tmp_path: Path) -> None:
    between, first = tmp_path / "between", folder / "first"
    between.mkdir()
    (between / "link").symlink_to(folder / "courier.toml")
    first.symlink_to("../between/link")
    assert read_trusted(first, "called").decode() == TOML
    between.chmod(0o777)
    with pytest.raises(SettingsError, match=f"other users can write {between}"):
        read_trusted(first, "called")


def test_a_secret_from_a_pipe_and_settings_from_dev_null_are_accepted(tmp_path: Path) -> None:
    """As bash passes it: `COURIER_…_FILE=<(pass show redis)`."""
    ours, theirs = os.pipe()
    os.write(theirs, b"hunter2\n")
    os.close(theirs)
    variables = {"COURIER_REDIS_PASSWORD_FILE": f"/dev/fd/{ours}"}
    settings = load_settings(file=Path("/dev/null"), environment=variables, cwd=tmp_path)
    os.close(ours)
    assert settings.redis.password is not None
    assert settings.redis.password.reveal() == "hunter2"


@as_root
@pytest.mark.parametrize("owner", [0, NOBODY, SOMEBODY])
def test_files_of_root_and_of_the_user_are_trusted(owner: int) -> None:
    with tempfile.TemporaryDirectory(prefix="courier-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "courier.toml").write_text(TOML)
        os.chown(folder / "courier.toml", owner, 0)
        reading = f"print(read_trusted(Path({str(folder / 'courier.toml')!r}), 'courier.toml'))"
        done = run_as_nobody("from pathlib import Path\nfrom common.permissions import read_trusted", reading)
        if owner == SOMEBODY:
            assert f"belongs to user {SOMEBODY}, not to root or user {NOBODY}" in done.stderr
        else:
            assert "max_tasks = 7" in done.stdout, done.stderr


class KubernetesVolume:
    """A volume of a ConfigMap or a Secret: all users can write the folder, and each file is a link."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "with blank"
        versioned = self.root / "..2026_01_31"
        versioned.mkdir(parents=True)
        (versioned / "courier.toml").write_text(TOML)
        (self.root / "..data").symlink_to(versioned.name)
        (self.root / "courier.toml").symlink_to("..data/courier.toml")
        self.file = self.root / "courier.toml"
        versioned.chmod(0o755)
        self.root.chmod(0o1777)


def mounted(folder: Path, place: Path, options: str) -> Path:
    """Write a list of mounts in the kernel's format."""
    table = folder / "mountinfo"
    name = str(place).replace(" ", r"\040")
    table.write_text(f"21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n36 21 0:3 / {name} {options} - tmpfs tmpfs rw\n")
    return table


def test_a_read_only_kubernetes_volume_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = KubernetesVolume(tmp_path)
    with pytest.raises(SettingsError, match="mode 1777"):
        read_trusted(volume.file, "x")
    monkeypatch.setattr(permissions, "_MOUNTS", mounted(tmp_path, volume.root, "rw,relatime"))
    with pytest.raises(SettingsError, match="mode 1777"):
        read_trusted(volume.file, "x")
    monkeypatch.setattr(permissions, "_MOUNTS", mounted(tmp_path, volume.root, "ro,relatime"))
    assert read_trusted(volume.file, "x") == TOML.encode()


@as_root
@pytest.mark.parametrize("place", [".", "courier.toml"])
def test_a_read_only_mount_of_a_host_users_file_is_accepted(
    place: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As compose.yaml mounts COURIER_SETTINGS_DIR, and Docker mounts the file of a secret."""
    given_away(folder / "courier.toml")
    with pytest.raises(SettingsError, match=f"belongs to user {SOMEBODY}"):
        read_trusted(folder / "courier.toml", "x")
    monkeypatch.setattr(permissions, "_MOUNTS", mounted(tmp_path, (folder / place).resolve(), "ro"))
    assert read_trusted(folder / "courier.toml", "x") == TOML.encode()


def test_a_read_only_root_file_system_makes_no_file_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With systemd's ProtectSystem=strict the service cannot write, but others can."""
    folder.chmod(0o777)
    monkeypatch.setattr(permissions, "_MOUNTS", mounted(tmp_path, Path("/"), "ro"))
    with pytest.raises(SettingsError, match="mode 0777"):
        read_trusted(folder / "courier.toml", "x")


@as_root
def test_a_real_read_only_mount_is_detected(folder: Path) -> None:
    given_away(folder / "courier.toml")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && echo mounted >&2 && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, str(folder), sys.executable, "-m", "ops.cli.main", "config"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "mounted" not in done.stderr:
        pytest.skip(f"this system lets root mount nothing: {done.stderr}")
    assert "max_tasks = 7" in done.stdout, done.stderr


@pytest.mark.parametrize("fault", [shared(0o770), shared(0o1777), pytest.param(given_away, marks=as_root)])
def test_a_state_folder_that_others_can_write_is_refused(fault: Callable[[Path], None], tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    fault(state)
    with pytest.raises(SettingsError, match="refused, since"):
        state_dir.lock(state)
    with pytest.raises(SettingsError, match="refused, since"):
        load_cipher(None, state)
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o707])
def test_the_url_in_a_state_folder_that_others_can_write_is_not_used(mode: int, tmp_path: Path) -> None:
    state_dir.write_address(tmp_path, "unix:///run/x.sock")
    tmp_path.chmod(mode)
    (tmp_path / "redis.url").chmod(mode & 0o666)
    found = load_settings(file=None, environment={"COURIER_STATE_DIR": str(tmp_path)}, cwd=Path("/"))
    if mode == 0o700:
        assert state_dir.redis_url(found) == "unix:///run/x.sock"
        return
    with pytest.raises(SettingsError, match=r"redis\.url: refused, since other users can write"):
        state_dir.redis_url(found)


@as_root
def test_root_uses_the_state_folder_of_the_user_of_courier_up(tmp_path: Path) -> None:
    state_dir.write_address(tmp_path, "unix:///run/x.sock")
    for path in (tmp_path, tmp_path / "redis.url"):
        given_away(path)
    found = load_settings(file=None, environment={"COURIER_STATE_DIR": str(tmp_path)}, cwd=Path("/"))
    assert state_dir.redis_url(found) == "unix:///run/x.sock"


def test_an_endless_file_of_settings_or_of_a_secret_is_refused(tmp_path: Path) -> None:
    zero, environment = Path("/dev/zero"), {"COURIER_REDIS_URL_FILE": "/dev/zero"}
    with pytest.raises(SettingsError, match=r"/dev/zero has more than 4,194,304 bytes; name the right file"):
        load_settings(cwd=tmp_path, environment={}, file=zero)
    with pytest.raises(SettingsError, match=r"/dev/zero has more than 4,194,304 bytes"):
        load_settings(cwd=tmp_path, environment=environment, file=None)


def test_a_secret_key_that_others_can_write_is_refused(tmp_path: Path) -> None:
    load_cipher(None, tmp_path)
    (tmp_path / "secret.key").chmod(0o666)
    with pytest.raises(SettingsError, match=r"secret\.key: refused, since other users can write .*, mode 0666"):
        load_cipher(None, tmp_path)


def status(*, owner: int, mode: int) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, owner, 0, 0, 0, 0, 0))


@given(
    owner=st.sampled_from([0, os.geteuid(), 1, SOMEBODY, 2**32 - 2]),
    mode=st.integers(0, 0o7777),
    kind=st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFSOCK]),
    name=st.text(min_size=1).filter(lambda text: "\0" not in text),
)
def test_only_files_writable_by_root_or_the_user_alone_are_trusted(owner: int, mode: int, kind: int, name: str) -> None:
    path = Path("/", name)
    if owner in (0, os.geteuid()) and not mode & 0o022:
        refuse_other_writers(path, status(owner=owner, mode=kind | mode), "x")
        return
    with pytest.raises(SettingsError) as raised:
        refuse_other_writers(path, status(owner=owner, mode=kind | mode), "x")
    assert shlex.quote(str(path)) in str(raised.value) or mode & stat.S_ISVTX
