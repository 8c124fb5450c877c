"""Checks a user's own files before the demo starts: the findings of `courier check`, and what the demo replaces."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common.integration import Kind
from common.settings.load import load_settings
from ops.admin.check import make_report
from ops.demo.chats import CHATS
from ops.demo.rewrite_config import service_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from common.integration import Integration

SERVICES = {
    "slack": "Slack",
    "pagerduty": "PagerDuty",
    "virustotal": "VirusTotal",
    "shuffle": "Shuffle",
    "maltiverse": "Maltiverse",
    "teams": "Microsoft Teams",
    "discord": "Discord",
    "googlechat": "Google Chat",
    "mattermost": "Mattermost",
    "rocketchat": "Rocket.Chat",
}


class Preview(NamedTuple):
    """The lines to show, the ids of scripts that cannot be run here, and whether there is a folder with scripts."""

    lines: tuple[str, ...] = ()
    unusable: frozenset[str] = frozenset()
    has_scripts: bool = True


def preview(config: Path, alerts: Path, environment: Mapping[str, str]) -> Preview:
    """Check the user's files with the settings of this folder. Raises ConfigError and SettingsError."""
    overrides = {"producer.config": str(config), "producer.alerts": str(alerts)}
    settings = load_settings(file=None, environment=environment, cwd=Path.cwd(), overrides=overrides)
    report = make_report(settings, clock=time.monotonic, path_checks=False)
    lines = (*map(str, report.findings), f"check: {report.verdict}")
    unusable = frozenset(block.id for block in report.blocks if not block.refused and not block.runs)
    return Preview(lines, unusable, settings.worker.integrations_dir.is_dir())


def replacements(integrations: Iterable[Integration], found: Preview) -> Iterator[str]:
    """Yield for each integration which part of the demo receives its messages."""
    for one in integrations:
        if (service := service_of(one)) in CHATS:
            yield f"{one.id}: a server of the demo responds in place of {SERVICES[service]}"
        elif one.id in found.unusable:
            yield f"{one.id}: your script cannot be run, so its deliveries fail"
        elif one.kind is Kind.SCRIPT and not found.has_scripts:
            yield f"{one.id}: {one.name} does not exist on this machine; the demo's script runs in its place"
        elif one.kind is Kind.SCRIPT:
            yield f"{one.id}: the demo's script runs in place of {one.name}"
        else:
            yield f"{one.id}: a server of the demo responds in place of {SERVICES.get(one.name, one.name)}"
