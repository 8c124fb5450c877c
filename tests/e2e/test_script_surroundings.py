"""The surroundings of a custom script in a real `courier up`: its variables, its Python, the manager's own log."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from tests.support.processes import Courier, alert
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """#!/usr/bin/env python3
import json, os, sys
with open("logs/integrations.log", "a") as log:
    log.write("called\\n")
with open("seen.new", "w") as seen:
    json.dump({"environment": dict(os.environ), "prefix": sys.prefix}, seen)
os.rename("seen.new", "seen")
"""


def test_a_script_gets_the_workers_environment_without_courier_variables(tmp_path: Path) -> None:
    script = tmp_path / "integrations" / "custom-x"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    script.chmod(0o550)
    (tmp_path / "logs").mkdir()
    (tmp_path / "alerts.json").write_bytes(alert(1))
    block = "<integration><name>custom-x</name><alert_format>json</alert_format></integration>"
    (tmp_path / "ossec.conf").write_text(f"<ossec_config>{block}</ossec_config>")
    settings = {
        "COURIER_WORKER_WAZUH_HOME": str(tmp_path),
        "COURIER_WORKER_INTEGRATIONS_DIR": str(script.parent),
        "COURIER_INTEGRATIONS_DEFAULT_START_AT": "beginning",
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": sys.prefix,
        "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "TELEGRAM_TOKEN": "4711:token",
    }
    files = ("--config", f"{tmp_path}/ossec.conf", "--alerts", f"{tmp_path}/alerts.json", "--state", f"{tmp_path}/s")
    with Courier(tmp_path, "up", *files, **settings):
        eventually((tmp_path / "seen").exists, limit_s=60)
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["environment"]["TELEGRAM_TOKEN"] == "4711:token"
    assert seen["environment"]["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    ours = ("COURIER_", "PYTHON", "VIRTUAL_ENV", "CELERY", "celery", "_MP_", "KOMBU", "FORKED")
    assert [name for name in seen["environment"] if name.startswith(ours)] == []
    assert seen["prefix"] != sys.prefix
    assert (tmp_path / "logs" / "integrations.log").read_text() == "called\n"


def test_a_worker_warns_at_start_if_it_cannot_append_to_integrations_log(tmp_path: Path) -> None:
    (tmp_path / "logs" / "integrations.log").mkdir(parents=True)  # what not even root can append to
    (tmp_path / "alerts.json").write_bytes(b"")
    (tmp_path / "ossec.conf").write_text(
        "<ossec_config><integration><name>custom-x</name></integration></ossec_config>"
    )
    files = ("--config", f"{tmp_path}/ossec.conf", "--alerts", f"{tmp_path}/alerts.json", "--state", f"{tmp_path}/s")
    with Courier(tmp_path, "up", *files, COURIER_WORKER_WAZUH_HOME=str(tmp_path)) as up:
        eventually(lambda: "cannot append to" in up.log, limit_s=60)
        assert f"{tmp_path}/logs/integrations.log: Is a directory" in up.log
        assert "(wazuh)" in up.log
