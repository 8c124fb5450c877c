"""Records in the health file whether the producer works: after each status report, and while Redis is unavailable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.health.checks import check_readable

if TYPE_CHECKING:
    from pathlib import Path

    from common.errors import LedgerUnavailable
    from common.health.state_file import HealthFile


class ProducerHealth:
    """The health of the producer of `node`, which reads the alert log `alerts`."""

    def __init__(self, file: HealthFile, node: str, alerts: Path) -> None:
        self._file, self._node, self._alerts = file, node, alerts

    def reported(self) -> None:
        """Record that the status has been published, which proves that Redis accepts writes."""
        self._file.record(self._check)

    def unavailable(self, error: LedgerUnavailable) -> None:
        """Record why nothing can be read at the moment."""
        self._file.unhealthy(error)

    def _check(self) -> str:
        check_readable(self._alerts)
        return f"the producer of node {self._node} reports every second"
