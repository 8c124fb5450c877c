from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from producer.config_file import ConfigFile
from tests.support.fakes import settings_for

HOOK = "https://hooks.slack.com/services/T0/B0/{}"
TABLE = '[integrations.soc]\nservice = "slack"\nhook_url = "{}"\n'


class Files:
    """An ossec.conf without blocks, a courier.toml and a file with a secret; the clock is a minute ahead of them."""

    def __init__(self, folder: Path) -> None:
        self.conf, self.toml, self.secret = folder / "ossec.conf", folder / "courier.toml", folder / "secret"
        self.conf.write_text("<ossec_config></ossec_config>")
        self.secret.write_text(HOOK.format("first"))
        self.toml.write_text(TABLE.format(f"file:{self.secret}"))
        self.age_s = 60.0

    def now(self) -> float:
        return max(file.stat().st_mtime for file in (self.conf, self.toml) if file.exists()) + self.age_s

    def config(self) -> ConfigFile:
        return ConfigFile(settings_for(self.conf), self.now)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def hooks(config: ConfigFile, *, first: bool = False) -> dict[str, str] | None:
    found = config.load() if first else config.reload()
    return None if found is None else {one.id: one.hook_url.reveal() if one.hook_url else "" for one in found}


def test_a_changed_table_and_a_changed_secret_are_followed(files: Files) -> None:
    config = files.config()
    assert hooks(config, first=True) == {"soc": HOOK.format("first")}
    assert hooks(config) is None
    files.secret.write_text(HOOK.format("second!"))
    assert hooks(config) == {"soc": HOOK.format("second!")}
    files.toml.write_text(
        files.toml.read_text() + 'lease = "9s"\n' + TABLE.format(HOOK.format("x")).replace("soc", "b")
    )
    found = config.reload()
    assert found is not None
    assert {one.id: config.policy(one).lease_s for one in found} == {"soc": 9.0, "b": 60.0}
    assert hooks(config) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('[integrations.b]\nservice = "slak"', 'courier.toml:5: integrations.b.service: "slak" is no service'),
        ("[integrations.b]\nlevl = 3", "courier.toml:5: there is no key integrations.b.levl"),
        ("[integrations.b", "courier.toml: is not TOML"),
        ("[redis]\nurl = 5", "courier.toml:5: redis.url: the value (not shown) is not a text"),
        ('[conditions]\nx = ["rule.level >"]', "courier.toml:5: conditions.x[1], column "),
    ],
)
def test_an_invalid_change_is_refused_as_a_whole_with_file_line_and_reason(
    files: Files, change: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = files.config()
    hooks(config, first=True)
    before = files.toml.read_text()
    files.toml.write_text(before.replace("soc", "renamed") + change)
    assert hooks(config) is None
    assert config.error.startswith(expected)
    assert hooks(config) is None
    assert sum("changed configuration rejected" in record.getMessage() for record in caplog.records) == 1
    files.toml.write_text(before.replace("soc", "renamed") + "# good again\n")
    assert hooks(config) == {"renamed": HOOK.format("first")}
    assert config.error == ""


def test_a_missing_secret_is_waited_for(files: Files) -> None:
    files.secret.unlink()
    config = files.config()
    assert hooks(config, first=True) == {}
    assert "cannot be read: No such file" in config.error
    assert not config.is_complete
    files.secret.write_text(HOOK.format("late"))
    assert hooks(config) == {"soc": HOOK.format("late")}


def test_a_secret_that_becomes_unreadable_leaves_the_former_in_force(files: Files) -> None:
    config = files.config()
    hooks(config, first=True)
    files.secret.unlink()
    assert hooks(config) is None
    assert config.error.startswith("courier.toml:3: integrations.soc.hook_url: ")
    assert hooks(config) is None


def test_a_settings_file_that_is_gone_or_being_written_changes_nothing(files: Files) -> None:
    config = files.config()
    hooks(config, first=True)
    before = files.toml.read_text()
    files.toml.write_text("")
    files.age_s = 0.1
    assert hooks(config) is None
    assert config.error == ""
    files.toml.unlink()
    files.age_s = 60.0
    assert hooks(config) is None
    assert "courier.toml: is gone" in config.error
    files.toml.write_text(before)
    assert hooks(config) == {"soc": HOOK.format("first")}


@pytest.mark.parametrize("changed", ["ossec.conf", "secret", ""])
def test_another_change_waits_for_a_settings_file_that_is_being_written(files: Files, changed: str) -> None:
    config = files.config()
    hooks(config, first=True)
    before = files.toml.read_text()
    files.toml.write_text("")
    if changed:
        files.toml.with_name(changed).write_text("<ossec_config> </ossec_config>")
    files.age_s = 0.1
    assert config.reload(forced=not changed) is None
    files.toml.write_text(before + TABLE.format(HOOK.format("x")).replace("soc", "b"))
    files.secret.write_text(HOOK.format("second"))
    files.age_s = 60.0
    assert hooks(config) == {"soc": HOOK.format("second"), "b": HOOK.format("x")}
    assert config.error == ""


def test_an_ossec_conf_that_is_being_written_is_not_read(files: Files) -> None:
    block = "<ossec_config><integration><name>custom-a</name></integration></ossec_config>"
    files.conf.write_text(f"<ossec_config></ossec_config>{block}")
    config = files.config()
    assert set(hooks(config, first=True) or ()) == {"custom-a", "soc"}
    files.conf.write_text("<ossec_config></ossec_config>")
    files.age_s = 0.1
    assert hooks(config) is None
    files.conf.write_text(f"<ossec_config></ossec_config>{block} ")
    files.age_s = 60.0
    assert set(hooks(config) or ()) == {"custom-a", "soc"}


def test_a_settings_file_that_is_written_while_it_is_read_is_read_again(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = files.config()
    hooks(config, first=True)
    before = files.toml.read_text()
    files.toml.write_text("# half\n")
    read = Path.open

    def open_and_write(path: Path, *more: Any, **named: Any) -> Any:
        opened = read(path, *more, **named)
        if path == files.toml:
            monkeypatch.undo()
            files.toml.write_text(before + "# whole\n")
        return opened

    monkeypatch.setattr(Path, "open", open_and_write)
    assert hooks(config) is None
    assert hooks(config) == {"soc": HOOK.format("first")}


@pytest.mark.parametrize("name", ["secret", "courier.toml"])
def test_a_file_that_others_can_no_longer_write_is_read(files: Files, name: str) -> None:
    config, file = files.config(), files.toml.with_name(name)
    hooks(config, first=True)
    text = file.read_text()
    file.write_text(text.replace("soc", "renamed").replace("first", "second"))
    file.chmod(0o666)
    assert hooks(config) is None
    assert f"chmod go-w {file}" in config.error
    file.chmod(0o600)
    assert hooks(config) is not None
    assert config.error == ""


def test_settings_of_the_process_are_used_after_a_restart(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    config = files.config()
    hooks(config, first=True)
    files.toml.write_text(f"[worker]\nmax_tasks = 5\n{files.toml.read_text()}")
    assert hooks(config) is not None
    assert "changes of [worker] are used after a restart" in [record.getMessage() for record in caplog.records]


def test_a_settings_file_that_comes_later_is_followed(files: Files) -> None:
    before = files.toml.read_text()
    files.toml.unlink()
    config = files.config()
    assert hooks(config, first=True) == {}
    files.toml.write_text(before)
    os.utime(files.toml, (1, 1))
    assert hooks(config) == {"soc": HOOK.format("first")}
