"""Keys of version 0.1 of Courier that have another name now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.settings.schema import DEFAULT, INTEGRATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

RENAMED: Final[Mapping[tuple[str, ...], str]] = {
    ("producer", "poll"): "poll_interval",
    ("producer", "aside_max"): "quarantine_max",
    ("worker", "slots"): "max_tasks",
    ("worker", "drain"): "drain_timeout",
    ("worker", "home"): "wazuh_home",
    ("worker", "socket"): "queue_socket",
    ("worker", "private_dir"): "script_temp_dir",
    (INTEGRATIONS, DEFAULT, "pause_max"): "retry_after_max",
    (INTEGRATIONS, DEFAULT, "time_limit"): "request_timeout",
    (INTEGRATIONS, DEFAULT, "deadline"): "script_timeout",
    (INTEGRATIONS, DEFAULT, "retry_base"): "retry_delay",
    (INTEGRATIONS, DEFAULT, "retry_cap"): "retry_delay_max",
    (INTEGRATIONS, DEFAULT, "final_exits"): "permanent_exit_codes",
    (INTEGRATIONS, DEFAULT, "meta_alerts"): "self_alerts",
    (INTEGRATIONS, DEFAULT, "meta_every"): "self_alert_interval",
    (INTEGRATIONS, DEFAULT, "meta_lag"): "self_alert_lag",
}
"""Keys of version 0.1 and their current names, for the error that names the new key."""
