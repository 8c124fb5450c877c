"""The closing message is an alert that filters and service modules read as any other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.silences import Silence, SilenceCounts, closing_message
from ops.cli.main import courier
from producer.filters.decode import decode_line

if TYPE_CHECKING:
    from pathlib import Path

SILENCE = Silence(
    id="k3f9qa",
    match=("rule.id = 1",),
    start_ms=1_796_060_000_000,
    end_ms=1_796_063_600_250,
    why="patching \u202e\x1b[31m <!channel>",
    author="anna",
)
COUNTS = SilenceCounts(214, 1_796_060_000_000, 1_796_063_600_000, 0, {f"57{n}": 200 - n for n in range(10)} | {"": 1})


def test_message_says_number_rules_and_reason() -> None:
    delivery_id, raw = closing_message(SILENCE, "slack", COUNTS, "wazuh-1")
    alert = json.loads(raw)
    assert delivery_id == "courier:silence-k3f9qa:214"
    assert closing_message(SILENCE, "slack", COUNTS, "another").delivery_id == delivery_id
    assert alert["timestamp"] == "2026-11-30T18:33:20.250+0000"
    assert alert["rule"]["description"] == alert["full_log"]
    assert alert["full_log"].startswith(
        "Courier: silence k3f9qa has ended; 214 alerts not sent (rule 570: 200, rule 571: 199, "
    )
    assert "rule 574: 196, …)" in alert["full_log"]
    assert alert["full_log"].isprintable()
    assert len(alert["courier"]["silence"]["rules"]) == 5
    assert decode_line(raw).rule.level == 3


@pytest.mark.parametrize("name", ["slack", "pagerduty", "shuffle"])
def test_stock_integrations_send_it(name: str, tmp_path: Path) -> None:
    alert, config = tmp_path / "alert.json", tmp_path / "ossec.conf"
    alert.write_bytes(closing_message(SILENCE, name, COUNTS, "wazuh-1").alert)
    config.write_text(
        f"<ossec_config><integration><name>{name}</name><hook_url>https://h.example/a</hook_url>"
        "<api_key>0123456789abcdef0123456789abcdef</api_key><alert_format>json</alert_format></integration>"
        "</ossec_config>"
    )
    result = CliRunner().invoke(
        courier, ["render", "--integration", name, "--config", str(config), "--alert", str(alert)]
    )
    assert result.exit_code == 0, result.output
    assert "silence k3f9qa has ended; 214 alerts not sent" in result.output
