"""The warning when Courier starts while a stock Integrator is running, with the affected integrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.settings.load import load_settings
from ops.admin.stock_integrator import Daemon, duplicated_targets
from tests.support.processes import Courier, alert
from tests.support.recorder import eventually
from tests.support.stock_daemon import stock_daemon

if TYPE_CHECKING:
    from pathlib import Path

    from common.settings.load import Settings

SLACK = "<integration><name>slack</name><hook_url>http://127.0.0.1:1/{}</hook_url></integration>"
SCRIPT = "<integration><name>custom-a</name></integration>"


def manager(tmp_path: Path, *blocks: str) -> Path:
    home = tmp_path / "manager"
    (home / "etc").mkdir(parents=True)
    (home / "etc/ossec.conf").write_text(f"<ossec_config>{''.join(blocks)}</ossec_config>")
    (home / "alerts.json").write_bytes(alert(1))
    return home


def settings(tmp_path: Path, *blocks: str) -> Settings:
    (tmp_path / "courier.conf").write_text(f"<ossec_config>{''.join(blocks)}</ossec_config>")
    overrides = {"producer.config": "courier.conf", "worker.wazuh_home": "nowhere"}
    return load_settings(file=None, environment={}, cwd=tmp_path, overrides=overrides)


def test_shared_integrations_are_reported(tmp_path: Path) -> None:
    home = manager(tmp_path, SLACK.format("soc"), SCRIPT, SLACK.format("ops"))
    ours = settings(tmp_path, SCRIPT, SLACK.format("ops"), SLACK.format("new"))
    with stock_daemon(home / "alerts.json", 0, home=home) as pid:
        ((found_pid, integrations),) = duplicated_targets(ours, [Daemon(pid)])
    assert found_pid == pid
    assert integrations.startswith("custom-a, slack-")
    assert integrations.count(",") == 1


def test_moved_blocks_need_a_restart_of_the_manager(tmp_path: Path) -> None:
    home = manager(tmp_path)
    with stock_daemon(home / "alerts.json", 0, home=home) as pid:
        ((_, integrations),) = duplicated_targets(settings(tmp_path, SCRIPT), [Daemon(pid)])
    assert integrations == "none in its ossec.conf; if that file changed, restart the manager"


def test_unreadable_configuration(tmp_path: Path) -> None:
    home = manager(tmp_path)
    (home / "etc/ossec.conf").unlink()
    with stock_daemon(home / "alerts.json", 0, home=home) as pid:
        assert list(duplicated_targets(settings(tmp_path), [Daemon(pid)])) == [
            (pid, "unknown: its ossec.conf cannot be read")
        ]


def test_producer_logs_a_warning(tmp_path: Path) -> None:
    home = manager(tmp_path, SCRIPT)
    arguments = ["--config", str(home / "etc/ossec.conf"), "--alerts", str(home / "alerts.json")]
    with stock_daemon(home / "alerts.json", 0, home=home) as pid:
        # Without Redis: the warning is logged before the producer connects
        url = {"COURIER_REDIS_URL": "redis://127.0.0.1:1/0", "COURIER_LOG_FORMAT": "json"}
        with Courier(tmp_path, "producer", *arguments, "--state", str(tmp_path / "state"), **url) as producer:
            line = eventually(lambda: next((text for text in producer.log.splitlines() if f": {pid}," in text), ""))
    assert "stop it, otherwise alerts are sent twice" in line
    assert "custom-a" in line
