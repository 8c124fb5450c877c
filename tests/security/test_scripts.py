"""Custom scripts that other users can change are refused."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import TransportError
from tests.support.manager_home import PATH, SOMEBODY, WAZUH, Home, as_user, needs_root


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o2770])
@pytest.mark.parametrize("folder", [".", "integrations"])
def test_a_folder_that_others_may_write_is_refused(home: Home, folder: str, mode: int) -> None:
    (home.path / folder).chmod(mode)
    detail = home.refusal()
    assert f"other users can write the folder {home.path / folder}" in detail
    assert "run chmod go-w" in detail
    (home.path / folder).chmod(0o755)
    assert home.send() == "runs\n"


@needs_root
@pytest.mark.parametrize("name", [".", "integrations", "integrations/custom-x"])
def test_files_of_another_user_are_refused_even_if_read_only(home: Home, name: str) -> None:
    os.chown(home.path / name, SOMEBODY, 0)
    (home.path / name).chmod(0o555)
    assert f"belongs to {SOMEBODY}, who could" in home.refusal()


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_a_setuid_or_setgid_script_is_refused(home: Home, mode: int) -> None:
    home.write(Path("/bin/echo").read_bytes()).chmod(mode & 0o7555)
    assert "has the setuid or setgid bit" in home.refusal()


def test_every_folder_behind_a_link_is_checked(home: Home) -> None:
    real = home.write("#!/bin/sh\necho real\n", home.path / "shared" / "real", 0o555)
    (home.path / "there").symlink_to("shared/../shared")
    home.script.unlink()
    home.script.symlink_to(home.path / "there" / "real")
    assert home.send() == "real\n"
    real.parent.chmod(0o777)
    assert f"other users can write the folder {real.parent}" in home.refusal()
    real.parent.chmod(0o1777)  # as /tmp: only its owner can replace a file there
    assert home.send() == "real\n"
    if os.geteuid() == 0:
        os.chown(home.path / "there", SOMEBODY, SOMEBODY, follow_symlinks=False)
        assert f"{home.path}/there belongs to {SOMEBODY}, who could replace it" in home.refusal()


def test_circular_links_are_refused(home: Home) -> None:
    home.script.unlink()
    home.script.symlink_to("custom-x")
    assert "cannot be checked" in home.refusal()


INTERPRETERS: Final = [
    "#!{}/bin/mine",
    "#! {}/bin/mine -u",
    "#!bin/mine",
    "#!/usr/bin/env mine",
    "#!/usr/bin/env\t mine",
    "#!/usr/bin/env -S mine -u",
    "#!/usr/bin/env -S A=b mine",
    "#!/usr/bin/env --split-string=mine -u",
    "#!/usr/bin/env bin/mine",
    "#!{}/bin/nested",
]


@pytest.mark.parametrize("first", INTERPRETERS)
def test_an_interpreter_that_others_may_change_is_refused(home: Home, first: str) -> None:
    path = f"{home.path}/bin:{PATH}"
    mine = home.write(Path("/bin/echo").read_bytes(), home.path / "bin" / "mine")
    home.write(f"#!{mine}\n", home.path / "bin" / "nested")
    home.write(f"{first.format(home.path)}\n")
    assert "custom-x" in home.send(path)
    mine.chmod(0o777)
    assert f"the interpreter {mine} is writable for users other than root" in home.refusal(path)
    mine.chmod(0o4755)
    assert f"the interpreter {mine} has the setuid" in home.refusal(path)
    mine.chmod(0o755)
    mine.parent.chmod(0o777)
    assert "other users can write the folder" in home.refusal(path)
    mine.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(mine, SOMEBODY, 0)
        assert f"the interpreter {mine} belongs to {SOMEBODY}" in home.refusal(path)


def test_an_interpreter_behind_a_world_writable_folder_of_path_is_refused(home: Home) -> None:
    trap = home.path / "trap"
    trap.mkdir()
    home.write("#!/usr/bin/env sh\necho runs\n")
    for mode in (0o777, 0o1777):
        trap.chmod(mode)
        assert f"any user can write {trap}, which is in PATH" in home.refusal(f"/nonexistent:{trap}:{PATH}")
    assert home.send(f"{PATH}:{trap}") == "runs\n"  # behind the one that is found
    trap.chmod(0o755)
    assert home.send(f"{trap}:{PATH}") == "runs\n"


def test_an_interpreter_that_env_cannot_find_is_not_refused(home: Home) -> None:
    home.write("#!/usr/bin/env no-such-program\n")
    assert "no-such-program" in home.send()
    home.write("#!/usr/bin/env -S -u X sh\necho runs\n")
    assert home.send() == "runs\n"
    for first in ("-S", "-S A=b", "A=b", ""):  # it runs the script itself, again and again
        home.write(f"#!/usr/bin/env {first}\n")
        with pytest.raises(TransportError, match="deadline"):
            home.send(script_timeout_s=0.1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300).map(lambda noise: b"#!" + noise) | st.binary(max_size=300))
def test_any_first_line_raises_only_declared_errors(home: Home, first: bytes) -> None:
    home.write(first.replace(b"/", b"_"))
    with suppress(TransportError):
        home.send(script_timeout_s=5.0)


@needs_root
def test_the_stock_layout_is_accepted_for_the_managers_user(home: Home) -> None:
    for path in (home.path, home.integrations, home.script):
        os.chown(path, 0, WAZUH)
        path.chmod(0o750)
    home.write("#!/bin/sh\ncat logs/x\n", mode=0o750)
    os.chown(home.script, 0, WAZUH)
    (home.path / "logs").mkdir()
    (home.path / "logs" / "x").write_text("as before\n")
    (home.path / "private").mkdir()
    os.chown(home.path / "private", WAZUH, WAZUH)
    assert as_user(WAZUH, home.send) == "as before\n"
    os.chown(home.integrations, WAZUH, WAZUH)  # his own folder is no weaker than he is
    assert as_user(WAZUH, home.send) == "as before\n"
    os.chown(home.integrations, SOMEBODY, WAZUH)
    assert f"belongs to {SOMEBODY}, who could replace it" in as_user(WAZUH, home.send)
