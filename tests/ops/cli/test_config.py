from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from common.secret import MASK
from ops.cli import config
from ops.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

TOML = """
[redis]
url = "rediss://:hunter2@db.example:6380/1"
[integrations."custom-*"]
environment = { TOKEN = "hunter2" }
"""


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "courier.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURIER_FLOWER_BASIC_AUTH", "admin:hunter2")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(["config", *arguments])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "hunter2" not in text
    return text


def test_output_is_toml_with_sources(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    assert f'redis.url = "rediss://{MASK}@db.example:6380/1"  # courier.toml:3\n' in text
    assert f'flower.basic_auth = "{MASK}"  # COURIER_FLOWER_BASIC_AUTH\n' in text
    assert f'integrations."custom-*".environment = {{TOKEN = "{MASK}"}}  # courier.toml:5\n' in text
    assert tomllib.loads(text)["worker"]["max_tasks"] == 1024


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(shown(capsys, "--json"))
    assert document["worker.max_tasks"] == {"value": 1024, "source": "default"}
    assert document["redis.password"] == {"value": "", "source": "default"}


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "is_terminal", lambda: True)
    text = shown(capsys)
    assert "Source" in text.splitlines()[0]
    assert "COURIER_FLOWER_BASIC_AUTH" in text
